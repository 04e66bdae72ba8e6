"""Where work belongs: ``/business-units/``, ``/applications/`` and ``/projects/``."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query, no_such, whole
from runner.server.paging import Source, listing
from runner.server.replies import Invalid, not_found, reply
from runner.server.sdelements.shapes import Shown, instant
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import work
from runner.store.accounts import Scope
from runner.store.work import Found

PRIORITIES = ("0-none", "1-high", "2-medium", "3-low")


def business_unit(value: work.BusinessUnit) -> Shown:
    """A business unit as the API shows it."""
    return {"id": value.id, "name": value.name, "slug": value.slug, "created": instant(value.created)}


def application(value: work.Application, *, expand: frozenset[str] = frozenset()) -> Shown:
    """An application as the API shows it."""
    unit: Any = value.business_unit_id
    if "business_unit" in expand:
        unit = {"id": value.business_unit_id, "name": value.business_unit}
    return {
        "id": value.id,
        "business_unit": unit,
        "name": value.name,
        "slug": value.slug,
        "priority": value.priority,
        "created": instant(value.created),
    }


def project(value: work.Project, *, expand: frozenset[str] = frozenset()) -> Shown:
    """A project as the API shows it; what this server has no notion of has its empty value."""
    owner: Any = value.application_id
    if "application" in expand:
        unit = {"id": value.business_unit_id, "name": value.business_unit}
        owner = {"id": value.application_id, "name": value.application, "business_unit": unit}
    return {
        "id": value.id,
        "slug": value.slug,
        "url": f"/api/v2/projects/{value.id}/",
        "application": owner,
        "archived": value.archived,
        "name": value.name,
        "creator": None,
        "description": value.description,
        "tags": [],
        "created": instant(value.created),
        "updated": instant(value.updated),
        "parent": None,
        "custom_attributes": {},
        "locked": False,
    }


def _found(request: Request, parent: str | None = None) -> tuple[Found, frozenset[str]]:
    query = Query(request)
    owner = None if parent is None else query.text(parent)
    number = None if owner is None else whole(owner)
    found = Found(
        name=query.text("name"),
        slug=query.text("slug"),
        search=query.text("search"),
        parent_id=number,
        parent_name=owner if number is None else None,
    )
    expand = query.words("expand")
    query.done()
    return found, expand


async def list_business_units(request: Request) -> Response:
    """Tell the business units."""
    found, _ = _found(request)

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        return Source(
            page=lambda c, part: [
                (row.id, business_unit(row)) for row in work.business_unit_page(c, found, part)
            ],
            count=lambda c: work.business_unit_count(c, found),
        )

    return await listing(request, prepare, Scope.READ)


async def list_applications(request: Request) -> Response:
    """Tell the applications."""
    found, expand = _found(request, "business_unit")

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        return Source(
            page=lambda c, part: [
                (row.id, application(row, expand=expand)) for row in work.application_page(c, found, part)
            ],
            count=lambda c: work.application_count(c, found),
        )

    return await listing(request, prepare, Scope.READ)


async def list_projects(request: Request) -> Response:
    """Tell the projects."""
    found, expand = _found(request, "application")

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        return Source(
            page=lambda c, part: [
                (row.id, project(row, expand=expand)) for row in work.project_page(c, found, part)
            ],
            count=lambda c: work.project_count(c, found),
        )

    return await listing(request, prepare, Scope.READ)


async def _show(request: Request, look: Callable[[sa.Connection], Shown | None]) -> Response:
    def find(c: sa.Connection, _caller: Caller) -> Shown:
        shown = look(c)
        if shown is None:
            raise not_found()
        return shown

    return reply(await reading(request, find, Scope.READ))


async def show_business_unit(request: Request) -> Response:
    """Tell one business unit."""
    ident = request.path_params["business_unit_id"]
    return await _show(
        request, lambda c: None if (row := work.business_unit(c, ident)) is None else business_unit(row)
    )


async def show_application(request: Request) -> Response:
    """Tell one application."""
    ident, expand = request.path_params["application_id"], Query(request).words("expand")
    return await _show(
        request,
        lambda c: None if (row := work.application(c, ident)) is None else application(row, expand=expand),
    )


async def show_project(request: Request) -> Response:
    """Tell one project."""
    ident, expand = request.path_params["project_id"], Query(request).words("expand")
    return await _show(
        request, lambda c: None if (row := work.project(c, ident)) is None else project(row, expand=expand)
    )


async def _create(
    request: Request, make: Callable[[sa.Connection, Fields], tuple[int | None, Callable[[int], Shown]]]
) -> Response:
    body = await read_body(request)

    def create(c: sa.Connection, _caller: Caller) -> Shown:
        made, show = make(c, Fields(body.object()))
        if made is None:
            raise Invalid({"name": ["There is one of this name already."]})
        return show(made)

    return reply(await writing(request, create, Scope.ADMIN), 201)


def checked(value: Any, ident: int) -> Any:
    """What was written in this transaction, read again."""
    assert value is not None, ident  # it was written in this transaction
    return value


async def create_business_unit(request: Request) -> Response:
    """Add a business unit."""
    now = services_of(request).clock()

    def make(c: sa.Connection, fields: Fields) -> tuple[int | None, Callable[[int], Shown]]:
        name = fields.text("name", required=True, blank=False, longest=255)
        fields.done()
        made = work.create_business_unit(c, name=name or "", now=now)
        return made, lambda ident: business_unit(checked(work.business_unit(c, ident), ident))

    return await _create(request, make)


async def create_application(request: Request) -> Response:
    """Add an application."""
    now = services_of(request).clock()

    def make(c: sa.Connection, fields: Fields) -> tuple[int | None, Callable[[int], Shown]]:
        name = fields.text("name", required=True, blank=False, longest=255)
        unit = fields.integer("business_unit", required=True)
        priority = fields.text("priority") or PRIORITIES[0]
        if priority not in PRIORITIES:
            fields.wrong("priority", f'"{priority}" is not a valid choice.')
        if unit is not None and work.business_unit(c, unit) is None:
            fields.wrong("business_unit", no_such(unit))
        fields.done()
        made = work.create_application(
            c, business_unit_id=unit or 0, name=name or "", priority=priority, now=now
        )
        return made, lambda ident: application(checked(work.application(c, ident), ident))

    return await _create(request, make)


async def create_project(request: Request) -> Response:
    """Add a project. Its tasks come from where the original has its survey: from outside."""
    now = services_of(request).clock()

    def make(c: sa.Connection, fields: Fields) -> tuple[int | None, Callable[[int], Shown]]:
        name = fields.text("name", required=True, blank=False, longest=255)
        owner = fields.integer("application", required=True)
        description = fields.text("description", null=True) or ""
        if owner is not None and work.application(c, owner) is None:
            fields.wrong("application", no_such(owner))
        fields.done()
        made = work.create_project(
            c, application_id=owner or 0, name=name or "", description=description, now=now
        )
        return made, lambda ident: project(checked(work.project(c, ident), ident))

    return await _create(request, make)
