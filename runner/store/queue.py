"""The queue: what joins it, what comes next, what leaves it unrun.

States go ``behind`` → ``pending`` → ``running`` → ``finished``. The partial unique index
``jobs_one_at_a_time`` keeps one pending or running row per connection; whoever finishes a
row promotes the oldest ``behind`` one in the same transaction. Uniqueness is settled here at
enqueue, not at claim: claiming many rows against a unique index deadlocks on PostgreSQL.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import Reason
from runner.model.jobs import Job, Kind, Outcome, State
from runner.store.pauses import PAUSED
from runner.store.prepared import Prepared
from runner.store.schema import (
    connections,
    facts,
    jobs,
    outbox,
)
from runner.store.values import from_json, from_micros, maybe_from_micros, to_micros

# Literals, not parameters: only so does SQLite use the partial indexes.
BEHIND: sa.ColumnElement[str] = sa.literal_column("'behind'")
PENDING: sa.ColumnElement[str] = sa.literal_column("'pending'")
RUNNING: sa.ColumnElement[str] = sa.literal_column("'running'")

_ahead = jobs.alias("ahead")
_occupied = (
    sa.exists()
    .where(_ahead.c.connection_id == sa.bindparam("b_connection_id"))
    .where(sa.or_(_ahead.c.state == PENDING, _ahead.c.state == RUNNING))
)
_insert = Prepared(
    sa.insert(jobs)
    .values(
        uuid=sa.bindparam("b_uuid"),
        kind=sa.bindparam("b_kind"),
        connection_id=sa.bindparam("b_connection_id"),
        state=sa.case((_occupied, BEHIND), else_=PENDING),
        automatic=sa.bindparam("b_automatic"),
        preview=sa.bindparam("b_preview"),
        only=sa.bindparam("b_only"),
        user_id=sa.bindparam("b_user_id"),
        triggered_by_id=sa.bindparam("b_triggered_by_id"),
        upload_id=sa.bindparam("b_upload_id"),
        slot=sa.bindparam("b_slot"),
        retry_of=sa.bindparam("b_retry_of"),
        revert_of=sa.bindparam("b_revert_of"),
        not_before=sa.bindparam("b_now"),
        created=sa.bindparam("b_now"),
        last_run=sa.bindparam("b_now"),
    )
    .returning(
        jobs.c.id,
        jobs.c.state,
        sa.select(connections.c.remote)
        .where(connections.c.id == sa.bindparam("b_connection_id"))
        .scalar_subquery()
        .label("remote"),
    )
)
_locked_connection = (
    sa.select(connections.c.id)
    .where(connections.c.id == sa.bindparam("b_connection_id"))
    .with_for_update(key_share=True)
)


def lock(c: sa.Connection, connection_id: int) -> None:
    """On PostgreSQL, let an enqueue and a finish of one connection wait for each other.

    Else a row may go ``behind`` one that finishes at the same moment, and stay there.
    """
    if c.dialect.name == "postgresql":
        c.execute(_locked_connection, {"b_connection_id": connection_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The job of a remote server that a job here is the run of."""

    remote_id: int
    seen: str  # its last_run when it was first seen, as the server wrote it; or its run, if it was claimed
    held: int | None = None  # the attempt by which it was claimed


def enqueue(
    c: sa.Connection,
    *,
    connection_id: int,
    kind: Kind,
    now: datetime,
    automatic: bool = False,
    preview: bool = False,
    only: str | None = None,
    user_id: int | None = None,
    triggered_by_id: int | None = None,
    upload_id: int | None = None,
    slot: datetime | None = None,
    retry_of: int | None = None,
    revert_of: int | None = None,
    origin: Origin | None = None,
) -> tuple[int, State]:
    """Add a job; return its id and whether it is ``pending`` or ``behind``.

    One of a remote server's connection owes that server its result from now on.

    Who adds several in one transaction does so in the order of their connections' ids: else two
    of them wait for each other on PostgreSQL, for a second each time.
    """
    lock(c, connection_id)
    [row] = _insert.rows(
        c,
        {
            "b_uuid": uuid.uuid4().hex,
            "b_kind": kind.value,
            "b_connection_id": connection_id,
            "b_automatic": automatic,
            "b_preview": preview,
            "b_only": only,
            "b_user_id": user_id,
            "b_triggered_by_id": triggered_by_id,
            "b_upload_id": upload_id,
            "b_slot": None if slot is None else to_micros(slot),
            "b_retry_of": retry_of,
            "b_revert_of": revert_of,
            "b_now": to_micros(now),
        },
    )
    if row.remote is not None and (origin is not None or not preview):
        owed: dict[str, Any] = {"job_id": row.id, "remote": row.remote, "kind": kind.value}
        if origin is not None:
            owed |= {"remote_id": origin.remote_id, "seen": origin.seen, "held": origin.held}
        if preview:
            owed |= {"state": "dropped", "settled": to_micros(now)}  # it was seen, and nothing is told of it
        c.execute(sa.insert(outbox).values(**owed))
    return row.id, State(row.state)


