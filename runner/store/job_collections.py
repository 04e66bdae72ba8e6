"""Collections of datasync jobs, and their runs: one job after the other, through the queue.

A run is a row with a step for each job. It goes on in one transaction, which sees that the
step's job has ended and enqueues the next one: so a daemon that dies in between leaves a run that
goes on at the next tick, and no job twice. Of one collection's runs the oldest goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind, Outcome, State
from runner.store import queue
from runner.store.prepared import Prepared
from runner.store.rows import insert
from runner.store.schema import collection_runs, collection_steps, connections, job_collections, jobs
from runner.store.values import from_json, maybe_from_micros, to_json, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of a collection's jobs, in its place."""

    connection_id: int
    aborts: bool  # a failure of it ends the run
    enabled: bool  # else runs leave it out


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A collection as it is stored."""

    id: int
    name: str
    document: dict[str, Any]  # as it came, but for its jobs
    steps: Sequence[Step]
    schedule: str | None
    next_run: datetime | None
    created: int  # microseconds since 1970
    updated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a collection."""

    id: int
    collection_id: int
    preview: bool
    automatic: bool
    outcome: Outcome | None  # None = it goes on
    message: str
    created: int  # microseconds since 1970
    finished: int | None
    steps: Sequence[tuple[int, int | None]]  # connection and job of each, in order; None = not begun


def create(
    c: sa.Connection,
    *,
    name: str,
    document: Mapping[str, Any],
    steps: Sequence[Step],
    schedule: str | None,
    now: datetime,
) -> int:
    """Add a collection; its id."""
    micros = to_micros(now)
    return insert(
        c,
        job_collections,
        name=name,
        document=to_json(dict(document)),
        steps=_told(steps),
        schedule=schedule,
        created=micros,
        updated=micros,
    )


def update(
    c: sa.Connection,
    collection_id: int,
    *,
    name: str,
    document: Mapping[str, Any],
    steps: Sequence[Step],
    schedule: str | None,
    now: datetime,
) -> None:
    """Change a collection; when it is due is computed anew. A run that goes on keeps its steps."""
    c.execute(
        sa.update(job_collections)
        .where(job_collections.c.id == collection_id)
        .values(
            name=name,
            document=to_json(dict(document)),
            steps=_told(steps),
            schedule=schedule,
            next_run=None,
            updated=to_micros(now),
        )
    )


def _told(steps: Sequence[Step]) -> str:
    return to_json([asdict(step) for step in steps])


def get(c: sa.Connection, collection_id: int) -> Held | None:
    """The collection with this id."""
    row = c.execute(sa.select(job_collections).where(job_collections.c.id == collection_id)).one_or_none()
    return None if row is None else _held(row)


def every(c: sa.Connection) -> list[Held]:
    """All collections, in the order of their ids."""
    return [_held(row) for row in c.execute(sa.select(job_collections).order_by(job_collections.c.id))]


def _held(row: sa.Row[Any]) -> Held:
    return Held(
        id=row.id,
        name=row.name,
        document=from_json(row.document),
        steps=[Step(**step) for step in from_json(row.steps)],
        schedule=row.schedule,
        next_run=maybe_from_micros(row.next_run),
        created=row.created,
        updated=row.updated,
    )


def members(c: sa.Connection) -> dict[int, int]:
    """The collection of each connection that is in one."""
    rows = c.execute(sa.select(job_collections.c.id, job_collections.c.steps))
    return {step["connection_id"]: row.id for row in rows for step in from_json(row.steps)}


def delete(c: sa.Connection, collection_id: int) -> None:
    """Remove a collection with its runs; the jobs that they were of stay."""
    c.execute(sa.delete(job_collections).where(job_collections.c.id == collection_id))


# --- runs ------------------------------------------------------------------------------------

_open = collection_runs.c.finished.is_(None)


def begin(
    c: sa.Connection,
    held: Held,
    *,
    now: datetime,
    preview: bool = False,
    user_id: int | None = None,
    triggered_by_id: int | None = None,
    slot: datetime | None = None,
) -> int:
    """Add a run; its id. Its first job is enqueued now, unless an earlier run goes on."""
    # On PostgreSQL two that begin at a moment must see each other.
    c.execute(sa.select(job_collections.c.id).where(job_collections.c.id == held.id).with_for_update())
    alone = c.scalar(_open_of(held.id).limit(1)) is None
    run_id = insert(
        c,
        collection_runs,
        collection_id=held.id,
        preview=preview,
        user_id=user_id,
        triggered_by_id=triggered_by_id,
        slot=None if slot is None else to_micros(slot),
        created=to_micros(now),
    )
    rows = [
        {"run_id": run_id, "position": position, "connection_id": step.connection_id, "aborts": step.aborts}
        for position, step in enumerate(step for step in held.steps if step.enabled)
    ]
    if rows:
        c.execute(sa.insert(collection_steps), rows)
    if alone:
        go_on(c, run_id, now=now)
    return run_id


