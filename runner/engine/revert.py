"""Taking a run back: a plan made of the journal of another job.

Its done changes in reverse, before and after swapped, expecting ``after``: what was changed
since is left alone and named, and so is what has no inverse. Then comes the same boundary.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from runner.engine.talk import PAGE, Surroundings
from runner.messages import PlanRow, Read
from runner.model.changes import (
    DESTRUCTIVE,
    GENERATED,
    TRAITS,
    Op,
    StoredChange,
    Target,
    values_to_json,
)
from runner.model.jobs import Job
from runner.store import changes, platform

READING = "the journal"
"""The reading on which a revert's destructive changes rest: our own journal, always whole."""

NO_INVERSE = "nothing takes this back by itself; do it by hand if it has to be"
"""What the journal says of a change that a revert can't take back."""

_UNDO_ON_PLATFORM: Mapping[str, Op] = {
    "note": Op.DELETE,
    "analysis-session": Op.DELETE,
    "user": Op.DEACTIVATE,  # an account is never deleted: what it did has to be told of
}


def reading(job: Job, around: Surroundings) -> Read:
    """The proof for a revert; its target is as large as the one the run had."""
    with around.database.read() as c:
        sizes = [read.target_size or read.size for read in changes.reads_of(c, _source(job))]
        number = changes.count_done(c, _source(job))
    return Read(name=READING, complete=True, size=number, target_size=max([number, *sizes]))


def sentence(job: Job) -> str:
    """What the message says of a revert."""
    return f"This takes back job {_source(job)}."


def plan(
    job: Job, around: Surroundings, *, first: int, undo: Mapping[str, Op]
) -> Iterator[tuple[list[PlanRow], list[PlanRow]]]:
    """The changes that take the job's source back, some hundred at a time, and those that can't be.

    ``undo`` says, by kind, how the connector takes back a creation.
    """
    before: int | None = None
    sequence = first
    while True:
        with around.database.read() as c:
            done = changes.done_backwards(c, _source(job), before=before, limit=PAGE)
            pairs = [_row(c, job, change, undo, sequence + n) for n, change in enumerate(done)]
        if not pairs:
            return
        yield [row for row, able in pairs if able], [row for row, able in pairs if not able]
        before, sequence = done[-1].sequence, sequence + len(pairs)


def _source(job: Job) -> int:
    assert job.revert_of is not None  # only reverts come here
    return job.revert_of


def _row(
    c: sa.Connection, job: Job, change: StoredChange, undo: Mapping[str, Op], sequence: int
) -> tuple[PlanRow, bool]:
    """The change that takes ``change`` back, and whether there is one."""
    inverse = _inverse(change, _UNDO_ON_PLATFORM if change.target is Target.PLATFORM else undo)
    op = change.op if inverse is None else inverse
    row = PlanRow(
        sequence=sequence,
        target=change.target,
        op=op,
        kind=change.kind,
        key=change.key,
        subject=change.subject,
        before=values_to_json(_settled(c, _source(job), change)),
        after=values_to_json(change.before),
        proof=READING if op in DESTRUCTIVE else None,
        why="",
    )
    return row, inverse is not None


def _settled(c: sa.Connection, source: int, change: StoredChange) -> dict[str, Any] | None:
    """What the change left behind: its ``after`` with what was assigned, without what was generated."""
    if change.after is None:
        return None
    known = {
        (kind, key): found
        for kind, key in platform.references(change.after)
        if (found := changes.assigned_to(c, source, kind=kind, key=key)) is not None
    }
    after: dict[str, Any] = platform.resolve(change.after, known)
    kept = {
        name: value
        for name, value in after.items()
        if not (isinstance(value, dict) and set(value) == {GENERATED})
    }
    return {**kept, **(change.assigned or {})}


def _inverse(change: StoredChange, undo: Mapping[str, Op]) -> Op | None:
    """The operation that takes a change back; None = there is none."""
    if change.op is Op.CREATE:
        return undo.get(change.kind)
    if change.op is Op.UNVERIFY:
        # The revert of a revert: what the scanner said stands again.
        status = (change.before or {}).get("verification_status")
        return Op.FAIL if status == "fail" else Op.PASS
    return TRAITS[change.op].inverse
