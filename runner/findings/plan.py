"""From the findings of a scan to the changes of a run.

One analysis session, then one change for each task whose verification changes, or whose
findings did. A scan that says what stands already plans nothing, not even the session.
"""

from collections.abc import Iterator

from runner.errors import ConfigRejected, Refused
from runner.findings.mapping import Rule, TaskIndex
from runner.findings.mapping_table import read_mapping
from runner.findings.matched import Matched
from runner.findings.memory import KEY, Memory
from runner.findings.params import AnalysisParams
from runner.findings.scan import Scan, empty_is_confirmed, silence_is_mute
from runner.findings.summary import named, summary
from runner.findings.tally import Tally
from runner.findings.verdicts import Verdicts
from runner.model.changes import Change, Complete
from runner.ports import Context


def plan_import(ctx: Context, scan: Scan, tally: Tally, params: AnalysisParams) -> Iterator[Change]:
    """The changes that ``scan`` with its findings makes to the project of ``ctx``.

    Says what it concluded, counts, has the findings kept, and remembers for the next import.
    ``ConfigRejected`` if there are findings and not one of them has a task to go to, or if the
    connection's mapping can't be used.
    """
    index = TaskIndex(ctx.platform.tasks(), _rules(ctx))
    matched = Matched.of(index, tally)
    for row in matched.rows(index):
        ctx.found(row)
    if tally.total and not matched.groups:
        raise _nowhere_to_go(ctx, tally)
    last = Memory.of(ctx.memory)
    confirmed = empty_is_confirmed(last, by_setting=params.confirm_empty, by_person=not ctx.job.automatic)
    mute = silence_is_mute(scan, last, mapped=matched.mapped, confirmed=confirmed)
    proof = _prove(ctx, size=tally.total, target=len(index.tasks), mute=mute)
    verdicts = Verdicts(
        ctx,
        scan,
        params=params,
        index=index,
        groups=matched.groups,
        last=last.digests,
        proof=None if params.flaws_only else proof,
    )
    changes = list(verdicts.changes())
    _tell(ctx, scan, matched, index, mute="" if params.flaws_only else mute)
    if ctx.job.only is None:
        concluded = proof is not None and not params.flaws_only
        memory = Memory(
            ref=scan.ref,
            clues=scan.clues,
            listed=scan.listed,
            empty_confirmed=scan.listed == 0 and confirmed,
            # Where silence says nothing, older notes of tasks this scan doesn't speak of still stand.
            digests=verdicts.digests if proof is not None else {**last.digests, **verdicts.digests},
            completed=scan.completed if concluded else last.completed,
        )
        ctx.remember(KEY, memory.to_json())
    if changes:
        yield verdicts.session()
        yield from changes


def _rules(ctx: Context) -> list[Rule]:
    try:
        return read_mapping(ctx.mapping) if ctx.mapping else []
    except Refused as error:
        raise ConfigRejected(f"{error.message} Correct it and put it in place again.") from error


def _prove(ctx: Context, *, size: int, target: int, mute: str) -> Complete | None:
    """Declare the reading whole, or why nothing may be concluded from what it doesn't say."""
    reading = ctx.reading("report", target_size=target)
    if not mute:
        return reading.complete(size)
    reading.incomplete(mute, size=size, additions_hold=True)
    return None


def _nowhere_to_go(ctx: Context, tally: Tally) -> ConfigRejected:
    project = ctx.platform.project()
    return ConfigRejected(
        f"None of the {tally.total} findings matches a task of the project {project.name} by CWE or category "
        f"({named(tally)}), and no task of it takes what matches no other. Nothing was changed. Add such a "
        "task, or import into the project that was scanned."
    )


def _tell(ctx: Context, scan: Scan, matched: Matched, index: TaskIndex, *, mute: str) -> None:
    for sentence in summary(scan, matched, index, mute=mute):
        ctx.say(sentence)
    passing = sum(1 for task in index.tasks if task not in matched.groups and index.confidence(task))
    ctx.count("findings", matched.total)
    ctx.count("mapped", matched.mapped)
    ctx.count("unmapped", matched.total - matched.mapped)
    ctx.count("suppressed", scan.suppressed)
    ctx.count("tasks_failed", len(matched.groups))
    ctx.count("tasks_passed", 0 if mute else passing)
