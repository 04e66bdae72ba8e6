"""What is looked up when somebody asks for the metrics: by indexes, whatever the queue's length."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Frequency
from runner.store.schema import connections, jobs
from runner.store.values import from_micros, maybe_from_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an enabled connection does."""

    id: int
    alias: str
    system: str
    created: datetime
    frequency: Frequency
    schedule: str | None
    timezone: str | None
    waits: bool  # it runs when somebody asks only, or is paused
    last_success: datetime | None
    succeeded: bool | None  # how its last job ended; None = it had none


def _newest(column: sa.ColumnElement[Any], *which: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    """A column of the connection's newest such job, found by walking its index backwards."""
    return (
        sa.select(column)
        .where(jobs.c.connection_id == connections.c.id, ~jobs.c.preview, *which)
        .order_by(jobs.c.id.desc())
        .limit(1)
        .correlate(connections)
        .scalar_subquery()
    )


_enabled = (connections.c.enabled, connections.c.deleted.is_(None))
_health = (
    sa.select(
        connections,
        _newest(jobs.c.finished, jobs.c.outcome == "succeeded").label("last_success"),
        _newest(jobs.c.outcome, jobs.c.outcome.in_(("succeeded", "failed"))).label("last_outcome"),
    )
    .where(*_enabled)
    .order_by(connections.c.id)
)
_oldest = (
    sa.select(jobs.c.not_before)
    .join(connections, connections.c.id == jobs.c.connection_id)
    # A literal, not a parameter: only so does SQLite use the partial index.
    .where(jobs.c.state == sa.literal_column("'pending'"), ~connections.c.paused)
    .order_by(jobs.c.not_before)
    .limit(1)
)


def connection_health(c: sa.Connection, *, most: int) -> list[Health]:
    """How each enabled connection does; none at all if there are more than ``most``."""
    some = sa.select(connections.c.id).where(*_enabled).limit(most + 1).subquery()
    if (c.scalar(sa.select(sa.func.count()).select_from(some)) or 0) > most:
        return []
    return [
        Health(
            id=row.id,
            alias=row.alias,
            system=row.system,
            created=from_micros(row.created),
            frequency=Frequency(row.frequency),
            schedule=row.schedule,
            timezone=row.timezone,
            waits=row.paused or row.is_file_upload,
            last_success=maybe_from_micros(row.last_success),
            succeeded=None if row.last_outcome is None else row.last_outcome == "succeeded",
        )
        for row in c.execute(_health)
    ]


def oldest_pending(c: sa.Connection) -> datetime | None:
    """Since when the job waits that could have run the longest; paused connections' don't count."""
    return maybe_from_micros(c.scalar(_oldest))


def waiting(c: sa.Connection) -> int:
    """How many jobs wait, those behind another one of their connection too."""
    found = sa.select(sa.func.count()).select_from(jobs)
    # Literals, for the partial indexes.
    return sum(
        c.scalar(found.where(jobs.c.state == sa.literal_column(f"'{s}'"))) or 0 for s in ("pending", "behind")
    )
