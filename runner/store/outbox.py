"""Results on their way to the servers they belong to.

A job's row is there from before it runs; from the moment it is finished it is due. A row is
``sent`` before its request leaves, so that after a crash nobody takes an unanswered request
for one that was never made.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind, State
from runner.store import queue
from runner.store.schema import connections, jobs, outbox
from runner.store.values import from_json, to_micros


class Delivery(StrEnum):
    """How far a result is on its way."""

    OWED = "owed"  # never sent
    SENT = "sent"  # sent at least once; whether it arrived has to be asked
    DELIVERED = "delivered"  # the server has it
    REFUSED = "refused"  # the server will never take it; ``error`` says why
    DROPPED = "dropped"  # there is nothing to tell: the job over there isn't ours any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One result that is due."""

    job_id: int
    uuid: str
    kind: Kind
    state: Delivery
    connection_id: int  # here
    remote_connection: int
    mark: int | None  # the highest number of the connection's jobs over there, as far as is known
    remote_id: int | None
    seen: str | None
    automatic: bool
    succeeded: bool
    message: str
    attempts: int
    held: int | None = None  # the attempt by which its job is held over there
    reason: str | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)  # the connection's
    waits: bool = False  # it was put off, and with it what comes after it of its connection


_FARTHEST = timedelta(hours=1)  # no result is put off for longer: a clock that was put back had it so

_due = (
    sa.select(
        outbox,
        jobs.c.uuid,
        jobs.c.connection_id,
        jobs.c.automatic,
        jobs.c.outcome,
        jobs.c.reason,
        jobs.c.totals,
        jobs.c.result_message,
        connections.c.remote_id.label("remote_connection"),
        connections.c.remote_mark,
        connections.c.memory,
    )
    .join(jobs, jobs.c.id == outbox.c.job_id)
    .join(connections, connections.c.id == jobs.c.connection_id)
    .where(
        outbox.c.remote == sa.bindparam("b_remote"),
        outbox.c.settled.is_(None),
        outbox.c.job_id > sa.bindparam("b_after"),
        jobs.c.state == "finished",
    )
    .order_by(outbox.c.job_id)
    .limit(sa.bindparam("b_limit"))
)


def due(c: sa.Connection, remote: str, *, now: datetime, after: int, limit: int) -> list[Letter]:
    """Results for a remote past the job ``after``, in the order of their jobs, also those put off."""
    rows = c.execute(_due, {"b_remote": remote, "b_after": after, "b_limit": limit})
    begins, ends = to_micros(now), to_micros(now + _FARTHEST)
    return [
        replace(
            _letter(row, succeeded=row.outcome == "succeeded", message=row.result_message),
            reason=row.reason,
            totals=from_json(row.totals),
            memory={} if row.held is None else from_json(row.memory),
            waits=begins < row.not_before < ends,
        )
        for row in rows
    ]


