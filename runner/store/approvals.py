"""Approvals: that a person allowed one run of a connection to destroy more than it may."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.store.schema import approvals
from runner.store.values import to_micros

VALID = timedelta(hours=24)


def grant(c: sa.Connection, *, connection_id: int, allowed: int, user_id: int | None, now: datetime) -> int:
    """Allow the connection's next run ``allowed`` destructive changes; the approval's id."""
    made: int = c.execute(
        sa.insert(approvals)
        .values(
            connection_id=connection_id,
            allowed=allowed,
            user_id=user_id,
            created=to_micros(now),
            until=to_micros(now + VALID),
        )
        .returning(approvals.c.id)
    ).scalar_one()
    return made


def in_force(c: sa.Connection, *, connection_id: int, job_id: int, now: datetime) -> int:
    """How many destructive changes a person allowed for this run; 0 if nobody did.

    One that this very job used already counts: a resumed run keeps its approval.
    """
    allowed = c.scalar(
        sa.select(sa.func.max(approvals.c.allowed)).where(
            approvals.c.connection_id == connection_id,
            sa.or_(
                approvals.c.used_by == job_id,
                sa.and_(approvals.c.used_by.is_(None), approvals.c.until > to_micros(now)),
            ),
        )
    )
    return allowed or 0


def use_up(c: sa.Connection, *, connection_id: int, job_id: int) -> None:
    """Spend the connection's open approvals on this job."""
    c.execute(
        sa.update(approvals)
        .where(approvals.c.connection_id == connection_id, approvals.c.used_by.is_(None))
        .values(used_by=job_id)
    )
