"""The table of changes: plan, preview, progress, journal, and the source of a revert."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from runner.messages import OutcomeRow, PlanRow
from runner.model.changes import DESTRUCTIVE, OPS, ChangeState, Op, StoredChange, Target
from runner.model.jobs import Job
from runner.store.prepared import Prepared
from runner.store.schema import changes, jobs, reads
from runner.store.values import from_json, to_micros

V = TypeVar("V")

_PLANNED: sa.ColumnElement[str] = sa.literal_column("'planned'")
_INTENDED: sa.ColumnElement[str] = sa.literal_column("'intended'")

NOT_MADE = "not made before the run ended"
"""Said of a change that was sent and, as was found out afterwards, never made."""

# A resumed run plans such a change anew: to count it as left alone would contradict that.
_counted = sa.or_(changes.c.state != sa.literal_column("'skipped'"), changes.c.error != NOT_MADE)

# Looked up in a dictionary, a member or its value costs a tenth of what its class takes.
_TARGETS = {member.value: member for member in Target}
_STATES = {member.value: member for member in ChangeState}
_VALUES: dict[Target | Op | ChangeState, str] = {
    member: member.value for enum in (Target, Op, ChangeState) for member in enum
}

_insert = Prepared(sa.insert(changes))


def add_plan(
    c: sa.Connection,
    job: Job,
    rows: Sequence[PlanRow],
    *,
    skipped: str = "",
    now: datetime | None = None,
) -> None:
    """Store some planned changes of a run; with ``skipped``, as left alone for that reason, ``now``."""
    common = {
        "job_id": job.id,
        "attempt": job.attempt,
        "state": "skipped" if skipped else "planned",
        "error": skipped,
        "assigned": None,
        "settled": None if now is None else to_micros(now),
    }
    _insert.each(
        c,
        [
            {
                **common,
                "sequence": row.sequence,
                "target": _VALUES[row.target],
                "op": _VALUES[row.op],
                "destructive": row.op in DESTRUCTIVE,
                "kind": row.kind,
                "key": row.key,
                "subject": row.subject,
                "before": row.before,
                "after": row.after,
                "proof": row.proof,
                "why": row.why,
            }
            for row in rows
        ],
    )


def last_sequence(c: sa.Connection, job: Job) -> int:
    """The highest sequence number that any attempt of the job used; 0 if none."""
    return c.scalar(sa.select(sa.func.max(changes.c.sequence)).where(changes.c.job_id == job.id)) or 0


def add_read(
    c: sa.Connection,
    job: Job,
    *,
    name: str,
    complete: bool,
    size: int,
    target_size: int | None,
    additions_hold: bool,
    why: str,
) -> None:
    """Remember how a reading of a run ended. Said twice, the worse counts."""
    found = c.execute(sa.select(reads).where(reads.c.job_id == job.id, reads.c.name == name)).one_or_none()
    if found is None:
        c.execute(
            sa.insert(reads).values(
                job_id=job.id,
                name=name,
                attempt=job.attempt,
                complete=complete,
                size=size,
                target_size=target_size,
                additions_hold=additions_hold,
                why=why,
            )
        )
    elif found.complete and not complete:
        c.execute(
            sa.update(reads)
            .where(reads.c.job_id == job.id, reads.c.name == name)
            .values(complete=False, additions_hold=additions_hold, why=why)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """How a reading of a run ended."""

    name: str
    complete: bool
    size: int
    target_size: int | None
    additions_hold: bool
    why: str


def reads_of(c: sa.Connection, job_id: int) -> list[ReadRow]:
    """All readings of a run."""
    return [
        ReadRow(
            name=row.name,
            complete=row.complete,
            size=row.size,
            target_size=row.target_size,
            additions_hold=row.additions_hold,
            why=row.why,
        )
        for row in c.execute(sa.select(reads).where(reads.c.job_id == job_id).order_by(reads.c.name))
    ]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many changes of a sort a run has."""

    op: Op
    kind: str
    target: Target
    state: ChangeState
    number: int


def tally(c: sa.Connection, job_id: int) -> list[Tally]:
    """Count a run's changes by operation, kind, target and state."""
    rows = c.execute(
        sa.select(changes.c.op, changes.c.kind, changes.c.target, changes.c.state, sa.func.count())
        .where(changes.c.job_id == job_id, _counted)
        .group_by(changes.c.op, changes.c.kind, changes.c.target, changes.c.state)
        .order_by(sa.func.min(changes.c.sequence))
    )
    return [Tally(Op(op), kind, Target(target), ChangeState(state), n) for op, kind, target, state, n in rows]


