"""The analysis note of one task: its findings for programs, and a text for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from runner.findings.finding import BY_WEIGHT, Severity
from runner.findings.tally import Group
from runner.model.platform import Verification

MOST_ENTRIES = 50
"""Sorts of findings written out in one note."""

MOST_IN_TEXT = 5
"""Sorts of findings named in its text."""

LONGEST = 300
"""Characters of a category or a location."""


def findings(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The findings of a task, the worst and the most frequent first, bounded in number and length."""
    ordered = in_order(groups)
    entries = [_entry(group) for group in ordered[:MOST_ENTRIES]]
    if rest := ordered[MOST_ENTRIES:]:
        entries.append({"count": sum(group.count for group in rest), "desc": f"{len(rest)} more categories"})
    return entries


def _entry(group: Group) -> dict[str, Any]:
    entry: dict[str, Any] = {"count": group.count, "desc": group.weakness.category[:LONGEST]}
    if group.weakness.cwes:
        entry["cwe"] = list(group.weakness.cwes)
    if group.severity is not Severity.UNKNOWN:
        entry["severity"] = group.severity.value
    if group.locations:
        entry["examples"] = [location[-LONGEST:] for location in group.locations]
    return entry


def text(groups: Sequence[Group], *, scanner: str, noun: str = "report", ref: str, says: Verification) -> str:
    """A few lines for people: what the scanner found, and where for example."""
    if says is Verification.PASS:
        return f"{scanner} found nothing for this task ({noun} {ref})."
    if says is Verification.PARTIAL:
        return f"{scanner} found nothing for this task ({noun} {ref}), but it may not look for all of it."
    total = sum(group.count for group in groups)
    lines = [f"{scanner} has {plural(total, 'finding')} for this task ({noun} {ref}):"]
    ordered = in_order(groups)
    lines += [_line(group) for group in ordered[:MOST_IN_TEXT]]
    if more := len(ordered) - MOST_IN_TEXT:
        lines += [f"- and {plural(more, 'more category', 'more categories')}"] if more > 0 else []
    return "\n".join(lines)


def _line(group: Group) -> str:
    facts = [f"CWE-{cwe}" for cwe in group.weakness.cwes[:3]]
    if group.severity is not Severity.UNKNOWN:
        facts.insert(0, group.severity.value)
    about = f" ({', '.join(facts)})" if facts else ""
    where = f", as in {group.locations[0][-LONGEST:]}" if group.locations else ""
    return f"- {group.weakness.category[:LONGEST]}: {plural(group.count, 'finding')}{about}{where}"


def in_order(groups: Iterable[Group]) -> list[Group]:
    """``groups``, the worst and then the most frequent first."""
    return sorted(
        groups, key=lambda group: (BY_WEIGHT.index(group.severity), -group.count, group.weakness.category)
    )


def plural(number: int, one: str, many: str = "") -> str:
    """``number`` with its noun: "1 finding", "2 findings"."""
    return f"{number} {one if number == 1 else many or one + 's'}"
