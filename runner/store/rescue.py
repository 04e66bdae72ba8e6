"""Rescue: jobs whose daemon died under them are taken back, and tried again or given up."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from runner.errors import Reason
from runner.model.jobs import Job, Outcome
from runner.store import findings, queue
from runner.store.claims import DatabaseNow
from runner.store.schema import changes, jobs, reads
from runner.store.values import to_micros

AGENT = "agent:"
"""What the owners of jobs begin with that agents hold."""

GAVE_UP = (
    "The daemon stopped {times} times while this job ran, so it isn't tried again. "
    "See the journal of changes for what it wrote, and run the connection again when the cause is found."
)


def rescue(
    c: sa.Connection,
    *,
    now: datetime,
    max_attempts: int,
    expired_only: bool,
    agents_only: bool = False,
) -> tuple[int, int]:
    """Take back running jobs whose owner is dead; how many go on and how many gave up.

    With ``expired_only`` those whose lease ran out; else all but agents' (on SQLite the
    state lock proves that no other daemon runs any). ``agents_only`` leaves daemons' alone.
    """
    expired = jobs.c.lease_until < DatabaseNow()
    if not expired_only:
        expired = sa.or_(expired, ~of_agent())
    dead = sa.and_(jobs.c.state == queue.RUNNING, expired, of_agent() if agents_only else sa.true())
    found = c.execute(sa.select(jobs.c.id, jobs.c.connection_id).where(dead).order_by(jobs.c.connection_id))
    again = gave_up = 0
    for job_id, connection_id in found.all():
        queue.lock(c, connection_id)
        row = c.execute(
            sa.select(jobs.c.deaths, jobs.c.cancel_requested)
            .where(jobs.c.id == job_id, dead)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None:
            continue  # it ended, or somebody else took it back, before the lock
        goes_on = not row.cancel_requested and row.deaths + 1 < max_attempts
        values = _again(row) if goes_on else _given_up(row, to_micros(now))
        c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id)
            .values(owner=None, lease_until=None, last_run=to_micros(now), **values)
        )
        if goes_on:
            again += 1
        else:
            gave_up += 1
            queue.promote(c, connection_id)
    return again, gave_up


def of_agent() -> sa.ColumnElement[bool]:
    """Whether a running job is held by an agent elsewhere."""
    return jobs.c.owner.startswith(AGENT, autoescape=True)


def expired_agents(c: sa.Connection) -> bool:
    """Whether a lease of an agent ran out; cheap, for the keeper asks each second."""
    found = sa.select(jobs.c.id).where(
        jobs.c.state == queue.RUNNING, jobs.c.lease_until < DatabaseNow(), of_agent()
    )
    return c.execute(found.limit(1)).first() is not None


def spare_agents(c: sa.Connection, *, lease: timedelta) -> None:
    """Let agents hold what they have for a while yet: nobody could renew a lease while we were away."""
    until = DatabaseNow() + lease // timedelta(microseconds=1)
    c.execute(
        sa.update(jobs)
        .where(jobs.c.state == queue.RUNNING, of_agent(), jobs.c.lease_until < until)
        .values(lease_until=until)
    )


def _again(row: Any) -> dict[str, Any]:
    return {"state": "pending", "deaths": row.deaths + 1}


def _given_up(row: Any, micros: int) -> dict[str, Any]:
    outcome, reason, message = (
        Outcome.FAILED,
        Reason.CRASH,
        GAVE_UP.format(times=row.deaths + 1),
    )
    if row.cancel_requested:
        outcome, reason = Outcome.CANCELLED, Reason.CANCELLED
        message = "Cancelled; the journal of changes tells what was written before."
    return {
        "state": "finished",
        "outcome": outcome.value,
        "reason": reason.value,
        "result_message": message,
        "progress": "",
        "finished": micros,
    }


def forget_attempt(c: sa.Connection, *, job: Job) -> None:
    """Drop what dead attempts of a job planned but never sent, and what they had read."""
    c.execute(sa.delete(changes).where(changes.c.job_id == job.id, changes.c.state == "planned"))
    c.execute(sa.delete(reads).where(reads.c.job_id == job.id))
    findings.forget(c, job)
