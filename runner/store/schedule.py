"""The scheduler's side of the store: which connections are due, and the jobs of their slots.

``connections.next_run`` is the slot that comes next; null where it has to be computed first
(see ``schema.UNSCHEDULED``), or where a connection never runs by itself. Pages are short, and each is
read, enqueued and moved on in one transaction. On PostgreSQL its rows are locked as every
enqueue locks them, and daemons that tick at the same moment share the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from runner.model.jobs import Frequency
from runner.store import facts
from runner.store.prepared import Prepared
from runner.store.schema import UNSCHEDULED, connections, jobs, outbox
from runner.store.values import from_micros, maybe_from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A connection, as far as its schedule goes."""

    id: int
    frequency: Frequency
    schedule: str | None
    timezone: str | None
    next_run: datetime | None
    runs: bool  # else it was disabled or removed: it is due no more


class _NewUuid(FunctionElement[str]):
    """A random UUID as 32 hexadecimal digits, made by the database, one for each row."""

    type = sa.Text()
    inherit_cache = True


@compiles(_NewUuid, "postgresql")
def _uuid_on_postgresql(_element: _NewUuid, _compiler: Any, **_options: Any) -> str:
    return "replace(CAST(gen_random_uuid() AS TEXT), '-', '')"


@compiles(_NewUuid, "sqlite")
def _uuid_on_sqlite(_element: _NewUuid, _compiler: Any, **_options: Any) -> str:
    return "lower(hex(randomblob(16)))"


_runs = sa.and_(
    connections.c.enabled,
    ~connections.c.is_file_upload,
    connections.c.deleted.is_(None),
    # An inaccessible one of ours is its agent's to run, at its agent's times.
    sa.or_(~connections.c.inaccessible, connections.c.remote.is_not(None)),
)
_row = sa.select(
    connections.c.id,
    connections.c.frequency,
    connections.c.schedule,
    connections.c.timezone,
    connections.c.next_run,
    _runs.label("runs"),
)
_limit = sa.bindparam("b_limit", type_=sa.Integer)
_now = sa.bindparam("b_now", type_=sa.BigInteger)
_after = sa.bindparam("b_after", type_=sa.BigInteger)
_due = Prepared(
    _row.where(connections.c.next_run.is_not(None), connections.c.next_run <= _now)
    .order_by(connections.c.next_run)
    .limit(_limit)
    .with_for_update(key_share=True, skip_locked=True)
)
_unscheduled = Prepared(
    _row.where(UNSCHEDULED, connections.c.id > _after)
    .order_by(connections.c.id)
    .limit(_limit)
    .with_for_update(key_share=True, skip_locked=True)
)
_later = Prepared(
    _row.where(connections.c.id > _after, connections.c.next_run > _now)
    .order_by(connections.c.id)
    .limit(_limit)
    .with_for_update(key_share=True)
)
_FREQUENCIES = {frequency.value: frequency for frequency in Frequency}


def _rows(c: sa.Connection, query: Prepared, **values: int) -> list[Row]:
    return [
        Row(
            id=row.id,
            frequency=_FREQUENCIES[row.frequency],
            schedule=row.schedule,
            timezone=row.timezone,
            next_run=maybe_from_micros(row.next_run),
            runs=bool(row.runs),
        )
        for row in query.rows(c, {f"b_{name}": value for name, value in values.items()})
    ]


_any_due = Prepared(
    sa.select(connections.c.id)
    .where(connections.c.next_run.is_not(None), connections.c.next_run <= _now)
    .limit(1)
)
_any_unscheduled = Prepared(sa.select(connections.c.id).where(UNSCHEDULED).limit(1))


def anything_to_do(c: sa.Connection, *, now: datetime) -> bool:
    """Whether any connection is due, or waits to be told when it is."""
    return bool(_any_due.rows(c, {"b_now": to_micros(now)}) or _any_unscheduled.rows(c, {}))


def due(c: sa.Connection, *, now: datetime, limit: int) -> list[Row]:
    """Connections whose slot has come, the oldest slot first, with those that don't run any more."""
    return _rows(c, _due, now=to_micros(now), limit=limit)


def unscheduled(c: sa.Connection, *, after: int, limit: int) -> list[Row]:
    """Connections that wait to be told when they are due, by number from ``after`` on."""
    return _rows(c, _unscheduled, after=after, limit=limit)


