"""SSC's issues to findings."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from runner.findings.finding import Finding, Severity, Weakness, plain

_SEVERITIES = {severity.value.casefold(): severity for severity in Severity}
_MOST_NAMED = 3


class Translation:
    """Translates the issues of one reading, and knows afterwards what it left aside."""

    def __init__(self, blacklist: tuple[str, ...]) -> None:
        self._blacklist = {plain(value): value for value in blacklist}
        self._weaknesses: dict[str, Weakness] = {}
        self._seen: set[str] = set()
        self._bad: list[str] = []
        self.listed = 0
        self.left_out: Counter[str] = Counter()

    def finding(self, row: object) -> Finding | None:
        """The finding of an issue; None if people decided against it, or it was there before."""
        fields: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
        instance, category = (str(fields.get(name) or "") for name in ("issueInstanceId", "issueName"))
        if not instance or not category:
            self._bad.append(str(fields.get("id", "one"))[:40])
            return None
        # An instance alone isn't unique: different rules may give the same one.
        identity = f"{instance} {fields.get('primaryRuleGuid') or ''}"
        if identity in self._seen:
            return None
        self._seen.add(identity)
        self.listed += 1
        decided = self._decided(fields)
        if decided:
            self.left_out[decided] += 1
            return None
        weakness = self._weaknesses.setdefault(plain(category), Weakness(category=category))
        return Finding(
            weakness=weakness,
            identity=identity,
            severity=_SEVERITIES.get(plain(str(fields.get("friority") or "")), Severity.UNKNOWN),
            location=_location(fields),
        )

    def _decided(self, fields: Mapping[str, Any]) -> str:
        for name in ("removed", "suppressed", "hidden"):
            if fields.get(name) is True:
                return name
        tag = self._blacklist.get(plain(str(fields.get("primaryTag") or "")))
        return f'"{tag}"' if tag else ""

    @property
    def shortfall(self) -> str:
        """What could not be read, as a sentence; "" = all of it could."""
        if not self._bad:
            return ""
        named = ", ".join(self._bad[:_MOST_NAMED])
        return f"{len(self._bad)} of its issues have no instance or no category (as {named})."

    @property
    def left_out_as(self) -> str:
        """What those that don't count are, the most frequent first."""
        return " or ".join(why for why, _ in self.left_out.most_common())


def _location(fields: Mapping[str, Any]) -> str:
    file = str(fields.get("fullFileName") or fields.get("primaryLocation") or "")
    line = fields.get("lineNumber")
    return f"{file}:{line}" if file and isinstance(line, int) and line > 0 else file