def job_from_row(row: Any, **changed: Any) -> Job:
    """A row of ``jobs`` as a value, with ``changed`` fields in place of the row's."""
    fields: dict[str, Any] = {
        "id": row.id,
        "uuid": row.uuid,
        "kind": Kind(row.kind),
        "connection_id": row.connection_id,
        "state": row.state,
        "outcome": None if row.outcome is None else Outcome(row.outcome),
        "reason": None if row.reason is None else Reason(row.reason),
        "result_message": row.result_message,
        "automatic": bool(row.automatic),
        "preview": bool(row.preview),
        "only": row.only,
        "user_id": row.user_id,
        "triggered_by_id": row.triggered_by_id,
        "upload_id": row.upload_id,
        "attempt": row.attempt,
        "retries": row.retries,
        "owner": row.owner,
        "cancel_requested": bool(row.cancel_requested),
        "retry_of": row.retry_of,
        "revert_of": row.revert_of,
        "totals": from_json(row.totals),
        "progress": row.progress,
        "created": from_micros(row.created),
        "started": maybe_from_micros(row.started),
        "finished": maybe_from_micros(row.finished),
        "last_run": from_micros(row.last_run),
    }
    fields.update(changed)
    fields["state"] = State(fields["state"])
    return Job(**fields)


_next = jobs.alias("next")
_oldest_behind = (
    sa.select(_next.c.id)
    .where(_next.c.connection_id == sa.bindparam("b_connection_id"), _next.c.state == BEHIND)
    .order_by(_next.c.id)
    .limit(1)
    .scalar_subquery()
)
_promote = Prepared(sa.update(jobs).where(jobs.c.id == _oldest_behind).values(state=PENDING))


def promote(c: sa.Connection, connection_id: int) -> bool:
    """Let the oldest job that waits behind the connection's last one be claimed."""
    return bool(_promote.count(c, {"b_connection_id": connection_id}))


CANCELLED_EARLY = "Cancelled before it started; nothing was changed."
CANCELLED_BETWEEN = "Cancelled before its next attempt; the journal of changes tells what was written before."


def cancel(c: sa.Connection, *, job_id: int, now: datetime) -> State | None:
    """Cancel a job: at once if it waits, by request if it runs. Returns the state it was in."""
    connection_id = c.scalar(sa.select(jobs.c.connection_id).where(jobs.c.id == job_id))
    if connection_id is None:
        return None
    # Locked before its state is read: on PostgreSQL it may be claimed or promoted at this moment.
    lock(c, connection_id)
    found = sa.select(jobs.c.state, jobs.c.attempt).where(jobs.c.id == job_id)
    row = c.execute(found.with_for_update(key_share=True)).one()
    state = State(row.state)
    if state is State.FINISHED:
        return state
    micros = to_micros(now)
    values: dict[str, Any] = {
        "state": "finished",
        "outcome": Outcome.CANCELLED.value,
        "reason": Reason.CANCELLED.value,
        "result_message": CANCELLED_EARLY if row.attempt == 0 else CANCELLED_BETWEEN,
        "progress": "",
        "finished": micros,
        "last_run": micros,
    }
    if state is State.RUNNING:
        values = {"cancel_requested": True}
    c.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))
    if state is State.PENDING:
        promote(c, connection_id)
    return state


def anything_open(c: sa.Connection) -> bool:
    """Whether any job waits or runs."""
    return any(
        c.execute(sa.select(jobs.c.id).where(jobs.c.state == state).limit(1)).first() is not None
        for state in (RUNNING, PENDING, BEHIND)
    )


# What is asked of a job before it is taken: pauses are stored, so they hold for every daemon.
ADMITTED = (
    ~sa.exists().where(facts.c.name == sa.literal_column(f"'{PAUSED}'")),
    ~connections.c.paused,
    sa.or_(jobs.c.preview, ~sa.bindparam("b_frozen", type_=sa.Boolean)),
)


HERE: sa.ColumnElement[bool] = sa.or_(~connections.c.inaccessible, connections.c.remote.is_not(None))
"""Whether a connection's jobs are run by this server; others are for agents to claim.

One of a remote server is inaccessible to that server, and we are its agent.
"""


# One statement: between two of them a job may go from what waits to what runs.
_anything = Prepared(
    sa.select(jobs.c.id)
    .where(jobs.c.state == RUNNING)
    .union_all(
        sa.select(jobs.c.id)
        .join(connections, connections.c.id == jobs.c.connection_id)
        .where(jobs.c.state == PENDING, HERE, *ADMITTED)
    )
    .limit(1)
)


def anything_to_take(c: sa.Connection, *, frozen: bool) -> bool:
    """Whether any job runs, or will be taken without a person's doing: none is while it is paused."""
    return bool(_anything.rows(c, {"b_frozen": frozen}))


def open_count(c: sa.Connection) -> dict[State, int]:
    """How many jobs wait and run."""
    rows = c.execute(
        sa.select(jobs.c.state, sa.func.count())
        .where(sa.or_(jobs.c.state == BEHIND, jobs.c.state == PENDING, jobs.c.state == RUNNING))
        .group_by(jobs.c.state)
    )
    found = {State(state): count for state, count in rows}
    return {state: found.get(state, 0) for state in (State.BEHIND, State.PENDING, State.RUNNING)}
