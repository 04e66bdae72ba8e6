"""Making, changing and removing connections."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.engine.catalogue import System, called
from runner.errors import Refused, SettingsInvalid
from runner.model.calendar import parse_cron, parse_zone
from runner.model.jobs import Frequency, Kind
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import REQUIRED, Fields, no_such
from runner.server.replies import Invalid, conflict, forbidden, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.connections import Style, changeable, find
from runner.server.sdelements.params import masked, merged, sealed
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, systems_of, writing
from runner.settings import Safety, overridden
from runner.store import connections as store
from runner.store import connectors, inline_mappings, queue, work
from runner.store.accounts import Scope
from runner.store.connections import Entry
from runner.store.connectors import Connector


def _may_edit(caller: Caller, kind: Kind) -> None:
    if not caller.edits(kind):
        raise forbidden()


class _Given(NamedTuple):
    """What a body says of a connection: columns to write, and apart what is merged."""

    columns: dict[str, Any]
    params: dict[str, Any] | None
    safety: dict[str, Any] | None
    system: System | None


def _read(values: dict[str, Any], kind: Kind, systems: dict[str, System], *, create: bool) -> _Given:
    fields = Fields(values)
    columns: dict[str, Any] = {
        "alias": fields.text(
            "alias", required=create and kind is not Kind.ANALYSIS, blank=False, longest=500
        ),
        "frequency": fields.choice("frequency", Frequency),
        "debug_mode": fields.boolean("debug_mode"),
        "inaccessible": fields.boolean("inaccessible"),
        "enabled": fields.boolean("enabled"),
    }
    schedule = {
        name: _checked(fields, name, parse)
        for name, parse in (("schedule", parse_cron), ("timezone", parse_zone))
        if name in fields
    }
    params = fields.mapping("params", required=create)
    safety = fields.mapping("safety")
    system = read_system(fields, values, kind, systems) if create else None  # it can't be changed
    if create:
        belongs = kind in {Kind.ALM, Kind.ANALYSIS}
        columns["project_id"] = fields.integer("project", required=True) if belongs else None
    fields.done()
    columns = {name: value for name, value in columns.items() if value is not None} | schedule
    return _Given(columns, params, safety, system)


def _merged_safety(
    stored: Mapping[str, Any], given: Mapping[str, Any], base: Safety, *, replace: bool
) -> dict[str, Any]:
    """A connection's own ceilings after ``given`` was written over them; null takes one away."""
    merged = {**({} if replace else stored), **given}
    values = {name: value for name, value in merged.items() if value is not None}
    try:
        overridden(base, values)
    except SettingsInvalid as error:
        raise Invalid({"safety": error.message.splitlines()}) from error
    return values


def _checked(fields: Fields, name: str, parse: Callable[[str], object]) -> str | None:
    """Text that can be read as what it is meant for; null or nothing takes it away."""
    text = (fields.text(name, null=True, longest=200) or "").strip() or None
    if text is not None:
        try:
            parse(text)
        except ValueError as error:
            fields.wrong(name, f"{error}.")
    return text


def read_system(
    fields: Fields, values: Mapping[str, Any], kind: Kind, systems: Mapping[str, System]
) -> System | None:
    """The system a new connection is for, by id or name, or as an object with one."""
    given = values.get("system")
    name = given.get("id", given.get("name")) if isinstance(given, dict) else given
    found = called(systems, name, kind) if isinstance(name, str) else None
    if name is None:
        fields.wrong("system", REQUIRED)
    elif found is not None and found.broken is not None:
        fields.wrong("system", f"The connector for {name} can't be loaded: {found.broken}")
    elif found is None or found.kind is not kind:
        fields.wrong("system", no_such(name))
    elif found.file_upload:
        fields.wrong("system", "It takes files: send one to /api/v2/jobs/analysis-file/.")
    else:
        return found
    return None


def _connector(c: sa.Connection, values: Mapping[str, Any], kind: Kind) -> Connector | None:
    """The connector that a body names for a new connection; None if none."""
    fields = Fields(values)
    ident = fields.integer("connector", null=True)
    found = None if ident is None else connectors.get(c, ident)
    if ident is not None and (found is None or found.kind is not kind):
        fields.wrong("connector", no_such(ident))
    elif found is not None and found.declared is not None:
        # Its secrets may be references, which text of the API is never let near.
        fields.wrong(
            "connector", "It is declared in the configuration files; declare the connection there too."
        )
    fields.done()
    return found


def _check_editable(
    given: Mapping[str, Any],
    inherited: Mapping[str, Any],
    editable: Collection[str] | None,
    system: System | None,
) -> None:
    """Refuse params of a connection's own that its connector keeps for itself."""
    if editable is None:
        return
    shown = masked(inherited, system)
    fixed = [
        name
        for name, value in given.items()
        if name not in editable and name in inherited and value not in (shown[name], inherited[name])
    ]
    if fixed:
        text = f"{', '.join(sorted(fixed))}: set by the connector, and not to be changed on a project."
        raise Invalid({"params": [text]})