def _open_of(collection_id: int) -> sa.Select[tuple[int]]:
    return sa.select(collection_runs.c.id).where(_open, collection_runs.c.collection_id == collection_id)


_earlier = collection_runs.alias("earlier")
_goes_on = (
    sa.exists()
    .where(collection_steps.c.run_id == collection_runs.c.id, jobs.c.id == collection_steps.c.job_id)
    .where(jobs.c.state != sa.literal_column("'finished'"))
    .correlate(collection_runs)
)
_ready = (
    sa.select(collection_runs.c.id)
    .where(
        _open,
        ~_goes_on,
        ~sa.exists()
        .where(_earlier.c.collection_id == collection_runs.c.collection_id)
        .where(_earlier.c.id < collection_runs.c.id, _earlier.c.finished.is_(None))
        .correlate(collection_runs),
    )
    .order_by(collection_runs.c.id)
    .limit(1)
)


_any_ready = Prepared(_ready)


def anything_ready(c: sa.Connection) -> bool:
    """Whether a run waits for its next step to begin."""
    return bool(_any_ready.rows(c, {}))


def advance(c: sa.Connection, *, now: datetime) -> bool:
    """Let one run whose job has ended go on; False if there is none."""
    run_id = c.scalar(_ready.with_for_update(skip_locked=True, of=collection_runs))
    if run_id is None:
        return False
    go_on(c, run_id, now=now)
    return True


def go_on(c: sa.Connection, run_id: int, *, now: datetime) -> None:
    """Begin a run's next step, or end the run; nothing while the job of its last one goes on."""
    run = c.execute(sa.select(collection_runs).where(collection_runs.c.id == run_id)).one()
    steps = c.execute(
        sa.select(
            collection_steps,
            jobs.c.state,
            jobs.c.outcome,
            connections.c.alias,
            sa.and_(connections.c.enabled, connections.c.deleted.is_(None)).label("may_run"),
        )
        .join(connections, connections.c.id == collection_steps.c.connection_id)
        .outerjoin(jobs, jobs.c.id == collection_steps.c.job_id)
        .where(collection_steps.c.run_id == run_id)
        .order_by(collection_steps.c.position)
    ).all()
    begun = [step for step in steps if step.job_id is not None]
    last = begun[-1] if begun else None
    if last is not None and last.state not in {None, State.FINISHED}:
        # On PostgreSQL another daemon may have begun it since the run was chosen. None = it was removed.
        return
    ahead = [step for step in steps if step.may_run and (last is None or step.position > last.position)]
    stopped = last is not None and _stops(last)
    if ahead and not stopped:
        job_id, _ = queue.enqueue(
            c,
            connection_id=ahead[0].connection_id,
            kind=Kind.DATASYNC,
            now=now,
            automatic=run.slot is not None,
            preview=run.preview,
            user_id=run.user_id,
            triggered_by_id=run.triggered_by_id,
        )
        here = sa.and_(collection_steps.c.run_id == run_id, collection_steps.c.position == ahead[0].position)
        c.execute(sa.update(collection_steps).where(here).values(job_id=job_id))
        return
    outcome, message = _ending(begun, [step.alias for step in ahead])
    _end(c, run_id, outcome, message, now=now)


def _stops(step: sa.Row[Any]) -> bool:
    """Whether what became of a step's job ends the run; a person who cancels one means the rest too."""
    return step.outcome == Outcome.CANCELLED or bool(step.aborts and step.outcome != Outcome.SUCCEEDED)


def _ending(begun: Sequence[sa.Row[Any]], left: Sequence[str]) -> tuple[Outcome, str]:
    failed = [step.alias for step in begun if step.outcome not in {Outcome.SUCCEEDED, Outcome.CANCELLED}]
    done = sum(step.outcome == Outcome.SUCCEEDED for step in begun)
    message = f"{done} of {len(begun) + len(left)} jobs succeeded."
    if failed:
        message = f"{', '.join(failed)} failed. {message}"
    if left:
        message += f" Not run after that: {', '.join(left)}."
    if begun and begun[-1].outcome == Outcome.CANCELLED:
        return Outcome.CANCELLED, f"{begun[-1].alias} was cancelled, and the run with it. {message}"
    return (Outcome.FAILED if failed else Outcome.SUCCEEDED), message


