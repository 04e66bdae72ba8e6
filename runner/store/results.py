"""Results that come from outside: agents and older clients post what their own run gave."""

import uuid
from datetime import datetime

import sqlalchemy as sa

from runner.model.jobs import Kind, Outcome, State
from runner.store.queue import promote
from runner.store.rows import insert
from runner.store.schema import connections, jobs
from runner.store.values import to_micros

_WAITING: tuple[sa.ColumnElement[str], ...] = (
    sa.literal_column("'pending'"),
    sa.literal_column("'behind'"),
)


def lock_connection(c: sa.Connection, connection_id: int) -> None:
    """On PostgreSQL, let what changes one connection's queue happen one after another."""
    if c.dialect.name == "postgresql":
        row = sa.select(connections.c.id).where(connections.c.id == connection_id)
        c.execute(row.with_for_update(key_share=True))


def oldest_waiting(c: sa.Connection, *, connection_id: int, automatic: bool) -> int | None:
    """The connection's job that waits longest, with the same ``automatic``; never a preview."""
    # A look for each state: only so SQLite takes their small indexes, not all that the connection ever did.
    waiting = [
        sa.select(jobs.c.id, jobs.c.automatic, jobs.c.preview).where(
            jobs.c.connection_id == connection_id, jobs.c.state == state
        )
        for state in _WAITING
    ]
    found = sa.union_all(*waiting).subquery()
    wanted = sa.select(found.c.id).where(found.c.automatic == automatic, ~found.c.preview)
    return c.scalar(wanted.order_by(found.c.id).limit(1))


def end_waiting(
    c: sa.Connection, *, job_id: int, succeeded: bool, message: str, now: datetime
) -> State | None:
    """Finish a job that waits; the state it was in, or None if it doesn't wait any more."""
    micros = to_micros(now)
    for state in (State.PENDING, State.BEHIND):
        hit = c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == sa.literal_column(f"'{state.value}'"))
            .values(
                state=State.FINISHED.value,
                outcome=_outcome(succeeded=succeeded).value,
                result_message=message,
                finished=micros,
                last_run=micros,
            )
            .returning(jobs.c.connection_id)
        ).one_or_none()
        if hit is not None:
            if state is State.PENDING:
                promote(c, hit.connection_id)
            return state
    return None


def add_finished(
    c: sa.Connection,
    *,
    connection_id: int,
    kind: Kind,
    automatic: bool,
    succeeded: bool,
    message: str,
    user_id: int | None,
    now: datetime,
) -> int:
    """Add a job that has its result already; the id."""
    micros = to_micros(now)
    return insert(
        c,
        jobs,
        uuid=uuid.uuid4().hex,
        kind=kind.value,
        connection_id=connection_id,
        state=State.FINISHED.value,
        outcome=_outcome(succeeded=succeeded).value,
        result_message=message,
        automatic=automatic,
        user_id=user_id,
        not_before=micros,
        created=micros,
        finished=micros,
        last_run=micros,
    )


def _outcome(*, succeeded: bool) -> Outcome:
    return Outcome.SUCCEEDED if succeeded else Outcome.FAILED
