"""How many issues a report says there are, beside those it lists.

A report lists a part: its template limits the listing to some issues per category, or
refines it to some priorities. What it counts stands in sentences and in charts, and they
disagree, for charts follow the filter set and sentences don't always. **The largest number
wins.** If that is wrong, tasks stay as they are; the other way round they would pass though
issues exist that the report doesn't list. (There are public files that say 8 in their text,
2 in their charts, and list 2. Such a one sets tasks to fail and none to pass.)
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.findings.finding import plain

_SEARCHED = 4096
"""Characters of a text looked at; sections with lists of files have megabytes."""

_NUMBER = r"(\d[\d.,\u00a0\u202f' ]*)"
_FOUND = (
    re.compile(rf"scan found {_NUMBER}\s*issues?\b", re.IGNORECASE),
    re.compile(rf"total of {_NUMBER}\s*(?:reviewed )?(?:findings?|issues?)\b", re.IGNORECASE),
)
_PARTITIONS = frozenset(
    {"fortify priority order", "category", "analysis", "folder", "kingdom", "analyzer", "new issue"}
)
"""Axes on which an issue stands once. On others, as CWE, it may stand in several groups."""

_HIDDEN = re.compile(r"\s*\(\d+ hidden\)\s*$", re.IGNORECASE)


@dataclass(slots=True)
class _Chart:
    axis: str
    by_analysis: bool  # its groups are summed up by the Analysis tag
    whole: bool = True  # not refined to a part of the issues
    groups: Counter[str] = field(default_factory=Counter)
    group: str = ""  # the one that is being read


@dataclass(slots=True)
class Counts:
    """Everything a report counts, fed in the order in which it stands there."""

    _charts: list[_Chart] = field(default_factory=list)
    _texts: list[int] = field(default_factory=list)
    _refined: bool = False
    _audited: dict[str, Counter[str]] = field(default_factory=dict)  # by category, by Analysis value

    def text(self, text: str) -> None:
        """Look for a total in the text of a section."""
        for pattern in _FOUND:
            found = pattern.search(text[:_SEARCHED])
            if found:
                self._texts.append(int(re.sub(r"\D", "", found[1])))

    def refinement(self, text: str) -> None:
        """The filter of the listing whose chart comes next."""
        self._refined = bool(text.strip())

    def axis(self, text: str) -> None:
        """A chart begins."""
        self._charts.append(_Chart(plain(text), by_analysis=False, whole=not self._refined))

    def major(self, text: str) -> None:
        """What the groups of the chart are summed up by."""
        if self._charts:
            self._charts[-1].by_analysis = plain(text) == "analysis"

    def group(self, title: str, count: str) -> None:
        """A group of the chart."""
        if self._charts:
            chart = self._charts[-1]
            chart.group = _HIDDEN.sub("", title).strip()
            chart.groups[chart.group] += _number(count)

    def audited(self, value: str, count: str) -> None:
        """How many issues of the group have a value of the Analysis tag."""
        if self._charts and self._charts[-1].by_analysis and self._charts[-1].axis == "category":
            values = self._audited.setdefault(self._charts[-1].group, Counter())
            values[plain(value)] = max(values[plain(value)], _number(count))

    @property
    def anything(self) -> bool:
        """Whether the report counts at all."""
        return bool(self._charts or self._texts)

    @property
    def total(self) -> int | None:
        """The largest number of issues it speaks of; None = nothing counts all of them."""
        charts = [chart for chart in self._charts if chart.axis in _PARTITIONS]
        if not self._texts and not any(chart.whole for chart in charts):
            return None
        return max([*self._texts, *(chart.groups.total() for chart in charts)])

    def unlisted(
        self, listed: Mapping[str, int], left_out: Mapping[str, int], blacklist: frozenset[str]
    ) -> Iterator[tuple[str, int]]:
        """Categories with issues that are counted and not listed, and how many there are.

        Only those that are certain: where the report doesn't show how many of them people
        have decided against, they are left alone. ``listed`` has all issues listed, by
        category, ``left_out`` those among them with a value of ``blacklist``.
        """
        counted: Counter[str] = Counter()
        for chart in self._charts:
            if chart.axis == "category":
                counted |= chart.groups
        hidden = self._decided_against(blacklist) - sum(left_out.values())
        for category, number in counted.items():
            audited = self._audited.get(category)
            against = left_out.get(category, 0)
            if audited is not None and audited.total() >= number:
                against = max(against, sum(audited[value] for value in blacklist))
            elif hidden > 0:
                continue
            more = number - against - (listed.get(category, 0) - left_out.get(category, 0))
            if more > 0:
                yield category, more

    def _decided_against(self, blacklist: frozenset[str]) -> int:
        """Issues with a value of ``blacklist``, listed or not; as many as can be where it isn't said."""
        charts = [chart for chart in self._charts if chart.axis == "analysis" and chart.whole]
        if not charts:
            return self.total or 0
        return max(
            sum(n for title, n in chart.groups.items() if plain(title) in blacklist) for chart in charts
        )


def _number(text: str) -> int:
    digits = re.sub(r"\D", "", text)
    return int(digits) if digits else 0
