"""Connectors of the organisation: ``/connectors/{kind}/``. Connections lay their own params over theirs."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.engine.catalogue import System, is_secret
from runner.errors import Refused
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, conflict, forbidden, not_found, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.connection_changes import read_system
from runner.server.sdelements.params import masked, merged, moved, sealed
from runner.server.sdelements.shapes import Shown
from runner.server.services import services_of
from runner.server.unit import reading, systems_of, writing
from runner.store import connectors as store
from runner.store.accounts import Scope
from runner.store.connectors import Connector
from runner.store.pages import Cut


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of connectors below ``root``."""
    path = f"{root}/connectors/{{kind:kind}}/"
    one = f"{path}{{connector_id:number}}/"
    listed = Op(summary="List the connectors of a kind", answer="Connector", listing=True)
    add(router, "GET", path, list_connectors, listed)
    add(router, "GET", one, show_connector, Op(summary="Show a connector", answer="Connector"))
    made = Op(summary="Add a connector", body="NewConnector", answer="Connector", status=201, also=(413, 415))
    add(router, "POST", path, create_connector, made)
    for method, change in (("PUT", replace_connector), ("PATCH", update_connector)):
        changed = Op(
            summary="Change a connector", body="ChangedConnector", answer="Connector", also=(413, 415)
        )
        add(router, method, one, change, changed)
    gone = Op(summary="Remove a connector that no connection has", status=204, also=(409,))
    add(router, "DELETE", one, delete_connector, gone)


def _shown(value: Connector, systems: Mapping[str, System], caller: Caller) -> Shown:
    known = systems.get(value.system)
    shown: Shown = {
        "id": value.id,
        "name": value.name,
        "system": shapes.system(value.system, known),
        "inaccessible": value.inaccessible,
        "fields_editable_on_project": value.editable,
        "declared": value.declared,
    }
    if caller.sees(value.kind):
        opened = masked(value.params, known) if caller.clear is None else caller.clear.open(value.params)
        shown["params"] = opened
    return shown


async def list_connectors(request: Request) -> Response:
    """Tell the connectors of a kind."""
    kind, systems = Kind(request.path_params["kind"]), await systems_of(request)

    def prepare(_c: sa.Connection, caller: Caller) -> Source:
        def page(c: sa.Connection, part: Cut) -> list[Item]:
            return [(row.id, _shown(row, systems, caller)) for row in store.page(c, kind, part)]

        return Source(page=page, count=lambda c: store.count(c, kind))

    return await listing(request, prepare, Scope.READ)


def _find(c: sa.Connection, request: Request) -> Connector:
    found = store.get(c, request.path_params["connector_id"])
    if found is None or found.kind.value != request.path_params["kind"]:
        raise not_found()
    return found


async def show_connector(request: Request) -> Response:
    """Tell one connector."""
    systems = await systems_of(request)
    return reply(
        await reading(request, lambda c, caller: _shown(_find(c, request), systems, caller), Scope.READ)
    )


def _changeable(c: sa.Connection, request: Request) -> Connector:
    """The connector, if the API may change it: not if the configuration files declare it."""
    found = _find(c, request)
    if found.declared is not None:
        msg = f"It is declared in the configuration files, as {found.declared!r}; change it there."
        raise Refused(msg, status=403)
    return found


def _may_edit(caller: Caller, request: Request) -> None:
    if not caller.edits(Kind(request.path_params["kind"])):
        raise forbidden()


def _read(values: Mapping[str, Any], *, create: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
    fields = Fields(values)
    columns: dict[str, Any] = {
        "name": fields.text("name", required=create, blank=False, longest=255),
        "inaccessible": fields.boolean("inaccessible"),
    }
    columns = {name: value for name, value in columns.items() if value is not None}
    if values.get("fields_editable_on_project") is not None:
        columns["fields_editable_on_project"] = fields.texts("fields_editable_on_project")
    elif "fields_editable_on_project" in values:
        columns["fields_editable_on_project"] = None
    params = fields.mapping("params", required=create)
    fields.done()
    return columns, params


async def create_connector(request: Request) -> Response:
    """Add a connector. Its params are judged with a connection's: alone they needn't be whole."""
    body, systems, services = await read_body(request), await systems_of(request), services_of(request)

    def create(c: sa.Connection, caller: Caller) -> Shown:
        _may_edit(caller, request)
        values = body.object()
        columns, given = _read(values, create=True)
        fields = Fields(values)
        kind = Kind(request.path_params["kind"])
        system = read_system(fields, values, kind, systems)
        fields.done()
        assert system is not None  # else it was refused above
        params = merged({}, given or {}, system=system, replace=True, vault=services.vault)
        made = store.create(
            c,
            kind=kind,
            system=system.id,
            name=columns["name"],
            params=sealed(params, system=system, vault=services.vault),
            inaccessible=columns.get("inaccessible", False),
            editable=columns.get("fields_editable_on_project"),
            now=services.clock(),
        )
        found = store.get(c, made)
        assert found is not None  # it was written in this transaction
        return _shown(found, systems, caller)

    return reply(await writing(request, create), 201)


async def replace_connector(request: Request) -> Response:
    """Change a connector; of its params those stay that are given."""
    return await _change(request, replace=True)


async def update_connector(request: Request) -> Response:
    """Change a connector; its params are merged by name."""
    return await _change(request, replace=False)


async def _change(request: Request, *, replace: bool) -> Response:
    body, systems, services = await read_body(request), await systems_of(request), services_of(request)

    def change(c: sa.Connection, caller: Caller) -> Shown:
        _may_edit(caller, request)
        there = _changeable(c, request)
        columns, given = _read(body.object(), create=False)
        if given is not None:
            system = systems.get(there.system)
            params = merged(there.params, given, system=system, replace=replace, vault=services.vault)
            _check_followers(c, there, params, system)
            columns["params"] = sealed(params, system=system, vault=services.vault)
        if columns:
            store.update(c, there.id, columns, now=services.clock())
        return _shown(_find(c, request), systems, caller)

    return reply(await writing(request, change))


def _check_followers(
    c: sa.Connection, there: Connector, params: Mapping[str, Any], system: System | None
) -> None:
    """Refuse to lead the secrets of connections, which others gave, to another place."""
    led = [
        ident
        for ident, own in store.in_use(c, there.id).items()
        if any(value and is_secret(name, system) for name, value in own.items())
        and moved({**there.params, **own}, {**params, **own})
    ]
    if led:
        numbers = ", ".join(map(str, led))
        text = f"Connections with secrets of their own would follow it ({numbers}); change these first."
        raise Invalid({"params": [text]})


async def delete_connector(request: Request) -> Response:
    """Remove a connector that no connection has, or had."""

    def delete(c: sa.Connection, caller: Caller) -> None:
        _may_edit(caller, request)
        there = _changeable(c, request)
        if store.in_use(c, there.id):
            raise conflict("Connections have it, or had it; their jobs' journal needs it.")
        store.delete(c, there.id)

    await writing(request, delete)
    return Response(status_code=204)
