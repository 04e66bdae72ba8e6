"""Which groups of a directory stand for which of ours, by connection."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.pages import Cut, contains, cut
from runner.store.rows import insert
from runner.store.schema import group_mappings, groups
from runner.store.values import from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Who is in the directory's group is to be in ours."""

    id: int
    ldap_group: str
    group_id: int
    group: str  # its name
    last_modified: datetime


_mappings = sa.select(group_mappings, groups.c.name.label("group")).join(
    groups, groups.c.id == group_mappings.c.group_id
)


def page(c: sa.Connection, connection_id: int, part: Cut, *, search: str | None) -> list[Mapping]:
    """Some of a connection's mappings, the newest first."""
    query = _mappings.where(*_conditions(connection_id, search))
    return [_mapping(row) for row in cut(c, query, group_mappings.c.id, part, newest_first=True)]


def count(c: sa.Connection, connection_id: int, *, search: str | None) -> int:
    """How many mappings are wanted."""
    query = _mappings.with_only_columns(sa.func.count()).where(*_conditions(connection_id, search))
    return c.scalar(query) or 0


def _conditions(connection_id: int, search: str | None) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [group_mappings.c.connection_id == connection_id]
    if search is not None:
        found.append(contains([group_mappings.c.ldap_group, groups.c.name], search))
    return found


def of_connection(c: sa.Connection, connection_id: int) -> list[Mapping]:
    """All mappings of a connection, in the order in which they were made."""
    query = _mappings.where(group_mappings.c.connection_id == connection_id).order_by(group_mappings.c.id)
    return [_mapping(row) for row in c.execute(query)]


def get(c: sa.Connection, connection_id: int, mapping_id: int) -> Mapping | None:
    """One mapping of a connection."""
    row = c.execute(
        _mappings.where(group_mappings.c.connection_id == connection_id, group_mappings.c.id == mapping_id)
    ).one_or_none()
    return None if row is None else _mapping(row)


def find(c: sa.Connection, connection_id: int, *, ldap_group: str, group_id: int) -> int | None:
    """The id of the mapping that says just this."""
    return c.scalar(
        sa.select(group_mappings.c.id).where(
            group_mappings.c.connection_id == connection_id,
            group_mappings.c.ldap_group == ldap_group,
            group_mappings.c.group_id == group_id,
        )
    )


def create(c: sa.Connection, connection_id: int, *, ldap_group: str, group_id: int, now: datetime) -> int:
    """Add a mapping; the id."""
    return insert(
        c,
        group_mappings,
        connection_id=connection_id,
        ldap_group=ldap_group,
        group_id=group_id,
        last_modified=to_micros(now),
    )


def change(c: sa.Connection, mapping_id: int, *, ldap_group: str, group_id: int, now: datetime) -> None:
    """Change what a mapping says."""
    c.execute(
        sa.update(group_mappings)
        .where(group_mappings.c.id == mapping_id)
        .values(ldap_group=ldap_group, group_id=group_id, last_modified=to_micros(now))
    )


def delete(c: sa.Connection, mapping_id: int) -> None:
    """Remove a mapping."""
    c.execute(sa.delete(group_mappings).where(group_mappings.c.id == mapping_id))


def _mapping(row: sa.Row[Any]) -> Mapping:
    return Mapping(
        id=row.id,
        ldap_group=row.ldap_group,
        group_id=row.group_id,
        group=row.group,
        last_modified=from_micros(row.last_modified),
    )
