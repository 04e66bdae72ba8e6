"""What a run says at its end: plain English, built from counts."""

from collections.abc import Mapping, Sequence

from runner.model.changes import TRAITS, ChangeState, Op
from runner.store.changes import Tally

NOTHING = "Nothing to change."

_NOUNS: Mapping[str, tuple[str, str]] = {
    "verification": ("task", "tasks"),
    "membership": ("member", "members"),
}
_SILENT = frozenset({"analysis-session"})
"""Kinds that are means, not ends: nobody asked for them by name."""


def _noun(kind: str, number: int) -> str:
    one, many = _NOUNS.get(kind, (kind.replace("-", " "), f"{kind.replace('-', ' ')}s"))
    return one if number == 1 else many


def _counts(tallies: Sequence[Tally], state: ChangeState) -> list[str]:
    numbers: dict[tuple[Op, str], int] = {}
    for tally in tallies:
        if tally.state is state and tally.kind not in _SILENT:
            key = (tally.op, tally.kind)
            numbers[key] = numbers.get(key, 0) + tally.number
    return [f"{n} {_noun(kind, n)} {TRAITS[op].verb}" for (op, kind), n in numbers.items()]


def _total(tallies: Sequence[Tally], state: ChangeState) -> int:
    return sum(tally.number for tally in tallies if tally.state is state)


def message(
    tallies: Sequence[Tally],
    *,
    sentences: Sequence[str],
    warnings: Sequence[str] = (),
    troubles: Sequence[tuple[str, str]],
    preview: bool,
) -> str:
    """The result message of a run that reached its end.

    ``sentences`` are the connector's and the boundary's, ``warnings`` those of the connector that
    come before all else, ``troubles`` subject and error of
    the first changes that failed or were left alone.
    """
    done = _counts(tallies, ChangeState.PLANNED if preview else ChangeState.DONE)
    parts = [f"{', '.join(done)}." if done else NOTHING]
    failed, skipped = _total(tallies, ChangeState.FAILED), _total(tallies, ChangeState.SKIPPED)
    unknown = _total(tallies, ChangeState.INTENDED)
    if failed:
        parts.append(f"{failed} failed.")
    if skipped:
        parts.append(f"{skipped} left alone.")
    if unknown:
        parts.append(f"{unknown} with an outcome that isn't known: look at them over there.")
    parts += [f"{subject}: {error.rstrip('.')}." for subject, error in troubles]
    parts += sentences
    text = " ".join(parts)
    if preview:
        text = f"Preview, nothing was written: {text[0].lower() if not done else text[0]}{text[1:]}"
    return " ".join([*warnings, text])


def stopped(error: str, tallies: Sequence[Tally]) -> str:
    """The result message of a run that failed, with what it had written by then."""
    done = _counts(tallies, ChangeState.DONE)
    unknown = _total(tallies, ChangeState.INTENDED)
    parts = [error]
    if done:
        parts.append(f"Before that: {', '.join(done)}.")
    if unknown:
        parts.append(f"Of {unknown} more it isn't known whether they were made: look at them over there.")
    return " ".join(parts)
