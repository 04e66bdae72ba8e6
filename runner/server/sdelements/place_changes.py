"""Changing and removing business units, applications and projects."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, no_such
from runner.server.replies import Invalid, conflict, not_found, reply
from runner.server.sdelements import places
from runner.server.sdelements.places import PRIORITIES, checked
from runner.server.sdelements.shapes import Shown
from runner.server.services import services_of
from runner.server.unit import writing
from runner.store import work
from runner.store.accounts import Scope

_TAKEN = "There is one of this name already."


async def _change(request: Request, change: Callable[[sa.Connection, Fields], Shown]) -> Response:
    body = await read_body(request)
    return reply(await writing(request, lambda c, _caller: change(c, Fields(body.object())), Scope.ADMIN))


def _there(value: Any) -> Any:
    if value is None:
        raise not_found()
    return value


def _given(**columns: Any) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value is not None}


async def change_business_unit(request: Request) -> Response:
    """Rename a business unit."""
    ident = request.path_params["business_unit_id"]

    def change(c: sa.Connection, fields: Fields) -> Shown:
        _there(work.business_unit(c, ident))
        name = fields.text("name", blank=False, longest=255)
        fields.done()
        if name is not None and not work.change_business_unit(c, ident, name=name):
            raise Invalid({"name": [_TAKEN]})
        return places.business_unit(checked(work.business_unit(c, ident), ident))

    return await _change(request, change)


async def change_application(request: Request) -> Response:
    """Change an application, or move it to another business unit."""
    ident = request.path_params["application_id"]

    def change(c: sa.Connection, fields: Fields) -> Shown:
        there = _there(work.application(c, ident))
        name = fields.text("name", blank=False, longest=255)
        unit = fields.integer("business_unit")
        priority = fields.text("priority")
        if priority is not None and priority not in PRIORITIES:
            fields.wrong("priority", f'"{priority}" is not a valid choice.')
        if unit is not None and work.business_unit(c, unit) is None:
            fields.wrong("business_unit", no_such(unit))
        fields.done()
        values = _given(name=name, business_unit_id=unit, priority=priority)
        if values and not work.change_application(c, there, values):
            raise Invalid({"name": [_TAKEN]})
        return places.application(checked(work.application(c, ident), ident))

    return await _change(request, change)


async def change_project(request: Request) -> Response:
    """Change a project, archive it, or move it to another application."""
    ident, now = request.path_params["project_id"], services_of(request).clock()

    def change(c: sa.Connection, fields: Fields) -> Shown:
        there = _there(work.project(c, ident))
        name = fields.text("name", blank=False, longest=255)
        owner = fields.integer("application")
        archived = fields.boolean("archived")
        described = fields.text("description", null=True)
        if owner is not None and work.application(c, owner) is None:
            fields.wrong("application", no_such(owner))
        fields.done()
        values = _given(name=name, application_id=owner, archived=archived)
        if "description" in fields:
            values["description"] = described or ""
        if values and not work.change_project(c, there, values, now=now):
            raise Invalid({"name": [_TAKEN]})
        return places.project(checked(work.project(c, ident), ident))

    return await _change(request, change)


async def _delete(
    request: Request,
    look: Callable[[sa.Connection], Any],
    delete: Callable[[sa.Connection], bool],
    why_not: str,
) -> Response:
    def remove(c: sa.Connection, _caller: Caller) -> None:
        _there(look(c))
        if not delete(c):
            raise conflict(why_not)

    await writing(request, remove, Scope.ADMIN)
    return Response(status_code=204)


async def delete_business_unit(request: Request) -> Response:
    """Remove a business unit without applications."""
    ident = request.path_params["business_unit_id"]
    return await _delete(
        request,
        lambda c: work.business_unit(c, ident),
        lambda c: work.delete_business_unit(c, ident),
        "Applications belong to it; remove or move them first.",
    )


async def delete_application(request: Request) -> Response:
    """Remove an application without projects."""
    ident = request.path_params["application_id"]
    return await _delete(
        request,
        lambda c: work.application(c, ident),
        lambda c: work.delete_application(c, ident),
        "Projects belong to it; remove or move them first.",
    )


async def delete_project(request: Request) -> Response:
    """Remove a project that no connection ever belonged to."""
    ident = request.path_params["project_id"]
    return await _delete(
        request,
        lambda c: work.project(c, ident),
        lambda c: work.delete_project(c, ident),
        "Connections have to do with it, and their jobs' journal; archive it instead.",
    )
