"""Users: ``/users/``. Who a person is and whether they may come in; never a password."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query, no_such
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, conflict, forbidden, not_found, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.groups import need_to_change, read_group_ids, whole_group_id
from runner.server.sdelements.shapes import Shown
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import accounts, groups
from runner.store import users as store
from runner.store.accounts import Role, Scope, User
from runner.store.pages import Cut
from runner.store.users import Wanted

FILTERS = ("email", "is_active", "role", "group", "search")


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of users below ``root``."""
    get, one = partial(add, router, "GET"), f"{root}/users/{{user_id:number}}/"
    get(f"{root}/users/", list_users, Op(summary="List users", answer="User", listing=True, query=FILTERS))
    get(f"{root}/users/me/", show_me, Op(summary="Show who asks", answer="User"))
    get(one, show_user, Op(summary="Show a user", answer="User"))
    made = Op(summary="Add a user", body="NewUser", answer="User", status=201, also=(413, 415))
    add(router, "POST", f"{root}/users/", create_user, made)
    changed = Op(summary="Change a user", body="ChangedUser", answer="User", also=(409, 413, 415))
    add(router, "PATCH", one, patch_user, changed)
    add(router, "PUT", one, patch_user, changed)
    gone = Op(summary="Remove a user of whom nothing tells", status=204, also=(409,))
    add(router, "DELETE", one, delete_user, gone)


def _shown(c: sa.Connection, found: Sequence[User]) -> list[Item]:
    of = groups.of_users(c, [user.id for user in found])
    return [(user.id, shapes.user(user, of.get(user.id, ()))) for user in found]


async def list_users(request: Request) -> Response:
    """Tell the users, the service account among them."""
    query = Query(request)
    group = query.text("group")
    wanted = Wanted(
        email=query.text("email"),
        is_active=query.boolean("is_active"),
        role=query.text("role"),
        group_id=None if group is None else whole_group_id(group),
        search=query.text("search"),
    )
    if group is not None and wanted.group_id is None:
        query.wrong("group", no_such(group))
    query.done()

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        def page(c: sa.Connection, part: Cut) -> list[Item]:
            return _shown(c, store.page(c, wanted, part))

        return Source(page=page, count=lambda c: store.count(c, wanted))

    return await listing(request, prepare, Scope.READ)


async def show_me(request: Request) -> Response:
    """Tell the user whose token is used."""

    def work(c: sa.Connection, caller: Caller) -> Shown:
        found = None if caller.user_id is None else store.get(c, caller.user_id)
        if found is None:
            raise not_found()
        return _shown(c, [found])[0][1]

    return reply(await reading(request, work))


def _find(c: sa.Connection, request: Request) -> User:
    found = store.get(c, request.path_params["user_id"])
    if found is None:
        raise not_found()
    return found


async def show_user(request: Request) -> Response:
    """Tell one user."""
    return reply(await reading(request, lambda c, _caller: _shown(c, [_find(c, request)])[0][1], Scope.READ))


def read_user(c: sa.Connection, values: Mapping[str, Any], *, create: bool) -> tuple[dict[str, Any], Any]:
    """The columns a body names, and the ids of the groups; ``Invalid`` names all that is wrong."""
    fields = Fields(values)
    email = fields.text("email", required=create, blank=False, longest=254)
    if email is not None:
        email = email.strip()
        if email.count("@") != 1 or any(character.isspace() for character in email):
            fields.wrong("email", "Enter a valid email address.")
    role = _role(fields, values)
    columns = {
        "email": email,
        "first_name": fields.text("first_name", longest=150),
        "last_name": fields.text("last_name", longest=150),
        "role": None if role is None else role.value,
        "is_active": fields.boolean("is_active"),
        "is_superuser": fields.boolean("is_superuser"),
        "directory_id": fields.text("directory_id", blank=False, null=True, longest=200),
    }
    wanted = read_group_ids(c, fields, values, "groups")
    fields.done()
    return {name: value for name, value in columns.items() if value is not None}, wanted


def _role(fields: Fields, values: Mapping[str, Any]) -> Role | None:
    """A role by its id, or as the object that was shown."""
    given = values.get("role")
    if not isinstance(given, dict):
        return fields.choice("role", Role)
    inner = Fields({"role": given.get("id")})
    found = inner.choice("role", Role)
    inner.done()
    return found


def check_taken(c: sa.Connection, columns: Mapping[str, Any], *, user_id: int | None) -> None:
    if "email" in columns:
        same = accounts.user_by_email(c, columns["email"])
        if same is not None and same.id != user_id:
            raise Invalid({"email": ["There is a user with this e-mail already."]})
    if "directory_id" in columns:
        ident = store.by_directory_id(c, columns["directory_id"])
        if ident is not None and ident != user_id:
            raise Invalid({"directory_id": ["Another user is known by it already."]})


def check_power(caller: Caller, columns: Mapping[str, Any], there: User | None) -> None:
    """Who isn't a superuser makes and changes none; an agent's directory never does."""
    person = caller.superuser and caller.may(Scope.ADMIN)
    if not person and (columns.get("is_superuser") or (there is not None and there.is_superuser)):
        raise forbidden()
    if not caller.may(Scope.ADMIN) and columns.get("role") == Role.ADMINISTRATOR:
        raise forbidden()


async def create_user(request: Request) -> Response:
    """Add a user. They come in with a token that an administrator makes for them."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        need_to_change(caller)
        columns, wanted = read_user(c, body.object(), create=True)
        check_power(caller, columns, None)
        check_taken(c, columns, user_id=None)
        made = insert_user(c, columns, now)
        if wanted:
            groups.set_groups_of(c, made, wanted)
        return _again(c, made)

    return reply(await writing(request, create), 201)


def insert_user(c: sa.Connection, columns: Mapping[str, Any], now: datetime) -> int:
    made = accounts.create_user(c, email=columns["email"], now=now)
    store.update(c, made, {name: value for name, value in columns.items() if name != "email"})
    return made


def _again(c: sa.Connection, user_id: int) -> Shown:
    found = store.get(c, user_id)
    assert found is not None  # it was written in this transaction
    return _shown(c, [found])[0][1]


async def patch_user(request: Request) -> Response:
    """Change the fields that are given. An inactive user's tokens are dead at once."""
    body = await read_body(request)

    def change(c: sa.Connection, caller: Caller) -> Shown:
        need_to_change(caller)
        there = _find(c, request)
        if there.is_service:
            raise conflict("The service account can't be changed.")
        columns, wanted = read_user(c, body.object(), create=False)
        check_power(caller, columns, there)
        check_taken(c, columns, user_id=there.id)
        if there.id == caller.user_id and columns.get("is_active") is False:
            raise conflict("You can't deactivate yourself.")
        store.update(c, there.id, columns)
        if wanted is not None:
            groups.set_groups_of(c, there.id, wanted)
        return _again(c, there.id)

    return reply(await writing(request, change))


async def delete_user(request: Request) -> Response:
    """Remove a user of whom no job or note tells; others can be deactivated."""

    def delete(c: sa.Connection, caller: Caller) -> None:
        caller.need(Scope.ADMIN)
        there = _find(c, request)
        if there.is_service:
            raise conflict("The service account can't be removed.")
        if there.is_superuser and not caller.superuser:
            raise forbidden()
        if there.id == caller.user_id:
            raise conflict("You can't remove yourself.")
        if store.in_use(c, there.id):
            raise conflict("Jobs or notes tell of this user; deactivate the account instead.")
        store.delete(c, there.id)

    await writing(request, delete)
    return Response(status_code=204)