async def create_connection(request: Request) -> Response:
    """Add a connection."""
    services, systems, body = services_of(request), dict(await systems_of(request)), await read_body(request)
    kind = Kind(request.path_params["kind"])

    def look(c: sa.Connection, caller: Caller) -> Connector | None:
        _may_edit(caller, kind)
        return _connector(c, body.object(), kind)

    connector = await reading(request, look)
    values = body.object() if connector is None else {"system": connector.system, **body.object()}
    given = _read(values, kind, systems, create=True)
    system = given.system
    assert system is not None  # else the body was refused
    inherited: dict[str, Any] = {}
    if connector is not None:
        if connector.system != system.id:
            raise Invalid({"connector": [f"It is for {connector.system}, not for {system.id}."]})
        inherited = connector.params
        _check_editable(given.params or {}, inherited, connector.editable, system)
    params = merged(
        {}, given.params or {}, system=system, replace=True, vault=services.vault, inherited=inherited
    )
    safety = _merged_safety({}, given.safety or {}, services.settings.safety, replace=True)
    effective = services.vault.open({**inherited, **params})
    await in_thread(lambda: services.engine.validate(system.id, effective))
    stored = sealed(params, system=system, vault=services.vault)
    now = services.clock()

    def create(c: sa.Connection, caller: Caller) -> shapes.Shown:
        _may_edit(caller, kind)
        if safety:
            caller.need(Scope.ADMIN)
        project_id = given.columns.get("project_id")
        if project_id is not None and work.project(c, project_id) is None:
            raise Invalid({"project": [no_such(project_id)]})
        columns: dict[str, Any] = {"alias": system.name, "project_id": None, "safety": safety}
        if connector is not None:
            if connectors.get(c, connector.id) != connector:
                raise conflict("Somebody changed the connector at the same moment; look at it again.")
            columns |= {"alias": connector.name, "connector_id": connector.id}
            columns["inaccessible"] = connector.inaccessible
        columns |= given.columns
        made = store.create(
            c, kind=kind, system=system.id, command=system.command, params=stored, now=now, **columns
        )
        if kind is Kind.LDAP:
            inline_mappings.take(c, made, stored, now=now)
        return _shown_again(c, made, Style(systems, caller, last_job=False))

    return reply(await writing(request, create), 201)


def _shown_again(c: sa.Connection, connection_id: int, style: Style) -> shapes.Shown:
    entry = store.get(c, connection_id)
    assert entry is not None  # it was written in this transaction
    return shapes.connection(entry, systems=style.systems, caller=style.caller)


async def put_connection(request: Request) -> Response:
    """Change a connection; params are replaced."""
    return await _change(request, replace=True)


async def patch_connection(request: Request) -> Response:
    """Change a connection; params are merged by key."""
    return await _change(request, replace=False)


async def _change(request: Request, *, replace: bool) -> Response:
    services, systems, body = services_of(request), dict(await systems_of(request)), await read_body(request)
    kind, now = Kind(request.path_params["kind"]), services.clock()

    def look(c: sa.Connection, caller: Caller) -> Entry:
        _may_edit(caller, kind)
        return changeable(find(c, request))

    entry = await reading(request, look)
    name = entry.connection.system
    given = _read(body.object(), kind, systems, create=False)
    columns = dict(given.columns)
    if given.safety is not None:
        stored = entry.connection.safety
        safety = _merged_safety(stored, given.safety, services.settings.safety, replace=replace)
        if safety != stored:  # whoever sends back what was shown needs no further right
            columns["safety"] = safety
    if given.params is not None:
        inherited, editable = entry.inherited, entry.editable
        _check_editable(given.params, inherited, editable, systems.get(name))
        params = merged(
            entry.own_params,
            given.params,
            system=systems.get(name),
            replace=replace,
            vault=services.vault,
            inherited=inherited,
        )
        effective = services.vault.open({**inherited, **params})
        await in_thread(lambda: services.engine.validate(name, effective))
        columns["params"] = sealed(params, system=systems.get(name), vault=services.vault)

    def change(c: sa.Connection, caller: Caller) -> shapes.Shown:
        if "safety" in columns:
            caller.need(Scope.ADMIN)
        if look(c, caller).updated != entry.updated:
            raise conflict("Somebody else changed this connection at the same moment; look at it again.")
        if columns:
            store.update(c, entry.connection.id, columns, now=now)
        if kind is Kind.LDAP and "params" in columns:
            before = entry.own_params
            inline_mappings.take(c, entry.connection.id, columns["params"], before=before, now=now)
        return _shown_again(c, entry.connection.id, Style(systems, caller, last_job=False))

    return reply(await writing(request, change))


async def delete_connection(request: Request) -> Response:
    """Take a connection out of use; its jobs and their journal stay."""
    services = services_of(request)
    kind, now = Kind(request.path_params["kind"]), services.clock()

    def delete(c: sa.Connection, caller: Caller) -> None:
        _may_edit(caller, kind)
        entry = changeable(find(c, request))
        waiting = store.open_jobs(c, entry.connection.id)
        if "running" in waiting.values():
            raise Refused("A job of this connection is running; cancel it first.", status=409)
        # The last first: so none is promoted only to be cancelled next.
        for job_id in sorted(waiting, reverse=True):
            queue.cancel(c, job_id=job_id, now=now)
        store.delete(c, entry.connection.id, now=now)

    await writing(request, delete)
    return Response(status_code=204)
