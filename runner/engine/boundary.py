"""The boundary between a plan and its first write.

Here the whole plan is judged, in numbers: whether what it takes away rests on readings that
were proven whole, and whether it takes away more than it may without a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from runner.errors import CeilingReached, IncompleteRead, RunnerError
from runner.model.changes import TRAITS, Op, Target
from runner.settings import Safety
from runner.store import changes
from runner.store.changes import ReadRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """How many changes of one operation rest on one reading."""

    op: Op
    target: Target
    proof: str | None
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that the boundary judges by."""

    job_id: int
    planned: Sequence[Planned]
    reads: Sequence[ReadRow]
    unproven: int
    approved: int  # destructive changes that a person allowed for this run


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be written."""

    stop: RunnerError | None = None
    drop_destructive: str | None = None  # why the destructive changes fall out, if they do
    uses_approval: bool = False


def gather(c: sa.Connection, job_id: int, *, approved: int) -> Case:
    """Read from the store what the boundary judges by."""
    return Case(
        job_id=job_id,
        planned=[
            Planned(op=op, target=target, proof=proof, number=n)
            for op, target, proof, n in changes.by_proof(c, job_id)
        ],
        reads=changes.reads_of(c, job_id),
        unproven=changes.unproven(c, job_id),
        approved=approved,
    )


def judge(case: Case, safety: Safety) -> Verdict:
    """Decide what may be written of a plan."""
    cut = [read for read in case.reads if not read.complete]
    if any(not read.additions_hold for read in cut):
        first = next(read for read in cut if not read.additions_hold)
        return Verdict(
            stop=IncompleteRead(
                f"{_sentence(first)} Nothing was written, for absence can't be concluded from it."
            )
        )
    if case.unproven:
        why = " ".join(_sentence(read) for read in cut) or "A reading that it rests on was not proven whole."
        return Verdict(drop_destructive=why)
    stop = _over_ceiling(case, safety)
    if stop is None:
        return Verdict()
    if case.approved >= _destructive(case):
        return Verdict(uses_approval=True)
    return Verdict(stop=stop)


def _sentence(read: ReadRow) -> str:
    why = read.why.rstrip(".") or "it ended early"
    return f"{read.name.capitalize()} could not be read whole: {why}."


def _destructive(case: Case) -> int:
    return sum(p.number for p in case.planned if TRAITS[p.op].destructive and TRAITS[p.op].by_share)


def _over_ceiling(case: Case, safety: Safety) -> CeilingReached | None:
    sizes = {
        read.name: read.target_size if read.target_size is not None else read.size for read in case.reads
    }
    total = _destructive(case)
    if total > safety.destructive_floor:
        if total > safety.max_destructive:
            allowed = f"[safety] max_destructive allows {safety.max_destructive}"
            return _stop(case, f"{_list(case)}: {total} in all, and {allowed}")
        for proof, number in _by_proof(case, by_share=True).items():
            size = sizes.get(proof or "", 0)
            if number > safety.max_destructive_share * size:
                return _stop(
                    case,
                    f"{_list(case)}: {number} of {size} ({proof}), and [safety] max_destructive_share allows "
                    f"{safety.max_destructive_share:.0%}",
                )
    for proof, number in _by_proof(case, by_share=False).items():
        size = sizes.get(proof or "", 0)
        if number > safety.destructive_floor and number > safety.max_pass_share * size:
            allowed = f"[safety] max_pass_share allows {safety.max_pass_share:.0%}"
            return _stop(case, f"{number} of {size} would be judged clean, and {allowed}")
    creates = sum(p.number for p in case.planned if p.op is Op.CREATE and p.target is Target.OUTSIDE)
    if safety.max_creates and creates > safety.max_creates:
        return _stop(
            case, f"{creates} would be created, and [safety] max_creates allows {safety.max_creates}"
        )
    return None


def _by_proof(case: Case, *, by_share: bool) -> dict[str | None, int]:
    numbers: dict[str | None, int] = {}
    for planned in case.planned:
        traits = TRAITS[planned.op]
        if traits.destructive and traits.by_share == by_share:
            numbers[planned.proof] = numbers.get(planned.proof, 0) + planned.number
    return numbers


def _list(case: Case) -> str:
    numbers: dict[str, int] = {}
    for planned in case.planned:
        traits = TRAITS[planned.op]
        if traits.destructive and traits.by_share:
            numbers[traits.verb] = numbers.get(traits.verb, 0) + planned.number
    return "This run would have " + ", ".join(f"{n} {verb}" for verb, n in numbers.items())


def _stop(case: Case, what: str) -> CeilingReached:
    once = f"runner jobs retry {case.job_id} --allow-destructive {_destructive(case)}"
    return CeilingReached(
        f"{what}. Nothing was written. Look at the plan: `runner jobs changes {case.job_id}`. "
        f"If it is right, allow it once: `{once}`."
    )