def _letter(row: Any, *, succeeded: bool, message: str) -> Letter:
    return Letter(
        job_id=row.job_id,
        uuid=row.uuid,
        kind=Kind(row.kind),
        state=Delivery(row.state),
        connection_id=row.connection_id,
        remote_connection=row.remote_connection,
        mark=row.remote_mark,
        remote_id=row.remote_id,
        seen=row.seen,
        automatic=bool(row.automatic),
        succeeded=succeeded,
        message=message,
        attempts=row.attempts,
        held=row.held,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that a remote server gave us for a while, and whose result it hasn't got."""

    job_id: int
    kind: Kind
    remote_id: int
    remote_connection: int
    seen: str
    attempt: int  # over there
    state: State  # here
    begun: bool  # whether an attempt at it was made here
    paused: bool  # whether its connection is paused here


def held(c: sa.Connection, remote: str) -> list[Held]:
    """What we hold at a remote, in the order of the jobs here."""
    rows = c.execute(
        sa.select(
            outbox.c.job_id,
            outbox.c.kind,
            outbox.c.remote_id,
            outbox.c.seen,
            outbox.c.held,
            jobs.c.state,
            jobs.c.attempt,
            connections.c.remote_id.label("remote_connection"),
            connections.c.paused,
        )
        .join(jobs, jobs.c.id == outbox.c.job_id)
        .join(connections, connections.c.id == jobs.c.connection_id)
        .where(outbox.c.remote == remote, outbox.c.settled.is_(None), outbox.c.held.is_not(None))
        .order_by(outbox.c.job_id)
    )
    return [
        Held(
            job_id=row.job_id,
            kind=Kind(row.kind),
            remote_id=row.remote_id,
            remote_connection=row.remote_connection,
            seen=row.seen,
            attempt=row.held,
            state=State(row.state),
            begun=row.attempt > 0,
            paused=bool(row.paused),
        )
        for row in rows
    ]


def stands(c: sa.Connection, one: Held) -> bool:
    """Whether we still hold a job by this attempt."""
    query = sa.select(outbox.c.job_id).where(
        outbox.c.job_id == one.job_id, outbox.c.settled.is_(None), outbox.c.held == one.attempt
    )
    return c.execute(query).first() is not None


def let_go(c: sa.Connection, job_id: int, *, why: str, now: datetime, waiting: bool = False) -> bool:
    """End a job here that isn't ours any more, and owe nothing for it; False if it ended before.

    One that runs is asked to end, unless only one that is ``waiting`` is meant; ``why`` is what it says then.
    """
    row = c.execute(sa.select(jobs.c.state, jobs.c.connection_id).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        return False
    queue.lock(c, row.connection_id)
    state = c.scalar(sa.select(jobs.c.state).where(jobs.c.id == job_id).with_for_update())
    if state == State.FINISHED.value or (waiting and state == State.RUNNING.value):
        return False
    settle(c, [Settled(job_id=job_id, state=Delivery.DROPPED, error=why)], now=now)
    if queue.cancel(c, job_id=job_id, now=now) in {State.PENDING, State.BEHIND}:
        c.execute(sa.update(jobs).where(jobs.c.id == job_id).values(result_message=why))
    return True


def why_let_go(c: sa.Connection, job_ids: Collection[int]) -> dict[int, str]:
    """Of these jobs those that aren't ours any more, each with a sentence that says so."""
    rows = c.execute(
        sa.select(outbox.c.job_id, outbox.c.error).where(
            outbox.c.job_id.in_(job_ids), outbox.c.state == Delivery.DROPPED.value, outbox.c.error != ""
        )
    )
    return {row.job_id: row.error for row in rows}


def note_sent(c: sa.Connection, job_ids: Sequence[int]) -> None:
    """Remember, before the requests leave, that these results are sent."""
    c.execute(
        sa.update(outbox)
        .where(outbox.c.job_id.in_(job_ids), outbox.c.settled.is_(None))
        .values(state=Delivery.SENT.value, attempts=outbox.c.attempts + 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of one result."""

    job_id: int
    state: Delivery
    result_id: int | None = None  # the row over there
    error: str = ""


def settle(c: sa.Connection, settled: Sequence[Settled], *, now: datetime) -> None:
    """Record what became of results; they are due no more."""
    for one in settled:
        c.execute(
            sa.update(outbox)
            .where(outbox.c.job_id == one.job_id, outbox.c.settled.is_(None))
            .values(state=one.state.value, result_id=one.result_id, error=one.error, settled=to_micros(now))
        )


def put_off(c: sa.Connection, job_id: int, *, until: datetime, why: str) -> None:
    """Have one result wait; others may go before it."""
    c.execute(
        sa.update(outbox)
        .where(outbox.c.job_id == job_id, outbox.c.settled.is_(None))
        .values(not_before=to_micros(until), error=why)
    )


def origin(c: sa.Connection, job_id: int) -> Letter | None:
    """What is known of a job's origin; None if it belongs to no remote server."""
    query = (
        sa.select(outbox, jobs.c.uuid, jobs.c.connection_id, jobs.c.automatic, connections.c.remote_mark)
        .add_columns(connections.c.remote_id.label("remote_connection"))
        .join(jobs, jobs.c.id == outbox.c.job_id)
        .join(connections, connections.c.id == jobs.c.connection_id)
        .where(outbox.c.job_id == job_id)
    )
    row = c.execute(query).one_or_none()
    return None if row is None else _letter(row, succeeded=False, message="")


def row_is_taken(c: sa.Connection, remote: str, kind: Kind, result_id: int) -> bool:
    """Whether a row over there is known to hold another of our results."""
    query = sa.select(outbox.c.job_id).where(
        outbox.c.remote == remote, outbox.c.kind == kind.value, outbox.c.result_id == result_id
    )
    return c.execute(query.limit(1)).first() is not None


def was_told(c: sa.Connection, remote: str, kind: Kind, remote_id: int, *, seen: str) -> bool:
    """Whether the result of a job over there was given to the server, which shows it as waiting still."""
    query = sa.select(outbox.c.job_id).where(
        outbox.c.remote == remote,
        outbox.c.kind == kind.value,
        outbox.c.remote_id == remote_id,
        outbox.c.seen == seen,
        outbox.c.settled.is_not(None),
    )
    return c.execute(query.limit(1)).first() is not None


def counts(c: sa.Connection, remote: str) -> dict[str, int]:
    """How many results wait to be delivered, and how many the server refused for good."""
    waiting = (
        sa.select(sa.func.count())
        .select_from(outbox)
        .join(jobs, jobs.c.id == outbox.c.job_id)
        .where(outbox.c.remote == remote, outbox.c.settled.is_(None), jobs.c.state == "finished")
    )
    refused = sa.select(sa.func.count()).where(outbox.c.remote == remote, outbox.c.state == "refused")
    return {"undelivered": c.scalar(waiting) or 0, "refused": c.scalar(refused) or 0}


def anything_due(c: sa.Connection) -> bool:
    """Whether any result waits to be delivered."""
    query = (
        sa.select(outbox.c.job_id)
        .join(jobs, jobs.c.id == outbox.c.job_id)
        .where(outbox.c.settled.is_(None), jobs.c.state == "finished")
    )
    return c.execute(query.limit(1)).first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One result of ours, as history: delivered, refused, dropped, or of a job that was only observed."""

    job_id: int
    kind: Kind
    state: Delivery
    remote_connection: int
    result_id: int | None
    remote_id: int | None
    succeeded: bool
    message: str
    observed: bool


def history(c: sa.Connection, remote: str, *, since: datetime) -> list[Entry]:
    """All results of a remote's jobs that ended since then."""
    rows = c.execute(
        sa.select(
            outbox.c.job_id,
            outbox.c.kind,
            outbox.c.state,
            outbox.c.result_id,
            outbox.c.remote_id,
            jobs.c.outcome,
            jobs.c.reason,
            jobs.c.result_message,
            jobs.c.preview,
            connections.c.remote_id.label("remote_connection"),
        )
        .join(jobs, jobs.c.id == outbox.c.job_id)
        .join(connections, connections.c.id == jobs.c.connection_id)
        .where(outbox.c.remote == remote, jobs.c.finished >= to_micros(since))
        .order_by(outbox.c.job_id)
    )
    return [
        Entry(
            job_id=row.job_id,
            kind=Kind(row.kind),
            state=Delivery(row.state),
            remote_connection=row.remote_connection,
            result_id=row.result_id,
            remote_id=row.remote_id,
            # A preview that says what would have stopped the run has a reason.
            succeeded=row.outcome == "succeeded" and row.reason is None,
            message=row.result_message,
            observed=bool(row.preview),
        )
        for row in rows
    ]
