"""Connections: listing, reading, changing, and the ones that uploads make for themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Connection, Frequency, Kind, State
from runner.store.pages import Cut, contains, cut
from runner.store.rows import insert
from runner.store.schema import connections, connectors, group_mappings, jobs
from runner.store.values import from_json, from_micros, to_json, to_micros

_occupied = (
    sa.exists()
    .where(jobs.c.connection_id == connections.c.id)
    .where(
        sa.or_(jobs.c.state == sa.literal_column("'pending'"), jobs.c.state == sa.literal_column("'running'"))
    )
    .correlate(connections)
)
_select = (
    sa.select(
        connections,
        _occupied.label("in_progress"),
        connectors.c.params.label("connector_params"),
        connectors.c.fields_editable_on_project.label("editable"),
    )
    .outerjoin(connectors, connectors.c.id == connections.c.connector_id)
    .where(connections.c.deleted.is_(None))
)
_by_id = _select.where(connections.c.id == sa.bindparam("connection_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A connection with what the API shows beside it."""

    connection: Connection  # its params are the effective ones: its own over its connector's
    connector_id: int | None
    own_params: dict[str, Any]
    inherited: dict[str, Any]  # params of its connector
    editable: list[str] | None  # params of the connector that it may have otherwise; None = all
    in_progress: bool  # a job of it waits or runs
    created: int  # microseconds since 1970
    updated: int  # the same; tells whether somebody changed it meanwhile
    next_run: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which connections a listing is of; None = no matter."""

    kinds: tuple[Kind, ...]
    project_id: int | None = None
    system: str | None = None
    frequency: str | None = None
    alias: str | None = None
    search: str | None = None  # words that all stand in alias or system


def get(c: sa.Connection, connection_id: int) -> Entry | None:
    """The connection with this id."""
    row = c.execute(_by_id, {"connection_id": connection_id}).one_or_none()
    return None if row is None else _entry(row)


def page(c: sa.Connection, wanted: Wanted, part: Cut) -> list[Entry]:
    """Some of the connections wanted, in the order of their ids."""
    return [_entry(row) for row in cut(c, _select.where(*_conditions(wanted)), connections.c.id, part)]


def count(c: sa.Connection, wanted: Wanted) -> int:
    """How many connections are wanted."""
    query = sa.select(sa.func.count()).select_from(connections).where(connections.c.deleted.is_(None))
    return c.scalar(query.where(*_conditions(wanted))) or 0


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if len(wanted.kinds) < len(Kind):
        found.append(connections.c.kind.in_([kind.value for kind in wanted.kinds]))
    for name in ("project_id", "system", "frequency", "alias"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(connections.c[name] == value)
    if wanted.search is not None:
        found.append(contains([connections.c.alias, connections.c.system], wanted.search))
    return found


def _entry(row: sa.Row[Any]) -> Entry:
    own, inherited = from_json(row.params), from_json(row.connector_params) or {}
    return Entry(
        connector_id=row.connector_id,
        own_params=own,
        inherited=inherited,
        editable=from_json(row.editable),
        connection=Connection(
            id=row.id,
            kind=Kind(row.kind),
            system=row.system,
            alias=row.alias,
            command=row.command,
            frequency=Frequency(row.frequency),
            project_id=row.project_id,
            params={**inherited, **own},
            enabled=row.enabled,
            is_file_upload=row.is_file_upload,
            debug_mode=row.debug_mode,
            inaccessible=row.inaccessible,
            safety=from_json(row.safety),
            schedule=row.schedule,
            timezone=row.timezone,
            paused=row.paused,
            remote=row.remote,
            remote_id=row.remote_id,
            remote_project=row.remote_project,
            declared=row.declared,
        ),
        in_progress=bool(row.in_progress),
        created=row.created,
        updated=row.updated,
        next_run=None if row.next_run is None else from_micros(row.next_run),
    )


def create(
    c: sa.Connection,
    *,
    kind: Kind,
    system: str,
    alias: str,
    command: str,
    project_id: int | None,
    params: Mapping[str, Any],
    now: datetime,
    safety: Mapping[str, Any] | None = None,
    frequency: Frequency = Frequency.MANUALLY,
    enabled: bool = True,
    is_file_upload: bool = False,
    debug_mode: bool = False,
    inaccessible: bool = False,
    schedule: str | None = None,
    timezone: str | None = None,
    declared: str | None = None,
    connector_id: int | None = None,
) -> int:
    """Add a connection; the id."""
    micros = to_micros(now)
    return insert(
        c,
        connections,
        kind=kind.value,
        system=system,
        alias=alias,
        command=command,
        project_id=project_id,
        params=to_json(dict(params)),
        safety=to_json(dict(safety or {})),
        frequency=frequency.value,
        enabled=enabled,
        is_file_upload=is_file_upload,
        debug_mode=debug_mode,
        inaccessible=inaccessible,
        schedule=schedule,
        timezone=timezone,
        declared=declared,
        connector_id=connector_id,
        created=micros,
        updated=micros,
    )


def update(c: sa.Connection, connection_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    """Change columns of a connection. With a new schedule it is due when the scheduler says so."""
    changed = dict(values)
    for name in ("params", "safety"):
        if name in changed:
            changed[name] = to_json(dict(changed[name]))
    if "frequency" in changed:
        changed["frequency"] = Frequency(changed["frequency"]).value
    if not changed.keys().isdisjoint({"frequency", "schedule", "timezone", "enabled"}):
        changed["next_run"] = None
    c.execute(
        sa.update(connections)
        .where(connections.c.id == connection_id)
        .values(**changed, updated=to_micros(now))
    )


def delete(c: sa.Connection, connection_id: int, *, now: datetime) -> None:
    """Take a connection out of use. Its row stays, for its jobs and their journal refer to it."""
    c.execute(sa.delete(group_mappings).where(group_mappings.c.connection_id == connection_id))
    update(c, connection_id, {"deleted": to_micros(now), "enabled": False, "next_run": None}, now=now)


def open_jobs(c: sa.Connection, connection_id: int) -> dict[int, State]:
    """The connection's unfinished jobs."""
    open_ = sa.or_(*(jobs.c.state == sa.literal_column(f"'{s}'") for s in ("behind", "pending", "running")))
    rows = c.execute(
        sa.select(jobs.c.id, jobs.c.state)
        .where(jobs.c.connection_id == connection_id, open_)
        .order_by(jobs.c.id)
    )
    return {row.id: State(row.state) for row in rows}


