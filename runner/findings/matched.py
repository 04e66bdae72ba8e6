"""The findings of a scan, laid out by the tasks they speak about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.findings.mapping import TaskIndex
from runner.findings.tally import Group, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The groups of findings by task, and those that match nothing."""

    groups: Mapping[str, Sequence[Group]]
    left_over: Sequence[Group]  # they are in ``groups`` too, if a task takes such
    takers: Sequence[str]  # the tasks that take them
    total: int  # findings
    mapped: int  # findings that some task answers to

    @classmethod
    def of(cls, index: TaskIndex, tally: Tally) -> "Matched":
        """Match each sort of finding once, however many there are of it."""
        groups: dict[str, list[Group]] = {}
        left_over: list[Group] = []
        takers: dict[str, None] = {}
        for group in tally:
            match = index.match(group.weakness)
            for task in match.tasks:
                groups.setdefault(task, []).append(group)
            if not match.mapped:
                left_over.append(group)
                takers.update(dict.fromkeys(match.tasks))
        unmapped = sum(group.count for group in left_over)
        return cls(
            groups=groups,
            left_over=left_over,
            takers=tuple(takers),
            total=tally.total,
            mapped=tally.total - unmapped,
        )
