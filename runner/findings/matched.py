"""The findings of a scan, laid out by the tasks they speak about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.findings.mapping import Match, TaskIndex
from runner.findings.note import in_order
from runner.findings.tally import Group, Tally
from runner.model.findings import FindingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The groups of findings by task, and those that match nothing."""

    groups: Mapping[str, Sequence[Group]]
    left_over: Sequence[Group]  # they are in ``groups`` too, if a task takes such
    takers: Sequence[str]  # the tasks that take them
    total: int  # findings
    mapped: int  # findings that some task answers to
    matches: Sequence[tuple[Group, Match]]  # each sort of finding, and where it went

    @classmethod
    def of(cls, index: TaskIndex, tally: Tally) -> "Matched":
        """Match each sort of finding once, however many there are of it."""
        groups: dict[str, list[Group]] = {}
        left_over: list[Group] = []
        takers: dict[str, None] = {}
        matches = [(group, index.match(group.weakness)) for group in tally]
        for group, match in matches:
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
            matches=matches,
        )

    def rows(self, index: TaskIndex) -> Iterator[FindingRow]:
        """Each sort of finding as it is kept for people to look at, the worst first."""
        place = {id(group): match for group, match in self.matches}
        for group in in_order(group for group, _ in self.matches):
            match = place[id(group)]
            yield FindingRow(
                category=group.weakness.category,
                cwes=list(group.weakness.cwes),
                severity=group.severity.value,
                number=group.count,
                via=match.via.value,
                mapped=match.mapped,
                tasks=[index.tasks[task].task_id for task in match.tasks],
                examples=list(group.locations),
            )