def by_proof(c: sa.Connection, job_id: int) -> list[tuple[Op, Target, str | None, int]]:
    """Count a run's planned changes by operation, target and the reading they rest on."""
    rows = c.execute(
        sa.select(changes.c.op, changes.c.target, changes.c.proof, sa.func.count())
        .where(changes.c.job_id == job_id, changes.c.state == _PLANNED)
        .group_by(changes.c.op, changes.c.target, changes.c.proof)
        .order_by(changes.c.op, changes.c.proof)
    )
    return [(Op(op), Target(target), proof, number) for op, target, proof, number in rows]


_ran_before = (
    sa.select(sa.literal(1))
    .where(jobs.c.connection_id == sa.bindparam("b_connection_id"), jobs.c.id < sa.bindparam("b_job_id"))
    .where(jobs.c.outcome == sa.literal_column("'succeeded'"), ~jobs.c.preview, jobs.c.revert_of.is_(None))
    .limit(1)
)


def ran_before(c: sa.Connection, job: Job) -> bool:
    """Whether an earlier run of the job's connection has succeeded."""
    found = c.scalar(_ran_before, {"b_connection_id": job.connection_id, "b_job_id": job.id})
    return found is not None


def unproven(c: sa.Connection, job_id: int) -> int:
    """How many planned destructive changes rest on no reading that was proven whole."""
    proven = (
        sa.exists()
        .where(reads.c.job_id == job_id, reads.c.name == changes.c.proof)
        .where(reads.c.complete)
        .correlate(changes)
    )
    return (
        c.scalar(
            sa.select(sa.func.count())
            .select_from(changes)
            .where(changes.c.job_id == job_id, changes.c.state == _PLANNED, changes.c.destructive, ~proven)
        )
        or 0
    )


def drop_destructive(c: sa.Connection, job_id: int, *, why: str, now: datetime) -> int:
    """Leave all planned destructive changes of a run unmade; how many."""
    return c.execute(
        sa.update(changes)
        .where(changes.c.job_id == job_id, changes.c.state == _PLANNED, changes.c.destructive)
        .values(state="skipped", error=why, settled=to_micros(now))
    ).rowcount


_wanted = ("sequence", "target", "op", "kind", "key", "subject", "before", "after")
_page = Prepared(
    sa.select(*(changes.c[name] for name in _wanted))
    .where(changes.c.job_id == sa.bindparam("b_job"), changes.c.sequence > sa.bindparam("b_after"))
    .where(changes.c.state == _PLANNED, changes.c.destructive == sa.bindparam("b_destructive"))
    .order_by(changes.c.sequence)
    .limit(sa.bindparam("b_limit"))
)


def page(c: sa.Connection, job_id: int, *, destructive: bool, after: int, limit: int) -> list[Any]:
    """The next planned changes in the order in which they are made, from sequence ``after`` on.

    Rows of the table, with what is needed to make them: what is only passed on needn't be
    understood; ``planned`` makes a value of one.
    """
    values = {"b_job": job_id, "b_after": after, "b_destructive": destructive, "b_limit": limit}
    return _page.rows(c, values)


def planned(row: Any) -> StoredChange:
    """A row of ``page`` as a value."""
    return StoredChange(
        sequence=row.sequence,
        target=_TARGETS[row.target],
        op=OPS[row.op],
        kind=row.kind,
        key=row.key,
        subject=row.subject,
        before=from_json(row.before),
        after=from_json(row.after),
        state=ChangeState.PLANNED,
    )


def intended(c: sa.Connection, job_id: int, *, after: int, limit: int) -> list[StoredChange]:
    """Changes that were sent, or were about to be, and whose outcome isn't known."""
    rows = c.execute(
        sa.select(changes)
        .where(changes.c.job_id == job_id, changes.c.sequence > after, changes.c.state == _INTENDED)
        .order_by(changes.c.sequence)
        .limit(limit)
    )
    return [stored(row) for row in rows]


def count_done(c: sa.Connection, job_id: int) -> int:
    """How many changes of a job were made."""
    query = sa.select(sa.func.count()).select_from(changes)
    return c.scalar(query.where(changes.c.job_id == job_id, changes.c.state == "done")) or 0


def done_backwards(c: sa.Connection, job_id: int, *, before: int | None, limit: int) -> list[StoredChange]:
    """A page of a job's changes that were made, the last first."""
    query = sa.select(changes).where(changes.c.job_id == job_id, changes.c.state == "done")
    if before is not None:
        query = query.where(changes.c.sequence < before)
    return [stored(row) for row in c.execute(query.order_by(changes.c.sequence.desc()).limit(limit))]


