"""What the result message says of an import, besides the counts of changes."""

from collections.abc import Iterable, Iterator

from runner.findings.mapping import TaskIndex
from runner.findings.matched import Matched
from runner.findings.note import in_order, plural
from runner.findings.scan import Scan
from runner.findings.tally import Group

NAMED = 5
"""Unmapped categories named in a message."""

LONGEST = 80
"""Characters of each name."""


def summary(scan: Scan, matched: Matched, index: TaskIndex, *, mute: str) -> Iterator[str]:
    """The sentences, in order: what was read, where it went, why nothing may pass."""
    left_out = f"; {scan.suppressed} left out as {scan.suppressed_as}" if scan.suppressed else ""
    yield f"The {scan.name} {scan.noun} {scan.ref} has {plural(matched.total, 'finding')}{left_out}."
    if matched.total:
        yield _where_to(matched, index)
    if mute:
        yield f"No task was set to pass. {mute}"


def _where_to(matched: Matched, index: TaskIndex) -> str:
    unmapped = matched.total - matched.mapped
    answering = len(matched.groups) - sum(1 for task in matched.takers if not _answers(matched, task))
    text = (
        f"{matched.mapped} {_verb(matched.mapped)} {plural(answering, 'task')}"
        if matched.mapped
        else "None matches a task"
    )
    if not unmapped:
        return f"{text}."
    text += f"; {unmapped} {_verb(unmapped)} none ({named(matched.left_over)})"
    takers = [index.tasks[task].task_id for task in matched.takers]
    return f"{text} and {'goes' if unmapped == 1 else 'go'} to {', '.join(takers)}." if takers else f"{text}."


def _answers(matched: Matched, task: str) -> bool:
    """Whether a task that takes what is left over also has findings it answers to itself."""
    left_over = {group.weakness for group in matched.left_over}
    return any(group.weakness not in left_over for group in matched.groups[task])


def _verb(number: int) -> str:
    return "matches" if number == 1 else "match"


def named(groups: Iterable[Group]) -> str:
    """The worst and most frequent categories, a few of them."""
    names = list(dict.fromkeys(group.weakness.category[:LONGEST] for group in in_order(groups)))
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
