"""The status rule: what a scan says of a task, and what that makes of what stood before.

Sources: the SD Elements pages on verification. How ``combine`` folds several results into
one isn't documented there; the worst one wins here, so that no scanner's silence hides what
another found.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.findings.mapping import Confidence
from runner.model.platform import Task, Verification


class Behaviour(StrEnum):
    """What an import does with the results that stand already."""

    REPLACE = "replace"  # all earlier results go
    REPLACE_SCANNER = "replace-scanner"  # the same scanner's earlier result goes
    COMBINE = "combine"  # none goes; the worst of all stands


BY_WEIGHT = (Verification.FAIL, Verification.PARTIAL, Verification.PASS, Verification.NONE)
"""Verification statuses, the worst first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The verification of a task as a whole, and the result of each scanner."""

    status: Verification
    results: Mapping[str, Verification]


def verdict(*, found: bool, confidence: Confidence | None) -> Verification:
    """What one complete scan says of a task; ``NONE`` = it says nothing of it."""
    if found:
        return Verification.FAIL
    match confidence:
        case Confidence.HIGH:
            return Verification.PASS
        case Confidence.LOW:
            return Verification.PARTIAL
        case None:
            return Verification.NONE


def worst(statuses: Iterable[Verification]) -> Verification:
    """The worst of ``statuses``; ``NONE`` if there is none."""
    return min(statuses, key=BY_WEIGHT.index, default=Verification.NONE)


def standing(task: Task, scanner: str, says: Verification, behaviour: Behaviour) -> Standing:
    """What stands for ``task`` once ``scanner`` has said ``says`` of it."""
    match behaviour:
        case Behaviour.REPLACE:
            return Standing(says, {scanner: says})
        case Behaviour.REPLACE_SCANNER:
            results = {**task.results, scanner: says}
            return Standing(worst(results.values()), results)
        case Behaviour.COMBINE:
            results = {**task.results, scanner: worst((says, task.results.get(scanner, says)))}
            # A person may have set the task as a whole; that is an earlier result as well.
            return Standing(worst((*results.values(), task.verification_status)), results)
