"""What comes from remote servers: their connections, as copies of ours, and their pending jobs.

A job over there is known by its number and its ``last_run`` as it was first seen. A number
with another ``last_run`` is another job: a server that was restored hands numbers out again.
"""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import SealedShut
from runner.model.jobs import Frequency, Kind
from runner.store import accounts, connections, queue
from runner.store.queue import Origin
from runner.store.schema import connections as table
from runner.store.schema import outbox
from runner.store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteConnection:
    """A connection of a remote server, as we keep it."""

    remote: str
    remote_id: int
    kind: Kind
    system: str  # name of the connector here
    alias: str
    command: str
    params: Mapping[str, Any]
    secret: frozenset[str] = frozenset()  # names of those that are stored sealed
    project: int | None  # its number over there
    frequency: Frequency = Frequency.MANUALLY  # other than manually: it is ours to schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A pending job of a remote server that is ours to run."""

    connection: RemoteConnection
    origin: Origin
    automatic: bool


def known(c: sa.Connection, *, remote: str, kind: Kind, remote_ids: Collection[int]) -> set[tuple[int, str]]:
    """Which of these numbers have been seen, each with the ``last_run`` it had then."""
    rows = c.execute(
        sa.select(outbox.c.remote_id, outbox.c.seen).where(
            outbox.c.remote == remote, outbox.c.kind == kind.value, outbox.c.remote_id.in_(remote_ids)
        )
    )
    return {(row.remote_id, row.seen) for row in rows}


def take(
    c: sa.Connection, job: RemoteJob, *, now: datetime, vault: Vault, observing: bool = False
) -> int | None:
    """Record a remote job as one of ours; its number here, None if it was seen before.

    ``observing`` makes it a preview: it is planned, and nothing is written or owed.
    """
    where = job.connection
    seen = known(c, remote=where.remote, kind=where.kind, remote_ids=[job.origin.remote_id])
    if (job.origin.remote_id, job.origin.seen) in seen:
        return None
    connection_id = keep_connection(c, where, now=now, vault=vault)
    made, _ = queue.enqueue(
        c,
        connection_id=connection_id,
        kind=where.kind,
        now=now,
        automatic=job.automatic,
        preview=observing,
        user_id=accounts.find_service_account(c),
        origin=job.origin,
    )
    return made


def keep_connection(c: sa.Connection, value: RemoteConnection, *, now: datetime, vault: Vault) -> int:
    """Add or bring up to date the copy of a remote connection; its number here."""
    fields: dict[str, Any] = {
        "system": value.system,
        "alias": value.alias,
        "command": value.command,
        "params": vault.seal(value.params, value.secret.__contains__),
        "frequency": value.frequency.value,
        "remote_project": value.project,
    }
    row = c.execute(
        sa.select(table.c.id).where(
            table.c.remote == value.remote,
            table.c.kind == value.kind.value,
            table.c.remote_id == value.remote_id,
        )
    ).one_or_none()
    if row is None:
        made = connections.create(
            c,
            kind=value.kind,
            system=value.system,
            alias=value.alias,
            command=value.command,
            project_id=None,
            params=fields["params"],
            frequency=value.frequency,
            inaccessible=True,
            now=now,
        )
        origin = {"remote": value.remote, "remote_id": value.remote_id, "remote_project": value.project}
        connections.update(c, made, origin, now=now)
        return made
    there = connections.get(c, row.id)
    if there is None:  # it was taken out of use here, and now it is back
        connections.update(c, row.id, {**fields, "deleted": None, "enabled": True}, now=now)
        return int(row.id)
    with contextlib.suppress(SealedShut):  # then what came is sealed with the key that is here
        if vault.open(there.connection.params) == dict(value.params):
            del fields["params"]  # sealed again it would look different, and nothing is new
    changed = {name: new for name, new in fields.items() if getattr(there.connection, name) != new}
    if changed:
        connections.update(c, row.id, changed, now=now)
    return int(row.id)


def scheduled(c: sa.Connection, remote: str) -> dict[tuple[Kind, int], int]:
    """The numbers of a remote's connections that are scheduled here, by kind and number over there."""
    rows = c.execute(
        sa.select(table.c.id, table.c.kind, table.c.remote_id).where(
            table.c.remote == remote,
            table.c.deleted.is_(None),
            table.c.frequency != Frequency.MANUALLY.value,
        )
    )
    return {(Kind(row.kind), row.remote_id): row.id for row in rows}


def unschedule(c: sa.Connection, connection_id: int, *, now: datetime) -> None:
    """Let a connection run by itself no more: over there it is gone, or not ours now."""
    connections.update(c, connection_id, {"frequency": Frequency.MANUALLY.value}, now=now)


def note_mark(c: sa.Connection, connection_id: int, mark: int) -> None:
    """Remember the highest number of a job of this connection over there."""
    c.execute(
        sa.update(table)
        .where(table.c.id == connection_id, sa.func.coalesce(table.c.remote_mark, -1) < mark)
        .values(remote_mark=mark)
    )
