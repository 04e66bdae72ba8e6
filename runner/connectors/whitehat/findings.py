"""WhiteHat's records to findings: v1 and v2 in JSON, v1 in XML.

Nearly every key of a record is optional, and numbers come as numbers or as text. What a
record has to say is its id, its class and its status; without one of them it is left aside
and named, and nothing passes because of the rest.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from runner.connectors.whitehat.classes import cwe_of
from runner.findings.finding import Finding, Severity, Weakness, plain

Record = Mapping[str, Any]

_CWE = re.compile(r"CWE-(\d{1,6})", re.IGNORECASE)
_MOST_NAMED = 3
_LONGEST = 60  # characters of what is named

_BY_RISK = {
    0: Severity.INFO,
    1: Severity.INFO,  # "Note"
    2: Severity.LOW,
    3: Severity.MEDIUM,
    4: Severity.HIGH,
    5: Severity.CRITICAL,
    6: Severity.CRITICAL,  # above the scale; seen in old exports
}
_BY_SEVERITY = {
    0: Severity.INFO,
    1: Severity.LOW,
    2: Severity.MEDIUM,
    3: Severity.HIGH,
    4: Severity.CRITICAL,
    5: Severity.CRITICAL,  # "Urgent"
}
_RATINGS = {"low": 1, "medium": 2, "high": 3}
_BY_RATINGS = {6: Severity.CRITICAL, 5: Severity.HIGH, 4: Severity.MEDIUM, 3: Severity.LOW, 2: Severity.INFO}
"""Severity by the sum of likelihood and impact, 1 to 3 each, as the service itself rates."""


class Translation:
    """Translates the records of one reading, and knows afterwards what it left aside."""

    def __init__(self, statuses: tuple[str, ...]) -> None:
        self._statuses = frozenset(statuses)
        self._weaknesses: dict[tuple[str, tuple[int, ...]], Weakness] = {}
        self._names: dict[str, str] = {}
        self._bad: list[str] = []
        self._ids: set[str] = set()
        self.places: dict[str, None] = {}  # names of the assets the records are about
        self.listed = 0
        self.left_out: Counter[str] = Counter()

    def finding(self, record: object) -> Finding | None:
        """The finding of a record; None if it doesn't count or was there before."""
        if not isinstance(record, dict):
            self._leave_aside("a value that is no record")
            return None
        number, sort = _text(record.get("id")), _name_of(record.get("class"))
        status = plain(_text(record.get("status"))).replace("_", " ")
        if missing := [n for n, v in (("id", number), ("class", sort), ("status", status)) if not v]:
            self._leave_aside(f"{number or sort or 'one'} has no {' and no '.join(missing)}")
            return None
        if number in self._ids:
            return None
        self._ids.add(number)
        self.listed += 1
        self._note_place(record)
        decided = self._decided(record, status)
        if decided:
            self.left_out[decided] += 1
            return None
        return Finding(
            weakness=self._weakness(sort, _cwes(record)),
            identity=number,
            severity=_severity(record),
            location=_location(record),
        )

    def _decided(self, record: Record, status: str) -> str:
        """Why a record doesn't count; "" if it does. A status is compared whole: "open" is not "reopened"."""
        if status not in self._statuses:
            return status
        accepted = _number(record.get("accepted")) or record.get("customAccepted") is True
        if accepted and "accepted" not in self._statuses:
            return "accepted"
        reasons = record.get("out_of_scope_reasons") or record.get("outOfScopeReasons")
        return "out of scope" if reasons and "out of scope" not in self._statuses else ""

    def _note_place(self, record: Record) -> None:
        asset = record.get("asset")
        name = _name_of(asset) if isinstance(asset, dict) else _text(record.get("site_name"))
        if name and len(self.places) < _MOST_NAMED:
            self.places[name[:_LONGEST]] = None

    def _weakness(self, sort: str, cwes: tuple[int, ...]) -> Weakness:
        """One object for all findings of a sort, however its name is spelled."""
        name = self._names.setdefault(plain(sort), sort)
        known = self._weaknesses.get((name, cwes))
        if known is None:
            known = Weakness(category=name, cwes=cwes or cwe_of(sort))
            self._weaknesses[name, cwes] = known
        return known

    def _leave_aside(self, what: str) -> None:
        self._bad.append(what[:_LONGEST]) if len(self._bad) < _MOST_NAMED else self._bad.append("")

    @property
    def shortfall(self) -> str:
        """What could not be read, as a sentence; "" = all of it could."""
        if not self._bad:
            return ""
        named = "; ".join(filter(None, self._bad))
        more = len(self._bad) - _MOST_NAMED
        rest = f"; and {more} more" if more > 0 else ""
        return (
            f"{len(self._bad)} of its records can't be read ({named}{rest}), and they may speak of any task."
        )

    @property
    def left_out_as(self) -> str:
        """What those that don't count are, the most frequent first."""
        return " or ".join(status for status, _ in self.left_out.most_common())


def from_xml(element: "etree._Element") -> Record:
    """One ``vulnerability`` of v1 XML as the record that v1 JSON has of it."""
    record: dict[str, Any] = {str(name): value for name, value in element.attrib.items()}
    tags = [text for child in element.iter() if "tag" in _local(child) for text in [child.text or ""]]
    return {**record, "attack_vectors": [{"scanner_tags": tags}]}


def _local(element: "etree._Element") -> str:
    return str(element.tag).rpartition("}")[2]


def _cwes(record: Record) -> tuple[int, ...]:
    """The CWEs of all vectors and tags, each once, in the order in which they come up."""
    return tuple(dict.fromkeys(int(found) for tag in _tags(record) for found in _CWE.findall(tag)))


def _tags(record: Record) -> Iterator[str]:
    vectors = record.get("attack_vectors")
    for vector in vectors if isinstance(vectors, list) else ():
        tags = vector.get("scanner_tags") if isinstance(vector, dict) else None
        yield from (str(tag) for tag in tags) if isinstance(tags, list) else ()
    more = record.get("subTypeTags")
    yield from (str(tag) for tag in more) if isinstance(more, list) else ()


def _severity(record: Record) -> Severity:
    """The effective rating: the customer's own, else WhiteHat's, else what the older scales give."""
    for name in ("custom_risk", "customRisk", "risk"):
        risk = _number(record.get(name))
        if risk is not None:
            return _BY_RISK.get(risk, Severity.UNKNOWN)
    ratings = [_RATINGS.get(plain(_text(record.get(n)))) for n in ("likelihoodRating", "impactRating")]
    if None not in ratings:
        return _BY_RATINGS[sum(filter(None, ratings))]
    severity = _number(record.get("severity"))
    return Severity.UNKNOWN if severity is None else _BY_SEVERITY.get(severity, Severity.UNKNOWN)


def _location(record: Record) -> str:
    """Where it is, without what may be secret in an address: a log-in, a query."""
    text = _text(record.get("url")) or _text(record.get("location"))
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme and host else parts.path


def _name_of(value: object) -> str:
    """A name, as text or as the object that v2 has in its place."""
    return _text(value.get("name")) if isinstance(value, dict) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if type(value) is int else ""  # a truth is no number


def _number(value: object) -> int | None:
    text = _text(value)
    return int(text) if text.isascii() and text.isdigit() else None
