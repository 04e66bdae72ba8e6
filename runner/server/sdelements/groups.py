"""Groups: ``/groups/``. Their ids are written as "G64"."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.model.people import address_key
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query, no_such, whole
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, conflict, not_found, reply
from runner.server.sdelements.shapes import Shown, group_id, instant
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import accounts, inline_mappings
from runner.store import groups as store
from runner.store.accounts import Role, Scope
from runner.store.groups import Group
from runner.store.pages import Cut

FILTERS = ("name", "search")


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of groups below ``root``."""
    get, one = partial(add, router, "GET"), f"{root}/groups/{{group_id:group}}/"
    query = (*FILTERS, "include")
    get(f"{root}/groups/", list_groups, Op(summary="List groups", answer="Group", listing=True, query=query))
    get(one, show_group, Op(summary="Show a group", answer="Group", query=("include",)))
    made = Op(summary="Add a group", body="NewGroup", answer="Group", status=201, also=(413, 415))
    add(router, "POST", f"{root}/groups/", create_group, made)
    for method, handler in (("PUT", put_group), ("PATCH", patch_group)):
        body = "NewGroup" if method == "PUT" else "ChangedGroup"
        changed = Op(summary="Change a group", body=body, answer="Group", also=(413, 415))
        add(router, method, one, handler, changed)
    gone = Op(summary="Remove a group that no mapping names", status=204, also=(409,))
    add(router, "DELETE", one, delete_group, gone)


def whole_group_id(text: Any) -> int | None:
    """The number in "G64"; None if it isn't the id of a group."""
    digits = text[1:] if isinstance(text, str) and text[:1] in {"G", "g"} else None
    found = None if digits is None else whole(digits)
    return found if found is not None and found >= 0 else None


def read_group_ids(c: sa.Connection, fields: Fields, values: Mapping[str, Any], name: str) -> set[int] | None:
    """A list of groups, by id or as objects with one; None if the body doesn't name the field."""
    if name not in values:
        return None
    given = values[name]
    if not isinstance(given, list):
        fields.wrong(name, f'Expected a list of items but got type "{type(given).__name__}".')
        return None
    named = [one.get("id") if isinstance(one, dict) else one for one in given]
    numbers = {text: whole_group_id(text) for text in named if isinstance(text, str)}
    there = store.existing(c, [number for number in numbers.values() if number is not None])
    for one in named:
        if not isinstance(one, str) or numbers[one] not in there:
            fields.wrong(name, no_such(one))
    return there


def _read_users(c: sa.Connection, fields: Fields, values: Mapping[str, Any]) -> set[int] | None:
    """The members a body names, by e-mail or id; None if it doesn't say."""
    if "users" not in values:
        return None
    given = values["users"]
    if not isinstance(given, list):
        fields.wrong("users", f'Expected a list of items but got type "{type(given).__name__}".')
        return None
    emails: dict[str, str] = {}  # as they are spelled, by what they are compared by
    ids: set[int] = set()
    for one in given:
        email = one.get("email") if isinstance(one, dict) else one
        ident = one.get("id") if isinstance(one, dict) and email is None else None
        if isinstance(email, str):
            emails[address_key(email)] = email
        elif isinstance(ident, int) and whole(ident) is not None:
            ids.add(ident)
        else:
            fields.wrong("users", "Expected users as objects with an email.")
    there = accounts.ids_by_email(c, emails.values())
    known = store.existing_users(c, ids)
    for name in sorted(emails.keys() - there.keys()):
        fields.wrong("users", f"There is no user with the e-mail {emails[name]}.")
    for ident in sorted(ids - known):
        fields.wrong("users", no_such(ident))
    return set(there.values()) | known


def _people(found: Mapping[int, str]) -> list[Shown]:
    return [{"id": ident, "email": email} for ident, email in found.items()]


_INCLUDED: dict[str, Callable[[sa.Connection, Group], Any]] = {
    "groups": lambda c, group: [
        {"id": group_id(one.id), "name": one.name} for one in store.inner(c, group.id)
    ],
    "users": lambda c, group: _people(store.members(c, group.id)),
    "all_users": lambda c, group: _people(store.all_members(c, group.id)),
    "total_user_count": lambda c, group: len(store.all_members(c, group.id)),
    "sync_connections": lambda c, group: store.mapped_by(c, group.id),
}
"""What ``include=`` adds."""


def _shown(c: sa.Connection, group: Group, include: frozenset[str] = frozenset()) -> Shown:
    shown: Shown = {
        "id": group_id(group.id),
        "name": group.name,
        "description": group.description,
        "role": group.role,
        "updated": instant(group.updated),
    }
    for name in _INCLUDED.keys() & include:
        shown[name] = _INCLUDED[name](c, group)
    return shown


