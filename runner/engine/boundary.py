"""The boundary between a plan and its first write.

Here the whole plan is judged, in numbers: whether what it takes away rests on readings that
were proven whole, and whether it takes away more than it may without a person.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from runner.errors import CeilingReached, IncompleteRead, RunnerError
from runner.model.changes import DESTRUCTIVE, TRAITS, Op, Target
from runner.model.jobs import Job
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

    job: Job
    planned: Sequence[Planned]
    reads: Sequence[ReadRow]
    unproven: int
    approved: int  # destructive changes that a person allowed for this run
    own: Collection[str] = ()  # names of the limits that the connection sets itself
    ran_before: bool = False  # whether a run of the connection has succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be written."""

    stop: RunnerError | None = None
    drop_destructive: str | None = None  # why the destructive changes fall out, if they do
    uses_approval: bool = False


def gather(c: sa.Connection, job: Job, *, approved: int, own: Collection[str] = ()) -> Case:
    """Read from the store what the boundary judges by."""
    return Case(
        job=job,
        planned=[
            Planned(op=op, target=target, proof=proof, number=n)
            for op, target, proof, n in changes.by_proof(c, job.id)
        ],
        reads=changes.reads_of(c, job.id),
        unproven=changes.unproven(c, job.id),
        approved=approved,
        own=own,
        ran_before=changes.ran_before(c, job),
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
    drop = None
    if case.unproven:
        drop = " ".join(_sentence(read) for read in cut) or "A reading that it rests on was not proven whole."
        case = replace(case, planned=[p for p in case.planned if p.op not in DESTRUCTIVE])
    exceeded = list(_over_ceilings(case, safety))
    to_allow = sum(over.number for over in exceeded)
    if case.approved >= to_allow:
        return Verdict(drop_destructive=drop, uses_approval=bool(exceeded))
    return Verdict(drop_destructive=drop, stop=_stop(case, exceeded, to_allow))


def _sentence(read: ReadRow) -> str:
    why = read.why.rstrip(".") or "it ended early"
    return f"{read.name.capitalize()} could not be read whole: {why}."


@dataclass(frozen=True, slots=True)
class _Over:
    """A ceiling that the plan is over."""

    what: str
    number: int  # changes that a person would have to allow


def _over_ceilings(case: Case, safety: Safety) -> Iterator[_Over]:
    """All ceilings that the plan is over: what a person allows has to cover each of them."""
    sizes = {
        read.name: read.target_size if read.target_size is not None else read.size for read in case.reads
    }
    yield from _over_destruction(case, safety, sizes)
    passes = {
        proof: number
        for proof, number in _by_proof(case, by_share=False).items()
        if number > safety.destructive_floor and number > safety.max_pass_share * sizes.get(proof or "", 0)
    }
    for proof, number in passes.items():
        allowed = f"{_limit(case, 'max_pass_share')} allows {safety.max_pass_share:.0%}"
        yield _Over(f"{number} of {sizes.get(proof or '', 0)} would be judged clean, and {allowed}", number)
    creates = sum(p.number for p in case.planned if p.op is Op.CREATE and p.target is Target.OUTSIDE)
    limits = [("max_creates", safety.max_creates)]
    if case.ran_before and case.job.revert_of is None:
        limits.append(("max_creates_later", safety.max_creates_later))
    for name, most in limits:
        if most and creates > most:
            allowed = f"{_limit(case, name)} allows {most}"
            yield _Over(f"{creates} would be created, and {allowed}", creates)
            return


def _over_destruction(case: Case, safety: Safety, sizes: Mapping[str, int]) -> Iterator[_Over]:
    numbers = _by_proof(case, by_share=True)
    total = sum(numbers.values())
    if total <= safety.destructive_floor:
        return
    if total > safety.max_destructive:
        allowed = f"{_limit(case, 'max_destructive')} allows {safety.max_destructive}"
        yield _Over(f"{_list(case)}: {total} in all, and {allowed}", total)
        return
    for proof, number in numbers.items():
        size = sizes.get(proof or "", 0)
        if number > safety.max_destructive_share * size:
            allowed = f"{_limit(case, 'max_destructive_share')} allows {safety.max_destructive_share:.0%}"
            yield _Over(f"{_list(case)}: {number} of {size} ({proof}), and {allowed}", total)
            return


def _limit(case: Case, name: str) -> str:
    """A limit by name, and where it stands: there a person would change it."""
    return f"the connection's {name}" if name in case.own else f"[safety] {name}"


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


def _stop(case: Case, exceeded: Sequence[_Over], to_allow: int) -> CeilingReached:
    what = "; ".join(over.what for over in exceeded)
    if case.job.preview:
        return CeilingReached(f"{what}. {_way_on(case, to_allow)}")
    look = f"Look at the plan: `runner jobs changes {case.job.id}`."
    return CeilingReached(f"{what}. Nothing was written. {look} {_way_on(case, to_allow)}")


def _way_on(case: Case, to_allow: int) -> str:
    """How a person allows it once: what was looked at, and nothing else."""
    if case.job.revert_of is not None:
        command = f"runner jobs revert {case.job.revert_of} --allow-destructive {to_allow}"
    elif case.job.preview:
        return "If it is right, run it: the run stops as well, and names the command that allows it once."
    else:
        command = f"runner jobs retry {case.job.id} --allow-destructive {to_allow}"
    return f"If it is right, allow it once: `{command}`."
