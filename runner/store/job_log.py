"""Lines that connectors write to the logs of their jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.model.jobs import Job
from runner.store.pages import Cut, cut
from runner.store.schema import job_log
from runner.store.values import from_json, from_micros, to_json, to_micros

MOST = 10_000
"""Lines that are kept of one attempt."""

CUT = "log_was_cut"
"""The event of the last line where more came than are kept."""


class Line(NamedTuple):
    """A line as it came."""

    at: datetime
    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line as it is kept."""

    id: int
    at: datetime
    attempt: int
    event: str
    fields: dict[str, Any]


def add(c: sa.Connection, *, job: Job, lines: Sequence[Line]) -> None:
    """Keep lines of a job."""
    c.execute(
        sa.insert(job_log),
        [
            {
                "job_id": job.id,
                "attempt": job.attempt,
                "at": to_micros(line.at),
                "event": line.event,
                "fields": to_json(line.fields),
            }
            for line in lines
        ],
    )


def page(c: sa.Connection, job_id: int, part: Cut) -> list[Entry]:
    """Some lines of a job, the oldest first."""
    rows = cut(c, sa.select(job_log).where(job_log.c.job_id == job_id), job_log.c.id, part)
    return [
        Entry(
            id=row.id,
            at=from_micros(row.at),
            attempt=row.attempt,
            event=row.event,
            fields=from_json(row.fields),
        )
        for row in rows
    ]


def count(c: sa.Connection, job_id: int) -> int:
    """How many lines a job has."""
    return c.scalar(sa.select(sa.func.count()).select_from(job_log).where(job_log.c.job_id == job_id)) or 0


def remove(c: sa.Connection, *, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` older lines; how many. Lines come in the order of their ids."""
    first = sa.select(job_log.c.id, job_log.c.at).order_by(job_log.c.id).limit(limit)
    ids = [row.id for row in c.execute(first) if row.at < to_micros(before)]
    if ids:
        c.execute(sa.delete(job_log).where(job_log.c.id.in_(ids)))
    return len(ids)
