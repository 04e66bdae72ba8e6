"""Group mappings of an LDAP connection, for superusers: ``/connections/ldap/{id}/group-mappings/``."""

from typing import NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.body import Body, read_body
from runner.server.fields import REQUIRED, Fields, Query, no_such
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, not_found, reply
from runner.server.sdelements.connections import changeable
from runner.server.sdelements.groups import whole_group_id
from runner.server.sdelements.shapes import Shown, group_id, instant
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import connections, groups, inline_mappings
from runner.store import group_mappings as store
from runner.store.accounts import Scope
from runner.store.group_mappings import Mapping
from runner.store.pages import Cut

NEED = Scope.EDIT_LDAP


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of mappings below ``root``."""
    path = f"{root}/connections/ldap/{{connection_id:number}}/group-mappings/"
    one = f"{path}{{mapping_id:number}}/"
    listed = Op(
        summary="List the group mappings of a connection",
        answer="GroupMapping",
        listing=True,
        query=("search",),
    )
    add(router, "GET", path, list_mappings, listed)
    add(router, "GET", one, show_mapping, Op(summary="Show a group mapping", answer="GroupMapping"))
    made = Op(
        summary="Add a group mapping",
        body="NewGroupMapping",
        answer="GroupMapping",
        status=201,
        also=(413, 415),
    )
    add(router, "POST", path, create_mapping, made)
    changed = Op(
        summary="Change a group mapping", body="NewGroupMapping", answer="GroupMapping", also=(413, 415)
    )
    add(router, "PUT", one, put_mapping, changed)
    add(router, "DELETE", one, delete_mapping, Op(summary="Remove a group mapping", status=204))


def _shown(value: Mapping) -> Shown:
    return {
        "sde_group": {"id": group_id(value.group_id), "name": value.group},
        "id": value.id,
        "last_modified": instant(value.last_modified),
        "ldap_group": value.ldap_group,
    }


def _connection(c: sa.Connection, caller: Caller, request: Request) -> int:
    """The connection that the path names; only superusers learn whether there is one."""
    caller.need_superuser(NEED)
    entry = connections.get(c, request.path_params["connection_id"])
    if entry is None or entry.connection.kind is not Kind.LDAP:
        raise not_found()
    return entry.connection.id


def _find(c: sa.Connection, caller: Caller, request: Request) -> Mapping:
    connection_id = _connection(c, caller, request)
    found = store.get(c, connection_id, request.path_params["mapping_id"])
    if found is None:
        raise not_found()
    return found


def _change(c: sa.Connection, caller: Caller, request: Request) -> int:
    """The connection that the path names, if its mappings may be changed here."""
    ident = _connection(c, caller, request)
    entry = connections.get(c, ident)
    assert entry is not None  # it was found in this transaction
    changeable(entry)
    return ident


async def list_mappings(request: Request) -> Response:
    """Tell a connection's mappings, the newest first."""
    query = Query(request)
    search = query.text("search")
    query.done()

    def prepare(c: sa.Connection, caller: Caller) -> Source:
        connection_id = _connection(c, caller, request)

        def page(c: sa.Connection, part: Cut) -> list[Item]:
            return [(row.id, _shown(row)) for row in store.page(c, connection_id, part, search=search)]

        return Source(page=page, count=lambda c: store.count(c, connection_id, search=search))

    return await listing(request, prepare)


async def show_mapping(request: Request) -> Response:
    """Tell one mapping."""
    return reply(await reading(request, lambda c, caller: _shown(_find(c, caller, request))))


class _Given(NamedTuple):
    """What a body says."""

    ldap_group: str
    group_id: int


def _read(c: sa.Connection, body: Body, connection_id: int, *, but: int | None = None) -> _Given:
    """Read a body; ``but`` is the mapping that may say the same."""
    values = body.object()
    fields = Fields(values)
    ldap_group = (fields.text("ldap_group", required=True, blank=False, longest=1_000) or "").strip()
    given = values.get("sde_group")
    name = given.get("id") if isinstance(given, dict) else given
    number = whole_group_id(name)
    if name is None:
        fields.wrong("sde_group", REQUIRED)
    elif number is None or groups.get(c, number) is None:
        fields.wrong("sde_group", no_such(name))
    fields.done()
    assert number is not None  # else it was refused above
    same = store.find(c, connection_id, ldap_group=ldap_group, group_id=number)
    if same is not None and same != but:
        raise Invalid({"ldap_group": ["It is mapped to this group already."]})
    return _Given(ldap_group, number)


async def create_mapping(request: Request) -> Response:
    """Add a mapping."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        connection_id = _change(c, caller, request)
        given = _read(c, body, connection_id)
        made = store.create(c, connection_id, ldap_group=given.ldap_group, group_id=given.group_id, now=now)
        inline_mappings.tell(c, connection_id, now=now)
        found = store.get(c, connection_id, made)
        assert found is not None  # it was written in this transaction
        return _shown(found)

    return reply(await writing(request, create), 201)


async def put_mapping(request: Request) -> Response:
    """Change what a mapping says."""
    body, now = await read_body(request), services_of(request).clock()

    def change(c: sa.Connection, caller: Caller) -> Shown:
        there = _find(c, caller, request)
        connection_id = _change(c, caller, request)
        given = _read(c, body, connection_id, but=there.id)
        store.change(c, there.id, ldap_group=given.ldap_group, group_id=given.group_id, now=now)
        inline_mappings.tell(c, connection_id, now=now)
        return _shown(_find(c, caller, request))

    return reply(await writing(request, change))


async def delete_mapping(request: Request) -> Response:
    """Remove a mapping."""
    now = services_of(request).clock()

    def delete(c: sa.Connection, caller: Caller) -> None:
        connection_id = _change(c, caller, request)
        store.delete(c, _find(c, caller, request).id)
        inline_mappings.tell(c, connection_id, now=now)

    await writing(request, delete)
    return Response(status_code=204)