async def list_groups(request: Request) -> Response:
    """Tell the groups."""
    query = Query(request)
    name, search, include = query.text("name"), query.text("search"), query.words("include")
    query.done()

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        def page(c: sa.Connection, part: Cut) -> list[Item]:
            found = store.page(c, part, name=name, search=search)
            return [(group.id, _shown(c, group, include)) for group in found]

        return Source(page=page, count=lambda c: store.count(c, name=name, search=search))

    return await listing(request, prepare, Scope.READ)


def _find(c: sa.Connection, request: Request) -> Group:
    found = store.get(c, request.path_params["group_id"])
    if found is None:
        raise not_found()
    return found


async def show_group(request: Request) -> Response:
    """Tell one group."""
    include = Query(request).words("include")
    return reply(await reading(request, lambda c, _caller: _shown(c, _find(c, request), include), Scope.READ))


async def create_group(request: Request) -> Response:
    """Add a group, with its members."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        need_to_change(caller)
        given = _read(c, body.object(), whole=True)
        _check_taken(c, given.columns, None)
        name = given.columns.pop("name")
        made = store.create(c, name=name, now=now, **given.columns)
        inline_mappings.named(c, name, now=now)
        return _write_members(c, made, given)

    return reply(await writing(request, create), 201)


class _Given:
    """What a body says of a group."""

    __slots__ = ("columns", "inner", "members")

    def __init__(self, columns: dict[str, Any], members: set[int] | None, inner: set[int] | None) -> None:
        self.columns = columns
        self.members = members
        self.inner = inner


def _read(c: sa.Connection, values: Mapping[str, Any], *, whole: bool) -> _Given:
    fields = Fields(values)
    role = None if values.get("role") is None else fields.choice("role", Role)
    columns: dict[str, Any] = {
        "name": fields.text("name", required=whole, blank=False, longest=255),
        "description": fields.text("description", longest=2_000),
    }
    columns = {name: value for name, value in columns.items() if value is not None}
    if "role" in values:
        columns["role"] = None if role is None else role.value
    given = _Given(columns, _read_users(c, fields, values), read_group_ids(c, fields, values, "groups"))
    fields.done()
    return given


def _check_taken(c: sa.Connection, columns: Mapping[str, Any], ident: int | None) -> None:
    same = store.by_name(c, columns["name"]) if "name" in columns else None
    if same is not None and same.id != ident:
        raise Invalid({"name": ["There is a group of this name already."]})


def _check_circle(c: sa.Connection, ident: int, inner: set[int]) -> None:
    if ident in store.below(c, inner):
        raise Invalid({"groups": ["A group can't be in itself, not through others either."]})


def _write_members(c: sa.Connection, ident: int, given: _Given) -> Shown:
    if given.members is not None:
        store.set_members(c, ident, given.members)
    if given.inner is not None:
        store.set_inner(c, ident, given.inner)
    found = store.get(c, ident)
    assert found is not None  # it was written in this transaction
    return _shown(c, found, frozenset({"users", "groups"}))


async def put_group(request: Request) -> Response:
    """Change a group; its members are those given."""
    return await _change(request, whole=True)


async def patch_group(request: Request) -> Response:
    """Change the fields of a group that are given."""
    return await _change(request, whole=False)


async def _change(request: Request, *, whole: bool) -> Response:
    body, now = await read_body(request), services_of(request).clock()

    def change(c: sa.Connection, caller: Caller) -> Shown:
        need_to_change(caller)
        there = _find(c, request)
        given = _read(c, body.object(), whole=whole)
        _check_taken(c, given.columns, there.id)
        if given.inner is not None:
            _check_circle(c, there.id, given.inner)
        store.update(c, there.id, given.columns, now=now)
        if given.columns.get("name", there.name) != there.name:
            inline_mappings.named(c, given.columns["name"], before=there.name, now=now)
        return _write_members(c, there.id, given)

    return reply(await writing(request, change))


async def delete_group(request: Request) -> Response:
    """Remove a group, unless the mapping of a connection names it."""

    def delete(c: sa.Connection, caller: Caller) -> None:
        caller.need(Scope.ADMIN)
        there = _find(c, request)
        named = store.mapped_by(c, there.id)
        if named:
            numbers = ", ".join(str(ident) for ident in named)
            text = f"LDAP connections map groups to it ({numbers}); remove these mappings first."
            raise conflict(text)
        store.delete(c, there.id)

    await writing(request, delete)
    return Response(status_code=204)


def need_to_change(caller: Caller) -> None:
    """Refuse who may not change users and groups: administrators may, and superusers' agents."""
    if not caller.may(Scope.ADMIN):
        caller.need_superuser(Scope.AGENT)
