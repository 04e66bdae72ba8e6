"""The decision where a task and its item differ.

Two-valued on Rally's side: an item is done, or it isn't. A task that is done or not
applicable agrees with a done item, one that is to do with an open one. An open item never
takes back by itself that a task isn't applicable: that is a person's acceptance of a risk.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runner.connectors.rally.params import Policy
from runner.model.platform import Meaning


class Verdict(StrEnum):
    """What is to be done about a task and its item."""

    AGREE = "agree"
    CLOSE_ITEM = "close item"
    OPEN_ITEM = "open item"
    TASK_DONE = "task done"
    TASK_TODO = "task to do"
    ACCEPTED = "accepted"  # a risk that a person accepted: both stay as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the connection says of conflicts."""

    policy: Policy
    overwrite_na: bool = False


def judge(
    rules: Rules,
    *,
    meaning: Meaning,
    task_changed: datetime | None,
    item_done: bool,
    item_changed: datetime | None,
) -> Verdict:
    """Decide; the instants are in UTC. Without both of them ``timestamp`` decides for Rally."""
    if (meaning is not Meaning.TODO) is item_done:
        return Verdict.AGREE
    if _task_wins(rules.policy, task_changed, item_changed):
        return Verdict.OPEN_ITEM if item_done else Verdict.CLOSE_ITEM
    if item_done:
        return Verdict.TASK_DONE
    if meaning is Meaning.NA and not rules.overwrite_na:
        return Verdict.ACCEPTED
    return Verdict.TASK_TODO


def _task_wins(policy: Policy, task_changed: datetime | None, item_changed: datetime | None) -> bool:
    if policy is not Policy.TIMESTAMP:
        return policy is Policy.SDE
    return task_changed is not None and item_changed is not None and task_changed > item_changed
