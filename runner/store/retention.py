"""What is kept no longer: each function looks for little or removes little, so that nobody waits.

Looking happens on reading transactions, a page of jobs at a time; only what was found is
written, by key.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.store.schema import changes, jobs, outbox, uploads
from runner.store.values import to_micros

BATCH = 500
"""Rows that one write removes at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Jobs of one page that are over their time, and where the next page begins."""

    job_ids: Sequence[int]
    after: int | None  # None = there is no further page


def expired_jobs(c: sa.Connection, *, before: datetime, after: int) -> Expired:
    """A page of jobs that were finished ``before``, from the oldest on.

    Jobs come in the order of their creation, so a page of younger ones is the end of it.
    """
    edge = to_micros(before)
    rows = c.execute(
        sa.select(jobs.c.id, jobs.c.created, jobs.c.finished)
        .where(jobs.c.id > after, ~jobs.c.preview)
        .order_by(jobs.c.id)
        .limit(BATCH)
    ).all()
    more = len(rows) == BATCH and any(row.created < edge for row in rows)
    return Expired(
        job_ids=[row.id for row in rows if row.finished is not None and row.finished < edge],
        after=rows[-1].id if more else None,
    )


def expired_previews(c: sa.Connection, *, before: datetime, after: int) -> Expired:
    """The same for previews, which have an index of their own."""
    rows = c.execute(
        sa.select(jobs.c.id, jobs.c.finished)
        .where(jobs.c.id > after, sa.text("preview"))
        .order_by(jobs.c.id)
        .limit(BATCH)
    ).all()
    edge = to_micros(before)
    return Expired(
        job_ids=[row.id for row in rows if row.finished is not None and row.finished < edge],
        after=rows[-1].id if len(rows) == BATCH else None,
    )


def _reverted() -> sa.Select[tuple[int | None]]:
    """Jobs that a revert, which waits or runs, still reads; from the small indexes of those."""
    parts = [
        sa.select(jobs.c.revert_of).where(
            jobs.c.state == sa.literal_column(f"'{state}'"), jobs.c.revert_of.is_not(None)
        )
        for state in ("behind", "pending", "running")
    ]
    return sa.select(sa.union_all(*parts).subquery().c.revert_of)


def remove_changes(c: sa.Connection, job_ids: Collection[int]) -> int:
    """Remove up to ``BATCH`` changes of these jobs; how many."""
    victims = c.execute(
        sa.select(changes.c.job_id, changes.c.sequence)
        .where(changes.c.job_id.in_(job_ids), changes.c.job_id.not_in(_reverted()))
        .limit(BATCH)
    ).all()
    if victims:
        c.execute(_remove_change, [{"b_job": row.job_id, "b_sequence": row.sequence} for row in victims])
    return len(victims)


_remove_change = sa.delete(changes).where(
    changes.c.job_id == sa.bindparam("b_job"), changes.c.sequence == sa.bindparam("b_sequence")
)


def remove_jobs(c: sa.Connection, job_ids: Collection[int]) -> int:
    """Remove these jobs; how many. Those with changes stay, with results to deliver, and the newest."""
    newer = jobs.alias("newer")
    has_changes = sa.exists().where(changes.c.job_id == jobs.c.id)
    superseded = sa.exists().where(
        newer.c.connection_id == jobs.c.connection_id, newer.c.id > jobs.c.id, ~newer.c.preview
    )
    return c.execute(
        sa.delete(jobs).where(
            jobs.c.id.in_(job_ids),
            sa.or_(jobs.c.preview, superseded),
            ~has_changes,
            ~sa.exists().where(outbox.c.job_id == jobs.c.id, outbox.c.settled.is_(None)),
            jobs.c.id.not_in(_reverted()),
        )
    ).rowcount


def give_up_uploads(c: sa.Connection, *, before: datetime, now: datetime) -> list[str]:
    """Mark uploads as removed that no job has needed since ``before``; the names of their files."""
    edge = to_micros(before)
    needed = sa.exists().where(
        jobs.c.upload_id == uploads.c.id, sa.or_(jobs.c.finished.is_(None), jobs.c.finished >= edge)
    )
    old = (
        sa.select(uploads.c.id)
        .where(uploads.c.removed.is_(None), uploads.c.created < edge, ~needed)
        .limit(BATCH)
    )
    return list(
        c.scalars(
            sa.update(uploads)
            .where(uploads.c.id.in_(old.scalar_subquery()))
            .values(removed=to_micros(now))
            .returning(uploads.c.file)
        )
    )


def remove_uploads(c: sa.Connection) -> int:
    """Remove rows of uploads whose file and last job are gone; how many."""
    used = sa.exists().where(jobs.c.upload_id == uploads.c.id)
    unused = sa.select(uploads.c.id).where(uploads.c.removed.is_not(None), ~used).limit(BATCH)
    return c.execute(sa.delete(uploads).where(uploads.c.id.in_(unused.scalar_subquery()))).rowcount


def give_back_space(c: sa.Connection, *, pages: int) -> int:
    """On SQLite, give up to ``pages`` free pages back to the file system; how many are left."""
    if c.dialect.name != "sqlite":
        return 0  # PostgreSQL does this by itself
    # A page is given back at each step of the statement, so its rows have to be fetched.
    c.connection.cursor().execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
    return free_pages(c)


def free_pages(c: sa.Connection) -> int:
    """How many pages of a SQLite file hold nothing."""
    if c.dialect.name != "sqlite":
        return 0
    free: int = c.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return free
