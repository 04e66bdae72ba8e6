"""Many users at once: ``POST /users/bulk-upload/``, a CSV with a user a line.

The columns are e-mail, first name, last name, role and groups, the groups separated by
semicolons. Without ``commit=true`` it is only looked at; with it all are added, or none.
"""

import csv
import io
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.errors import Refused
from runner.model.people import address_key
from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import Invalid, reply
from runner.server.sdelements.groups import need_to_change, whole_group_id
from runner.server.sdelements.shapes import Shown
from runner.server.sdelements.users import check_power, check_taken, insert_user, read_user
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, writing
from runner.store import groups
from runner.store.accounts import ROLE_NAMES

LARGEST = 1_000_000
"""Bytes at the most."""

MOST = 1_000
"""Lines at the most: they are one transaction, for which others wait."""

COLUMNS = ("email", "first_name", "last_name", "role", "groups")

_ROLES = {name.casefold(): role for role, name in ROLE_NAMES.items()}
_SHOWN = 20  # lines that are named as wrong


class _Line(NamedTuple):
    """A line that says something: its number, and the fields as the API takes them."""

    number: int
    values: Mapping[str, Any]


class _Ready(NamedTuple):
    """A user who can be added."""

    line: int
    columns: Mapping[str, Any]
    groups: set[int]


def add_routes(router: Router, root: str) -> None:
    """Add the address below ``root``."""
    many = Op(
        summary="Add users from a CSV; without commit=true it is only looked at",
        body="UserLines",
        media="text/csv",
        answer="BulkUsers",
        query=("commit",),
        also=(413,),
    )
    add(router, "POST", f"{root}/users/bulk-upload/", upload_users, many)


async def upload_users(request: Request) -> Response:
    """Look at a CSV of users, or add them all."""
    query = Query(request)
    commit = query.boolean("commit") or False
    await reading(request, lambda _c, caller: need_to_change(caller))
    query.done()
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST:
            raise Refused(f"The list is larger than {LARGEST} bytes.", status=413)
    lines, now = await in_thread(lambda: _lines(bytes(raw))), services_of(request).clock()

    def look(c: sa.Connection, caller: Caller) -> list[_Ready]:
        need_to_change(caller)
        return _checked(c, caller, lines)

    def write(c: sa.Connection, caller: Caller) -> list[_Ready]:
        ready = look(c, caller)
        for one in ready:
            made = insert_user(c, one.columns, now)
            groups.set_groups_of(c, made, one.groups)
        return ready

    found = await (writing(request, write) if commit else reading(request, look))
    return reply({"committed": commit, "users": [_told(one) for one in found]})


def _told(one: _Ready) -> Shown:
    return {"line": one.line, "email": one.columns["email"]}


def _lines(raw: bytes) -> list[_Line]:
    """The lines of a CSV; ``Invalid`` if it can't be read as one."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid([f"It isn't UTF-8 (byte {error.start}); save it as CSV in UTF-8."]) from None
    found: list[_Line] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            values = dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=False))
            if not any(values.values()) or (not found and values["email"].casefold() in {"email", "e-mail"}):
                continue  # an empty line, or the one with the columns' names
            if len(cells) > len(COLUMNS):
                raise _invalid([f"line {reader.line_num}: there are {len(cells)} columns, not 5."])
            found.append(_Line(reader.line_num, values))
    except csv.Error as error:
        raise _invalid([f"line {reader.line_num} is no CSV ({error})."]) from error
    if len(found) > MOST:
        raise _invalid([f"There are {len(found)} users; send at most {MOST} at a time."])
    return found


def _checked(c: sa.Connection, caller: Caller, lines: list[_Line]) -> list[_Ready]:
    """The users as they can be added; ``Invalid`` names what is wrong with each line."""
    wrong: list[str] = []
    ready: list[_Ready] = []
    first_seen: dict[str, int] = {}
    known = partial(_group, c, {})
    for line in lines:
        try:
            columns, wanted = read_user(c, _fields(line.values, known), create=True)
            check_power(caller, columns, None)
            check_taken(c, columns, user_id=None)
        except Invalid as error:
            wrong += [
                f"line {line.number}, {name}: {' '.join(texts)}" for name, texts in error.fields.items()
            ]
            continue
        before = first_seen.setdefault(address_key(columns["email"]), line.number)
        if before != line.number:
            wrong.append(f"line {line.number}, email: It stands in line {before} already.")
        ready.append(_Ready(line.number, columns, wanted or set()))
    if wrong:
        raise _invalid(wrong)
    return ready


def _fields(values: Mapping[str, str], group: Any) -> dict[str, Any]:
    """A line's cells as the fields of a user; names of roles and groups stand for their ids."""
    fields: dict[str, Any] = {name: value for name, value in values.items() if value}
    if role := values.get("role"):
        fields["role"] = _ROLES.get(role.casefold(), role)
    named = [name.strip() for name in values.get("groups", "").split(";")]
    return {**fields, "groups": [group(name) for name in named if name]}


def _group(c: sa.Connection, seen: dict[str, str], name: str) -> str:
    """A group's id, by its id or name; what is neither stays, and is refused as no such group."""
    if name not in seen:
        there = None if whole_group_id(name) is not None else groups.by_name(c, name)
        seen[name] = name if there is None else f"G{there.id}"
    return seen[name]


def _invalid(texts: list[str]) -> Invalid:
    more = len(texts) - _SHOWN
    return Invalid({"users": [*texts[:_SHOWN], *([f"{more} more are wrong."] if more > 0 else [])]})