def _end(c: sa.Connection, run_id: int, outcome: Outcome, message: str, *, now: datetime) -> None:
    c.execute(
        sa.update(collection_runs)
        .where(collection_runs.c.id == run_id)
        .values(outcome=outcome.value, message=message, finished=to_micros(now))
    )


def runs(c: sa.Connection, collection_id: int, *, limit: int, previews: bool = True) -> list[Run]:
    """A collection's last runs, the newest first."""
    found = c.execute(
        sa.select(collection_runs)
        .where(collection_runs.c.collection_id == collection_id)
        .where(sa.true() if previews else ~collection_runs.c.preview)
        .order_by(collection_runs.c.id.desc())
        .limit(limit)
    ).all()
    steps: dict[int, list[tuple[int, int | None]]] = {row.id: [] for row in found}
    for step in c.execute(
        sa.select(collection_steps)
        .where(collection_steps.c.run_id.in_(list(steps)))
        .order_by(collection_steps.c.run_id, collection_steps.c.position)
    ):
        steps[step.run_id].append((step.connection_id, step.job_id))
    return [_run(row, steps[row.id]) for row in found]


def _run(row: sa.Row[Any], steps: Sequence[tuple[int, int | None]]) -> Run:
    return Run(
        id=row.id,
        collection_id=row.collection_id,
        preview=bool(row.preview),
        automatic=row.slot is not None,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        message=row.message,
        created=row.created,
        finished=row.finished,
        steps=steps,
    )


def count_runs(c: sa.Connection, collection_id: int) -> int:
    """How often a collection ran; previews are none."""
    query = sa.select(sa.func.count()).where(
        collection_runs.c.collection_id == collection_id, ~collection_runs.c.preview
    )
    return c.scalar(query) or 0


def remove_runs(c: sa.Connection, *, before: datetime, limit: int) -> int:
    """Remove runs that ended ``before``; how many."""
    old = sa.select(collection_runs.c.id).where(collection_runs.c.finished < to_micros(before)).limit(limit)
    return c.execute(
        sa.delete(collection_runs).where(collection_runs.c.id.in_(old.scalar_subquery()))
    ).rowcount


# --- those that run by themselves --------------------------------------------------------------


# Collections whose slot has come, and those that wait to be told when they are due.
_due = (
    sa.select(job_collections)
    .where(job_collections.c.schedule.is_not(None))
    .where(sa.or_(job_collections.c.next_run.is_(None), job_collections.c.next_run <= sa.bindparam("b_now")))
    .order_by(job_collections.c.id)
)
_any_due = Prepared(_due.limit(1))


def anything_due(c: sa.Connection, *, now: datetime) -> bool:
    """Whether ``due`` would find any."""
    return bool(_any_due.rows(c, {"b_now": to_micros(now)}))


def due(c: sa.Connection, *, now: datetime) -> list[Held]:
    """The collections that are due, with those of which nobody has said yet when they are."""
    rows = c.execute(_due.with_for_update(skip_locked=True), {"b_now": to_micros(now)})
    return [_held(row) for row in rows]


def next_due(c: sa.Connection) -> datetime | None:
    """The next slot of all collections."""
    return maybe_from_micros(c.scalar(sa.select(sa.func.min(job_collections.c.next_run))))


def set_next(c: sa.Connection, collection_id: int, at: datetime) -> None:
    """Say when a collection is due next."""
    c.execute(
        sa.update(job_collections).where(job_collections.c.id == collection_id).values(next_run=to_micros(at))
    )


def forget_slots(c: sa.Connection) -> None:
    """Have it computed anew when collections are due."""
    c.execute(sa.update(job_collections).values(next_run=None))


def begin_slot(c: sa.Connection, held: Held, *, user_id: int | None, now: datetime) -> bool:
    """Begin a due collection's run; False if the slot had its run, or a run by itself still waits."""
    assert held.next_run is not None  # it is due
    mine = collection_runs.c.collection_id == held.id
    had = sa.select(collection_runs.c.id).where(
        mine,
        sa.or_(
            collection_runs.c.slot == to_micros(held.next_run),
            sa.and_(_open, collection_runs.c.slot.is_not(None)),
        ),
    )
    if c.scalar(had.limit(1)) is not None:
        return False
    begin(c, held, now=now, user_id=user_id, slot=held.next_run)
    return True
