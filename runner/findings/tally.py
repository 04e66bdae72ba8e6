"""Findings folded as they are read: memory grows with their sorts, not with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from runner.findings.finding import BY_WEIGHT, Finding, Severity, Weakness, mark_of

EXAMPLES = 3
"""Locations kept of each sort of finding."""

_WIDTH = 8  # bytes
_SALTS = {severity: mark_of(severity) for severity in Severity}


@dataclass(slots=True)
class Group:
    """All findings of one weakness."""

    weakness: Weakness
    count: int = 0
    severity: Severity = Severity.UNKNOWN
    locations: list[str] = field(default_factory=list)
    digest: int = 0  # of identities and severities, whatever their order

    def add(self, finding: Finding) -> None:
        """Fold one more finding in."""
        self.count += finding.count
        if finding.severity is not self.severity and _weight(finding.severity) < _weight(self.severity):
            self.severity = finding.severity
        if finding.location and len(self.locations) < EXAMPLES and finding.location not in self.locations:
            self.locations.append(finding.location)
        # Where it stands is left out: lines move with every edit, and it is the same finding.
        mark = mark_of(finding.identity) if finding.mark is None else finding.mark
        self.digest += (mark ^ _SALTS[finding.severity]) * finding.count


class Tally:
    """The findings of one reading, by weakness."""

    def __init__(self) -> None:
        self._groups: dict[Weakness, Group] = {}

    def add(self, finding: Finding) -> None:
        """Fold one more finding in."""
        group = self._groups.get(finding.weakness)
        if group is None:
            group = self._groups[finding.weakness] = Group(finding.weakness)
        group.add(finding)

    def clear(self) -> None:
        """Begin again."""
        self._groups.clear()

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    @property
    def total(self) -> int:
        """How many findings there are."""
        return sum(group.count for group in self._groups.values())


def digest(groups: Iterable[Group]) -> str:
    """Hexadecimal text that differs when the findings of ``groups`` do; "" = there are none."""
    parts = sorted((group.weakness.category, group.count, group.digest) for group in groups)
    return blake2b(repr(parts).encode(), digest_size=_WIDTH).hexdigest() if parts else ""


def _weight(severity: Severity) -> int:
    return BY_WEIGHT.index(severity)
