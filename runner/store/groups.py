"""Groups: who is in them, directly and through groups in them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.pages import Cut, contains, cut
from runner.store.rows import alike, insert
from runner.store.schema import group_groups, group_mappings, group_users, groups, users
from runner.store.values import from_micros, to_micros

_AT_ONCE = 500
"""Ids in one statement at the most: SQLite and PostgreSQL both have a limit of variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group, without its members."""

    id: int
    name: str
    description: str
    role: str | None
    updated: datetime


def page(c: sa.Connection, part: Cut, *, name: str | None, search: str | None) -> list[Group]:
    """Some groups, in the order in which they were made."""
    return [
        _group(row) for row in cut(c, sa.select(groups).where(*_conditions(name, search)), groups.c.id, part)
    ]


def count(c: sa.Connection, *, name: str | None, search: str | None) -> int:
    """How many groups are wanted."""
    return c.scalar(sa.select(sa.func.count()).select_from(groups).where(*_conditions(name, search))) or 0


def _conditions(name: str | None, search: str | None) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if name is not None:
        found.append(alike(groups.c.name, name))
    if search is not None:
        found.append(contains([groups.c.name, groups.c.description], search))
    return found


def get(c: sa.Connection, group_id: int) -> Group | None:
    """The group with this id."""
    row = c.execute(sa.select(groups).where(groups.c.id == group_id)).one_or_none()
    return None if row is None else _group(row)


def by_name(c: sa.Connection, name: str) -> Group | None:
    """The group of this name, in any case."""
    row = c.execute(sa.select(groups).where(alike(groups.c.name, name))).one_or_none()
    return None if row is None else _group(row)


def existing(c: sa.Connection, ids: Collection[int]) -> set[int]:
    """Those of ``ids`` that groups have."""
    return _existing(c, groups, ids)


def existing_users(c: sa.Connection, ids: Collection[int]) -> set[int]:
    """Those of ``ids`` that users have."""
    return _existing(c, users, ids)


def _existing(c: sa.Connection, table: sa.Table, ids: Collection[int]) -> set[int]:
    found: set[int] = set()
    for some in _portions(ids):
        found |= set(c.scalars(sa.select(table.c.id).where(table.c.id.in_(some))))
    return found


def _portions(ids: Iterable[int]) -> Iterable[list[int]]:
    ordered = sorted(set(ids))
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))


def create(
    c: sa.Connection, *, name: str, now: datetime, description: str = "", role: str | None = None
) -> int:
    """Add a group without members; the id."""
    return insert(c, groups, name=name, description=description, role=role, updated=to_micros(now))


def update(c: sa.Connection, group_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    """Change columns of a group."""
    c.execute(sa.update(groups).where(groups.c.id == group_id).values(**values, updated=to_micros(now)))


def delete(c: sa.Connection, group_id: int) -> None:
    """Remove a group that no mapping names."""
    c.execute(sa.delete(groups).where(groups.c.id == group_id))


# --- members -----------------------------------------------------------------------------


def member_page(c: sa.Connection, group_id: int, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Ids and e-mails of direct members past the user ``after``."""
    query = (
        sa.select(users.c.id, users.c.email)
        .join(group_users, group_users.c.user_id == users.c.id)
        .where(group_users.c.group_id == group_id, users.c.id > after)
        .order_by(users.c.id)
        .limit(limit)
    )
    return [(row.id, row.email) for row in c.execute(query)]


def members(c: sa.Connection, group_id: int) -> dict[int, str]:
    """E-mails of all direct members, by their ids."""
    query = (
        sa.select(users.c.id, users.c.email)
        .join(group_users, group_users.c.user_id == users.c.id)
        .where(group_users.c.group_id == group_id)
        .order_by(users.c.id)
    )
    return {row.id: row.email for row in c.execute(query)}


def set_members(c: sa.Connection, group_id: int, wanted: Collection[int]) -> None:
    """Make these users, and nobody else, direct members of a group."""
    there = set(c.scalars(sa.select(group_users.c.user_id).where(group_users.c.group_id == group_id)))
    for some in _portions(there - set(wanted)):
        c.execute(
            sa.delete(group_users).where(group_users.c.group_id == group_id, group_users.c.user_id.in_(some))
        )
    fresh = [{"group_id": group_id, "user_id": user_id} for user_id in sorted(set(wanted) - there)]
    if fresh:
        c.execute(sa.insert(group_users), fresh)


def of_users(c: sa.Connection, user_ids: Collection[int]) -> dict[int, list[Group]]:
    """The groups that users are direct members of, by the users' ids."""
    found: dict[int, list[Group]] = {}
    for some in _portions(user_ids):
        query = (
            sa.select(groups, group_users.c.user_id)
            .join(group_users, group_users.c.group_id == groups.c.id)
            .where(group_users.c.user_id.in_(some))
            .order_by(groups.c.id)
        )
        for row in c.execute(query):
            found.setdefault(row.user_id, []).append(_group(row))
    return found


def set_groups_of(c: sa.Connection, user_id: int, wanted: Collection[int]) -> None:
    """Make a user a direct member of these groups and of no other."""
    there = set(c.scalars(sa.select(group_users.c.group_id).where(group_users.c.user_id == user_id)))
    for some in _portions(there - set(wanted)):
        c.execute(
            sa.delete(group_users).where(group_users.c.user_id == user_id, group_users.c.group_id.in_(some))
        )
    fresh = [{"group_id": group_id, "user_id": user_id} for group_id in sorted(set(wanted) - there)]
    if fresh:
        c.execute(sa.insert(group_users), fresh)


# --- groups in groups --------------------------------------------------------------------


def inner(c: sa.Connection, group_id: int) -> list[Group]:
    """The groups whose members are members of this one as well."""
    query = (
        sa.select(groups)
        .join(group_groups, group_groups.c.member_id == groups.c.id)
        .where(group_groups.c.group_id == group_id)
        .order_by(groups.c.id)
    )
    return [_group(row) for row in c.execute(query)]


def set_inner(c: sa.Connection, group_id: int, wanted: Collection[int]) -> None:
    """Put these groups, and no other, into a group."""
    c.execute(sa.delete(group_groups).where(group_groups.c.group_id == group_id))
    rows = [{"group_id": group_id, "member_id": member} for member in sorted(set(wanted))]
    if rows:
        c.execute(sa.insert(group_groups), rows)


def below(c: sa.Connection, ids: Collection[int]) -> set[int]:
    """``ids`` and the groups in them, however deep; circles end."""
    seen = set(ids)
    edge = seen
    while edge:
        edge = {
            member
            for some in _portions(edge)
            for member in c.scalars(
                sa.select(group_groups.c.member_id).where(group_groups.c.group_id.in_(some))
            )
        } - seen
        seen |= edge
    return seen


def all_members(c: sa.Connection, group_id: int) -> dict[int, str]:
    """E-mails of all who are in a group, directly or through a group in it, by their ids."""
    found: dict[int, str] = {}
    for one in sorted(below(c, {group_id})):
        found |= members(c, one)
    return dict(sorted(found.items()))


def mapped_by(c: sa.Connection, group_id: int) -> list[int]:
    """The ids of connections whose mappings name a group."""
    query = sa.select(group_mappings.c.connection_id).where(group_mappings.c.group_id == group_id)
    return sorted(set(c.scalars(query)))


def _group(row: sa.Row[Any]) -> Group:
    return Group(
        id=row.id,
        name=row.name,
        description=row.description,
        role=row.role,
        updated=from_micros(row.updated),
    )
