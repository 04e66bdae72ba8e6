"""Approvals: that a person allowed one run of a connection to destroy more than it may."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.store.rows import insert
from runner.store.schema import approvals, users
from runner.store.values import from_micros, to_micros

VALID = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person allowed, and a run made use of."""

    user: str  # e-mail; "" = nobody known
    allowed: int  # destructive changes
    when: datetime


def grant(
    c: sa.Connection,
    *,
    connection_id: int,
    allowed: int,
    user_id: int | None,
    now: datetime,
    job_id: int | None = None,
) -> int:
    """Allow a run of the connection ``allowed`` destructive changes; the approval's id.

    It holds for ``job_id`` alone: what a person looked at is what may be destroyed, not
    what another run ahead of it finds. Without one it is for the connection's next run.
    """
    return insert(
        c,
        approvals,
        connection_id=connection_id,
        job_id=job_id,
        allowed=allowed,
        user_id=user_id,
        created=to_micros(now),
        until=to_micros(now + VALID),
    )


def _open_for(connection_id: int, job_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        approvals.c.connection_id == connection_id,
        approvals.c.used_by.is_(None),
        sa.or_(approvals.c.job_id.is_(None), approvals.c.job_id == job_id),
    )


def in_force(c: sa.Connection, *, connection_id: int, job_id: int, now: datetime) -> int:
    """How many destructive changes a person allowed for this run; 0 if nobody did.

    One that this very job used already counts: a resumed run keeps its approval.
    """
    allowed = c.scalar(
        sa.select(sa.func.max(approvals.c.allowed)).where(
            approvals.c.connection_id == connection_id,
            sa.or_(
                approvals.c.used_by == job_id,
                sa.and_(_open_for(connection_id, job_id), approvals.c.until > to_micros(now)),
            ),
        )
    )
    return allowed or 0


def use_up(c: sa.Connection, *, connection_id: int, job_id: int) -> None:
    """Spend the approvals that were open for this job on it."""
    c.execute(sa.update(approvals).where(_open_for(connection_id, job_id)).values(used_by=job_id))


def used_by(c: sa.Connection, job_ids: Collection[int]) -> dict[int, Approval]:
    """The approval that each of these jobs made use of, the largest if there were several."""
    if not job_ids:
        return {}
    rows = c.execute(
        sa.select(approvals, users.c.email)
        .outerjoin(users, users.c.id == approvals.c.user_id)
        .where(approvals.c.used_by.in_(sorted(job_ids)))
        .order_by(approvals.c.allowed, approvals.c.id)
    )
    return {
        row.used_by: Approval(user=row.email or "", allowed=row.allowed, when=from_micros(row.created))
        for row in rows
    }
