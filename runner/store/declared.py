"""Connections that the configuration files declare: made, changed and taken out of use as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind
from runner.store import connections as store
from runner.store import connectors, group_mappings, groups, inline_mappings
from runner.store.schema import applications, business_units, connections, projects
from runner.store.values import from_json
from runner.store.vault import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A connection as it is to be."""

    name: str
    kind: Kind
    system: str
    command: str
    columns: Mapping[str, Any]  # the other columns, by name; params may hold references to secrets
    connector: str | None = None  # the declared connector under it
    group_mappings: Sequence[tuple[str, str]] = ()  # the directory's group, our group's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A connector as it is to be."""

    name: str
    kind: Kind
    system: str
    columns: Mapping[str, Any]  # the other columns, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, by the connections' names."""

    added: list[str]
    changed: list[str]
    removed: list[str]


def project_ids(c: sa.Connection, wanted: str) -> list[int]:
    """Projects of this name, or of this ``"Business unit/Application/Name"``."""
    query = (
        sa.select(projects.c.id)
        .join(applications, applications.c.id == projects.c.application_id)
        .join(business_units, business_units.c.id == applications.c.business_unit_id)
    )
    whole = business_units.c.name + "/" + applications.c.name + "/" + projects.c.name
    return list(c.scalars(query.where(sa.or_(projects.c.name == wanted, whole == wanted)).limit(2)))


def systems(c: sa.Connection) -> dict[str, str]:
    """By the names of all that was ever declared, the system it is for: that never changes."""
    rows = c.execute(
        sa.select(connections.c.declared, connections.c.system).where(connections.c.declared.is_not(None))
    )
    return {row.declared: row.system for row in rows}


def shared_systems(c: sa.Connection) -> dict[str, str]:
    """The same for connectors."""
    return {name: one.system for name, one in connectors.declared(c).items()}


def apply(
    c: sa.Connection, wishes: Sequence[Wish], *, shared: Sequence[Shared], seal: Seal, now: datetime
) -> Applied:
    """Bring the declared connections to what the files say; one that left them is disabled.

    Rows stay for good, so what comes back has its history.
    """
    under = _apply_shared(c, shared, seal=seal, now=now)
    rows = c.execute(sa.select(connections).where(connections.c.declared.is_not(None))).all()
    there = {row.declared: row for row in rows}
    done = Applied(added=[], changed=[], removed=[])
    for wish in wishes:
        row = there.pop(wish.name, None)
        stored = {} if row is None else from_json(row.params)
        columns = {
            **wish.columns,
            "params": seal(wish.system, wish.columns["params"], stored),
            "connector_id": None if wish.connector is None else under[wish.connector],
        }
        if row is None:
            ident = store.create(
                c,
                kind=wish.kind,
                system=wish.system,
                command=wish.command,
                declared=wish.name,
                now=now,
                **columns,
            )
            done.added.append(wish.name)
            _map_groups(c, ident, wish, now)
            continue
        differing = {name: value for name, value in columns.items() if _differs(row, name, value)}
        if row.deleted is not None:
            differing["deleted"] = None
        if differing:
            store.update(c, row.id, differing, now=now)
        if _map_groups(c, row.id, wish, now) or differing:
            done.changed.append(wish.name)
    for name, row in there.items():
        if row.enabled:
            store.update(c, row.id, {"enabled": False}, now=now)
            done.removed.append(name)
    for name, connector in connectors.declared(c).items():
        # While a connection has it, or had it, it stays as it was: it may come back, with them.
        if name not in under and not connectors.in_use(c, connector.id):
            connectors.delete(c, connector.id)
    return done


def _apply_shared(c: sa.Connection, shared: Sequence[Shared], *, seal: Seal, now: datetime) -> dict[str, int]:
    """Bring the declared connectors to what the files say; their numbers by their names."""
    there, numbers = connectors.declared(c), {}
    for one in shared:
        row = there.get(one.name)
        columns = {
            **one.columns,
            "params": seal(one.system, one.columns["params"], {} if row is None else row.params),
        }
        if row is None:
            numbers[one.name] = connectors.create(
                c,
                kind=one.kind,
                system=one.system,
                declared=one.name,
                inaccessible=False,
                now=now,
                **columns,
            )
            continue
        numbers[one.name] = row.id
        differing = {name: value for name, value in columns.items() if getattr(row, name) != value}
        if "editable" in differing:
            differing["fields_editable_on_project"] = differing.pop("editable")
        if differing:
            connectors.update(c, row.id, differing, now=now)
    return numbers


def _differs(row: sa.Row[Any], name: str, value: Any) -> bool:
    stored = getattr(row, name)
    return bool((from_json(stored) if name in {"params", "safety"} else stored) != value)


def _map_groups(c: sa.Connection, connection_id: int, wish: Wish, now: datetime) -> bool:
    """Map the directory's groups as wished; whether anything was to be changed."""
    wanted = set()
    for ldap_group, name in wish.group_mappings:
        group = groups.by_name(c, name)
        group_id = groups.create(c, name=name, now=now) if group is None else group.id
        if group is None:
            inline_mappings.named(c, name, now=now)
        wanted.add((ldap_group, group_id))
    wanted |= inline_mappings.wanted(c, wish.columns["params"])
    there = {(one.ldap_group, one.group_id): one.id for one in group_mappings.of_connection(c, connection_id)}
    for pair in there.keys() - wanted:
        group_mappings.delete(c, there[pair])
    for ldap_group, group_id in sorted(wanted - there.keys()):
        group_mappings.create(c, connection_id, ldap_group=ldap_group, group_id=group_id, now=now)
    return wanted != there.keys()
