"""What comes from remote servers: their connections, as copies of ours, and their pending jobs.

A job over there is known by its number and its ``last_run`` as it was first seen. A number
with another ``last_run`` is another job: a server that was restored hands numbers out again.
One that was claimed is known by its number and its run, which no restore makes twice.
"""

import contextlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import SealedShut
from runner.model.jobs import Frequency, Kind
from runner.store import accounts, connections, facts, queue
from runner.store.database import Database
from runner.store.queue import Origin
from runner.store.schema import connections as table
from runner.store.schema import jobs, outbox
from runner.store.values import to_json
from runner.store.vault import Vault, is_sealed


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
    run: str | None = None  # what it is known by if it was claimed; None = the server doesn't say
    only: str | None = None  # the one subject that it is about
    memory: Mapping[str, Any] = field(default_factory=dict)  # the connection's, of one that was claimed


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
    if (job.origin.remote_id, job.origin.seen) in seen or _is_held(c, job):
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


def _is_held(c: sa.Connection, job: RemoteJob) -> bool:
    """Whether we claimed this very job, and still owe its result."""
    if job.run is None:
        return False
    row = _claimed(c, job, job.run)
    return row is not None and row.settled is None


def _claimed(c: sa.Connection, job: RemoteJob, run: str) -> Any:
    return c.execute(
        sa.select(outbox.c.job_id, outbox.c.state, outbox.c.settled).where(
            outbox.c.remote == job.connection.remote,
            outbox.c.kind == job.connection.kind.value,
            outbox.c.remote_id == job.origin.remote_id,
            outbox.c.seen == run,
        )
    ).one_or_none()


def _adopted(c: sa.Connection, job: RemoteJob) -> Any:
    """One that we saw pending before the server gave it to us; from now on it is the one that was claimed."""
    where = job.connection
    there = sa.select(jobs.c.id).join(table, table.c.id == jobs.c.connection_id)
    return c.execute(
        sa.update(outbox)
        .where(
            outbox.c.remote == where.remote,
            outbox.c.kind == where.kind.value,
            outbox.c.remote_id == job.origin.remote_id,
            outbox.c.held.is_(None),
            outbox.c.settled.is_(None),
            outbox.c.job_id.in_(
                there.where(jobs.c.id == outbox.c.job_id, table.c.remote_id == where.remote_id)
            ),
        )
        .values(seen=job.origin.seen)
        .returning(outbox.c.job_id, outbox.c.state, outbox.c.settled)
    ).one_or_none()


def take_claimed(c: sa.Connection, job: RemoteJob, *, now: datetime, vault: Vault) -> int | None:
    """Record a remote job that was claimed; its number here, None if we have it or its result already.

    Claimed again while it waits or runs here, or while its result waits, it goes on under the
    new claim. A server that was restored may have forgotten a result: it is told again.
    """
    row = _claimed(c, job, job.origin.seen) or _adopted(c, job)
    mine = outbox.c.job_id == (None if row is None else row.job_id)
    if row is not None and row.settled is None:
        c.execute(sa.update(outbox).where(mine).values(held=job.origin.held))
        return None
    if row is not None and row.state == "delivered":
        c.execute(
            sa.update(outbox)
            .where(mine)
            .values(state="owed", held=job.origin.held, settled=None, result_id=None, not_before=0)
        )
        return None
    if row is not None:  # it was given back or taken from us, and is begun anew
        c.execute(sa.update(outbox).where(mine).values(seen=f"{job.origin.seen} until job {row.job_id}"))
    connection_id = keep_connection(c, job.connection, now=now, vault=vault)
    c.execute(sa.update(table).where(table.c.id == connection_id).values(memory=to_json(dict(job.memory))))
    made, _ = queue.enqueue(
        c,
        connection_id=connection_id,
        kind=job.connection.kind,
        now=now,
        automatic=job.automatic,
        only=job.only,
        user_id=accounts.find_service_account(c),
        origin=job.origin,
    )
    return made


def paused(c: sa.Connection, remote: str) -> set[int]:
    """The numbers over there of a remote's connections that are paused here."""
    return set(c.scalars(sa.select(table.c.remote_id).where(table.c.remote == remote, table.c.paused)))


AGENT = "agent"
"""The fact that holds what this store's daemons call themselves where they hold jobs."""


def agent_name(c: sa.Connection) -> str:
    """What we call ourselves where we hold jobs; made at the first time. A copy of the store gets another."""
    known = facts.get(c, AGENT)
    if known is None:
        known = uuid.uuid4().hex
        facts.put(c, AGENT, known)
    return known


def our_name(database: Database) -> str:
    """``agent_name``: it is made once, and to look it up is no write."""
    with database.read() as c:
        known = facts.get(c, AGENT)
    return known or database.write(agent_name)


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
    stored = there.connection.params
    bare = [
        name for name, found in fields["params"].items() if is_sealed(found) > is_sealed(stored.get(name))
    ]
    with contextlib.suppress(SealedShut):  # then what came is sealed with the key that is here
        if not bare and vault.open(stored) == dict(value.params):
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
