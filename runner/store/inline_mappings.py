"""Group mappings in their older form: the parameter ``group_mapping`` of an LDAP connection.

Each of its pairs becomes a row beside those that were made one by one. Where rows or the names of groups
change afterwards the parameter is written anew, so that who reads either of them is told the same. A pair
whose group isn't there gets its row when somebody makes the group; until then the connection's runs say so.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind
from runner.store import group_mappings, groups
from runner.store.schema import connections
from runner.store.values import from_json, to_json, to_micros

PARAM = "group_mapping"


def take(
    c: sa.Connection,
    connection_id: int,
    after: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Make rows of what params say; a row that they asked for ``before`` and don't any more is removed."""
    had, has = wanted(c, before or {}), wanted(c, after)
    for ldap_group, group_id in sorted(had | has):
        there = group_mappings.find(c, connection_id, ldap_group=ldap_group, group_id=group_id)
        if (ldap_group, group_id) not in has:
            if there is not None:
                group_mappings.delete(c, there)
        elif there is None:
            group_mappings.create(c, connection_id, ldap_group=ldap_group, group_id=group_id, now=now)


def tell(c: sa.Connection, connection_id: int, *, now: datetime) -> None:
    """Have a connection's parameter say what its rows say, if it has one."""
    params = from_json(
        c.execute(sa.select(connections.c.params).where(connections.c.id == connection_id)).scalar_one()
    )
    if not isinstance(params.get(PARAM), dict):
        return
    rows = group_mappings.of_connection(c, connection_id)
    pairs = {(row.ldap_group, row.group_id) for row in rows}
    told = {}
    for name, value in _inline(params).items():
        group_id = _group(c, value)
        if group_id is None or (name.strip(), group_id) in pairs:
            told[name] = value
    names = {name.strip() for name in told}
    for row in rows:
        if row.ldap_group not in names:  # of several groups for one name the parameter has room for the first
            names.add(row.ldap_group)
            told[row.ldap_group] = row.group
    _write(c, connection_id, params, told, now)


def named(c: sa.Connection, name: str, *, before: str | None = None, now: datetime) -> None:
    """A group has this name now, and had another ``before``, or wasn't there."""
    rows = c.execute(
        sa.select(connections.c.id, connections.c.params, connections.c.declared).where(
            connections.c.kind == Kind.LDAP.value,
            connections.c.deleted.is_(None),
            connections.c.remote.is_(None),
            connections.c.params.contains(f'"{PARAM}"'),
        )
    ).all()
    for row in rows:
        params = from_json(row.params)
        if before is not None and row.declared is None:  # else the file says it, and has to be corrected
            told = {
                each: name if str(value).casefold() == before.casefold() else value
                for each, value in _inline(params).items()
            }
            _write(c, row.id, params, told, now)
            params[PARAM] = told
        take(c, row.id, params, now=now)


def wanted(c: sa.Connection, params: Mapping[str, Any]) -> set[tuple[str, int]]:
    """What params map, as far as the groups are there: the directory's group, and ours by its id."""
    pairs = ((name.strip(), _group(c, value)) for name, value in _inline(params).items())
    return {(name, group_id) for name, group_id in pairs if name and group_id is not None}


def _inline(params: Mapping[str, Any]) -> dict[str, Any]:
    value = params.get(PARAM)
    return value if isinstance(value, dict) else {}


def _group(c: sa.Connection, value: Any) -> int | None:
    """The group that a value names: by its id, as G2, by its name, or by the id's number."""
    text = str(value)
    if (found := _by_number(c, text[1:] if text[:1] == "G" else "")) is not None:
        return found
    there = groups.by_name(c, text)
    return _by_number(c, text) if there is None else there.id


def _by_number(c: sa.Connection, digits: str) -> int | None:
    fits = digits.isascii() and digits.isdecimal() and len(digits) < 19  # noqa: PLR2004 - digits of the largest id
    return next(iter(groups.existing(c, [int(digits)])), None) if fits else None


def _write(
    c: sa.Connection, connection_id: int, params: dict[str, Any], told: dict[str, Any], now: datetime
) -> None:
    if told != _inline(params):
        # Its time too, so that whoever changes the connection at this moment looks at it again.
        values = {"params": to_json({**params, PARAM: told}), "updated": to_micros(now)}
        c.execute(sa.update(connections).where(connections.c.id == connection_id).values(values))
