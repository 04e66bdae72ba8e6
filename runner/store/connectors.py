"""Connectors of the organisation: what connections of a system have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind
from runner.store.pages import Cut, cut
from runner.store.rows import insert
from runner.store.schema import connections, connectors
from runner.store.values import from_json, to_json, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One of them."""

    id: int
    kind: Kind
    system: str
    name: str
    params: dict[str, Any]  # secrets among them may be sealed
    inaccessible: bool
    editable: list[str] | None  # params that a connection may have of its own; None = all
    declared: str | None  # its name in the configuration files, which alone change it


def page(c: sa.Connection, kind: Kind, part: Cut) -> list[Connector]:
    """Some connectors of a kind, in the order in which they were made."""
    query = sa.select(connectors).where(connectors.c.kind == kind.value)
    return [_connector(row) for row in cut(c, query, connectors.c.id, part)]


def count(c: sa.Connection, kind: Kind) -> int:
    """How many there are of a kind."""
    query = sa.select(sa.func.count()).select_from(connectors).where(connectors.c.kind == kind.value)
    return c.scalar(query) or 0


def get(c: sa.Connection, connector_id: int) -> Connector | None:
    """The connector with this id."""
    row = c.execute(sa.select(connectors).where(connectors.c.id == connector_id)).one_or_none()
    return None if row is None else _connector(row)


def declared(c: sa.Connection) -> dict[str, Connector]:
    """Those that the configuration files declare, or declared, by their names there."""
    rows = c.execute(sa.select(connectors).where(connectors.c.declared.is_not(None)))
    return {row.declared: _connector(row) for row in rows}


def create(
    c: sa.Connection,
    *,
    kind: Kind,
    system: str,
    name: str,
    params: Mapping[str, Any],
    inaccessible: bool,
    editable: Sequence[str] | None,
    declared: str | None = None,
    now: datetime,
) -> int:
    """Add a connector; the id."""
    return insert(
        c,
        connectors,
        kind=kind.value,
        system=system,
        name=name,
        params=to_json(dict(params)),
        inaccessible=inaccessible,
        fields_editable_on_project=None if editable is None else to_json(list(editable)),
        declared=declared,
        updated=to_micros(now),
    )


def update(c: sa.Connection, connector_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    """Change columns of a connector."""
    changed = {
        name: to_json(value)
        if name in {"params", "fields_editable_on_project"} and value is not None
        else value
        for name, value in values.items()
    }
    c.execute(
        sa.update(connectors).where(connectors.c.id == connector_id).values(**changed, updated=to_micros(now))
    )


def delete(c: sa.Connection, connector_id: int) -> None:
    """Remove a connector that no connection has, or had."""
    c.execute(sa.delete(connectors).where(connectors.c.id == connector_id))


def in_use(c: sa.Connection, connector_id: int) -> dict[int, dict[str, Any]]:
    """The own params of connections that have a connector, by their ids; deleted ones among them."""
    query = sa.select(connections.c.id, connections.c.params).where(
        connections.c.connector_id == connector_id
    )
    return {row.id: from_json(row.params) for row in c.execute(query.order_by(connections.c.id))}


def _connector(row: sa.Row[Any]) -> Connector:
    return Connector(
        id=row.id,
        kind=Kind(row.kind),
        system=row.system,
        name=row.name,
        params=from_json(row.params),
        inaccessible=row.inaccessible,
        editable=from_json(row.fields_editable_on_project),
        declared=row.declared,
    )