def for_uploads(
    c: sa.Connection, *, project_id: int, system: str, alias: str, command: str, now: datetime
) -> Entry:
    """The one connection through which a project takes files of a system; made if need be."""
    row = c.execute(
        sa.select(connections.c.id, connections.c.deleted).where(
            connections.c.project_id == project_id,
            connections.c.system == system,
            connections.c.is_file_upload,
        )
    ).one_or_none()
    if row is None:
        found = create(
            c,
            kind=Kind.ANALYSIS,
            system=system,
            alias=alias,
            command=command,
            project_id=project_id,
            params={},
            is_file_upload=True,
            now=now,
        )
    else:
        found = row.id
        if row.deleted is not None:
            update(c, found, {"deleted": None, "enabled": True, "params": {}}, now=now)
    entry = get(c, found)
    assert entry is not None  # it was made or revived above, in this transaction
    return entry


def last_jobs(c: sa.Connection, connection_ids: list[int]) -> dict[int, int]:
    """The id of each connection's newest job that isn't a preview."""
    newest = (
        sa.select(sa.func.max(jobs.c.id))
        .where(jobs.c.connection_id == connections.c.id, ~jobs.c.preview)
        .correlate(connections)
        .scalar_subquery()
    )
    rows = c.execute(
        sa.select(connections.c.id, newest.label("job")).where(connections.c.id.in_(connection_ids))
    )
    return {row.id: row.job for row in rows if row.job is not None}