def scheduled_later(c: sa.Connection, *, now: datetime, after: int, limit: int) -> list[Row]:
    """Connections whose slot is still to come, by number from ``after`` on."""
    return _rows(c, _later, now=to_micros(now), after=after, limit=limit)


_set_next = Prepared(
    sa.update(connections)
    .where(connections.c.id == sa.bindparam("b_id", type_=sa.BigInteger))
    .values(next_run=sa.bindparam("b_next_run", type_=sa.BigInteger))
)


def set_next(c: sa.Connection, values: Sequence[tuple[int, datetime | None]]) -> None:
    """Say when connections are due next."""
    _set_next.each(
        c, [{"b_id": key, "b_next_run": None if at is None else to_micros(at)} for key, at in values]
    )


def _exists(*conditions: sa.ColumnElement[bool]) -> sa.Exists:
    return sa.exists().where(jobs.c.connection_id == connections.c.id, *conditions).correlate(connections)


def _in_state(*states: str) -> sa.ColumnElement[bool]:
    return sa.or_(*(jobs.c.state == sa.literal_column(f"'{state}'") for state in states))


_slot_jobs = sa.insert(jobs).from_select(
    [
        *("uuid", "kind", "connection_id", "state", "automatic", "user_id"),
        *("slot", "not_before", "created", "last_run"),
    ],
    sa.select(
        _NewUuid(),
        connections.c.kind,
        connections.c.id,
        sa.case(
            (_exists(_in_state("pending", "running")), sa.literal_column("'behind'")),
            else_=sa.literal_column("'pending'"),
        ),
        sa.true(),
        sa.bindparam("b_user_id", type_=sa.BigInteger),
        connections.c.next_run,
        _now,
        _now,
        _now,
    ).where(
        connections.c.id.in_(sa.bindparam("b_ids", expanding=True)),
        # A scheduled job that still waits does this slot's work too.
        ~_exists(_in_state("pending"), jobs.c.slot.is_not(None)),
        ~_exists(_in_state("behind"), jobs.c.slot.is_not(None)),
        # After the clock was put back a slot may come again; it had its job.
        ~_exists(jobs.c.slot == connections.c.next_run),
    ),
    include_defaults=False,
)


_owed = sa.insert(outbox).from_select(
    ["job_id", "remote", "kind"],
    sa.select(jobs.c.id, connections.c.remote, jobs.c.kind)
    .join(connections, connections.c.id == jobs.c.connection_id)
    .where(
        connections.c.id.in_(sa.bindparam("b_ids", expanding=True)),
        connections.c.remote.is_not(None),
        sa.or_(jobs.c.state == sa.literal_column("'pending'"), jobs.c.state == sa.literal_column("'behind'")),
        ~sa.exists().where(outbox.c.job_id == jobs.c.id),
        ~jobs.c.preview,
    ),
    include_defaults=False,
)
"""Jobs of remote servers' connections owe these their results."""


def enqueue(c: sa.Connection, connection_ids: Sequence[int], *, user_id: int | None, now: datetime) -> int:
    """Add the jobs of these connections' slots; how many: one that waits already does for two."""
    if not connection_ids:
        return 0
    values = {"b_ids": list(connection_ids), "b_user_id": user_id, "b_now": to_micros(now)}
    # Else PostgreSQL's driver forgets the number.
    made = c.execute(_slot_jobs, values, execution_options={"preserve_rowcount": True}).rowcount
    c.execute(_owed, {"b_ids": list(connection_ids)})
    return made


def next_due(c: sa.Connection) -> datetime | None:
    """The next slot of all."""
    first = sa.select(sa.func.min(connections.c.next_run)).where(connections.c.next_run.is_not(None))
    return maybe_from_micros(c.scalar(first))


# --- what the scheduler remembers -------------------------------------------------------------

_SEEN, _TIMETABLE = "scheduler_seen", "scheduler_timetable"


def seen(c: sa.Connection) -> datetime | None:
    """The latest instant at which any daemon's clock made something due."""
    value = facts.get(c, _SEEN)
    return None if value is None else from_micros(int(value))


def note_seen(c: sa.Connection, now: datetime) -> None:
    """Remember that it was ``now``."""
    facts.put(c, _SEEN, str(to_micros(now)))


def timetable(c: sa.Connection) -> str | None:
    """Which timetable the stored slots were computed by."""
    return facts.get(c, _TIMETABLE)


def note_timetable(c: sa.Connection, text: str) -> None:
    """Remember by which timetable slots are computed."""
    facts.put(c, _TIMETABLE, text)
