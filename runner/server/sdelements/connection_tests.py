"""Testing a connection before it is trusted: online, without effects, in the probe worker."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.engine import declared
from runner.engine.catalogue import System
from runner.errors import SealedShut, SettingsInvalid
from runner.model.jobs import Connection, Frequency, Kind
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, no_such
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import Invalid, forbidden, reply
from runner.server.sdelements.connection_changes import read_system
from runner.server.sdelements.connections import find
from runner.server.sdelements.params import merged
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, systems_of
from runner.store import work
from runner.store.connections import Entry
from runner.store.vault import Vault


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of tests below ``root``."""
    path = f"{root}/connections/{{kind:kind}}"
    post, also = partial(add, router, "POST"), (413, 415)
    stored = Op(
        summary="Test a connection, perhaps with other params",
        body="TestedConnection",
        answer="ConnectionTest",
        also=also,
    )
    post(f"{path}/{{connection_id:number}}/test/", test_stored, stored)
    fresh = Op(
        summary="Test a connection that isn't stored yet",
        body="NewTestedConnection",
        answer="ConnectionTest",
        also=also,
    )
    post(f"{path}/test/", test_fresh, fresh)


async def test_stored(request: Request) -> Response:
    """Test a connection as it is stored, with what the body says laid over its params."""
    body, systems = await read_body(request), await systems_of(request)

    def look(c: sa.Connection, caller: Caller) -> Entry:
        entry = find(c, request)
        _check_right(caller, entry.connection.kind)
        return entry

    entry = await reading(request, look)
    connection = entry.connection
    fields = Fields(body.object())
    given = fields.mapping("params") or {}
    fields.done()
    try:
        connection = await in_thread(lambda: declared.resolved(connection, lambda: systems))
    except SettingsInvalid as error:
        raise Invalid({"params": [error.message]}) from error
    system, vault = systems.get(connection.system), services_of(request).vault
    try:
        params = merged(connection.params, given, system=system, replace=False, vault=vault)
    except SealedShut as error:
        raise Invalid({"params": [error.message]}) from error
    return await _test(request, replace(connection, params=params))


async def test_fresh(request: Request) -> Response:
    """Test what a body describes, as it would be added."""
    body, systems = await read_body(request), await systems_of(request)
    kind = Kind(request.path_params["kind"])

    def look(c: sa.Connection, caller: Caller) -> Connection:
        _check_right(caller, kind)
        return _described(c, body.object(), kind, systems, services_of(request).vault)

    return await _test(request, await reading(request, look))


def _check_right(caller: Caller, kind: Kind) -> None:
    if not caller.edits(kind):
        raise forbidden()


def _described(
    c: sa.Connection, values: Mapping[str, Any], kind: Kind, systems: Mapping[str, System], vault: Vault
) -> Connection:
    fields = Fields(values)
    given = fields.mapping("params", required=True)
    system = read_system(fields, values, kind, systems)
    belongs = kind in {Kind.ALM, Kind.ANALYSIS}
    project_id = fields.integer("project", required=True) if belongs else None
    fields.done()
    assert system is not None  # else it was refused above
    if project_id is not None and work.project(c, project_id) is None:
        raise Invalid({"project": [no_such(project_id)]})
    return Connection(
        id=0,
        kind=kind,
        system=system.id,
        alias=system.name,
        command=system.command,
        frequency=Frequency.MANUALLY,
        project_id=project_id,
        params=merged({}, given or {}, system=system, replace=True, vault=vault),
    )


async def _test(request: Request, connection: Connection) -> Response:
    engine = services_of(request).engine
    try:
        whole = await in_thread(lambda: engine.completed(connection))
    except SealedShut as error:
        raise Invalid({"params": [error.message]}) from error
    await in_thread(lambda: engine.validate(whole.system, dict(whole.params)))
    steps = await in_thread(lambda: engine.check(whole))
    shown = [{"name": step.name, "ok": step.ok, "message": step.message} for step in steps]
    return reply({"success": all(step.ok for step in steps), "steps": shown})