def journal(c: sa.Connection, job_id: int, *, after: int, limit: int) -> list[StoredChange]:
    """A page of all changes of a job."""
    rows = c.execute(
        sa.select(changes)
        .where(changes.c.job_id == job_id, changes.c.sequence > after)
        .order_by(changes.c.sequence)
        .limit(limit)
    )
    return [stored(row) for row in rows]


def stored(row: Any) -> StoredChange:
    """A row of ``changes`` as a value."""
    change = planned(row)
    change.state = _STATES[row.state]
    change.error, change.why, change.assigned = row.error, row.why, from_json(row.assigned)
    return change


# Changes that lie together and fare alike are written by one statement: most of a plan does. What fares
# like no other, as what was given an id, is named by its whole key: SQLite finds it in one step then.
_together = sa.and_(
    changes.c.job_id == sa.bindparam("b_job"),
    changes.c.sequence.between(sa.bindparam("b_first"), sa.bindparam("b_last")),
)
_alone = sa.and_(changes.c.job_id == sa.bindparam("b_job"), changes.c.sequence == sa.bindparam("b_first"))
_intend = Prepared(sa.update(changes).where(_together, changes.c.state == _PLANNED).values(state=_INTENDED))


def intend(c: sa.Connection, job_id: int, sequences: Iterable[int]) -> None:
    """Commit that these changes are about to be sent."""
    runs = _runs((sequence, None) for sequence in sequences)
    _intend.each(c, [{"b_job": job_id, "b_first": first, "b_last": last} for first, last, _ in runs])


_settle, _settle_one = (
    Prepared(
        sa.update(changes)
        .where(which, sa.or_(changes.c.state == _PLANNED, changes.c.state == _INTENDED))
        .values(
            state=sa.bindparam("b_state"),
            error=sa.bindparam("b_error"),
            assigned=sa.bindparam("b_assigned"),
            settled=sa.bindparam("b_now"),
        )
    )
    for which in (_together, _alone)
)


def settle(c: sa.Connection, job_id: int, outcomes: Iterable[OutcomeRow], *, now: datetime) -> None:
    """Record what became of changes; one that is settled already keeps its outcome."""
    micros = to_micros(now)
    runs: list[dict[str, Any]] = []
    single: list[dict[str, Any]] = []
    told = ((row.sequence, (row.state, row.message, row.assigned)) for row in outcomes)
    for first, last, (state, message, assigned) in _runs(told):
        values = {
            "b_job": job_id,
            "b_first": first,
            "b_state": _VALUES[state],
            "b_error": message,
            "b_assigned": assigned,
            "b_now": micros,
        }
        if first == last:
            single.append(values)
        else:
            runs.append({**values, "b_last": last})
    _settle.each(c, runs)
    _settle_one.each(c, single)


def _runs(rows: Iterable[tuple[int, V]]) -> Iterator[tuple[int, int, V]]:
    """First and last of sequences that follow one another with the same value."""
    run: tuple[int, int, V] | None = None
    for sequence, value in rows:
        if run is not None and sequence == run[1] + 1 and value == run[2]:
            run = (run[0], sequence, value)
            continue
        if run is not None:
            yield run
        run = (sequence, sequence, value)
    if run is not None:
        yield run


def skip_rest(c: sa.Connection, job_id: int, *, why: str, now: datetime) -> int:
    """Mark all that was planned and not sent as left unmade; how many."""
    return c.execute(
        sa.update(changes)
        .where(changes.c.job_id == job_id, changes.c.state == _PLANNED)
        .values(state="skipped", error=why, settled=to_micros(now))
    ).rowcount


def assigned_to(c: sa.Connection, job_id: int, *, kind: str, key: str) -> dict[str, Any] | None:
    """What the target gave to the thing that a change of this run created."""
    found: dict[str, Any] | None = from_json(
        c.scalar(
            sa.select(changes.c.assigned)
            .where(changes.c.job_id == job_id, changes.c.kind == kind, changes.c.key == key)
            .where(changes.c.assigned.is_not(None))
            .limit(1)
        )
    )
    return found


def first_failures(c: sa.Connection, job_id: int, *, limit: int = 3) -> list[tuple[str, str]]:
    """Subject and error of a run's first failed or conflicting changes, for its message."""
    return [
        (row.subject, row.error)
        for row in c.execute(
            sa.select(changes.c.subject, changes.c.error)
            .where(changes.c.job_id == job_id, changes.c.state.in_(["failed", "skipped"]), _counted)
            .order_by(changes.c.sequence)
            .limit(limit)
        )
    ]
