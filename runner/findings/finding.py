"""A finding: one weakness that a scanner reports, or several that differ in nothing known."""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple


class Severity(StrEnum):
    """How bad a finding is, in the terms most scanners share; the worst first."""

    CRITICAL = "Critical"
    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"
    INFO = "Info"
    UNKNOWN = "Unknown"  # the scanner didn't say


BY_WEIGHT = tuple(Severity)
"""Severities in falling order; an index into it compares two."""


class Weakness(NamedTuple):
    """What findings of one sort have in common, and what they are matched to tasks by."""

    category: str  # as the scanner calls it, with subtype: "SQL Injection: Hibernate"
    cwes: tuple[int, ...] = ()  # the primary one first

    def names(self) -> Iterator[str]:
        """The category's names, the most particular one first, ready to compare."""
        name = plain(self.category)
        yield name
        general, _, subtype = name.partition(":")
        if subtype:
            yield general.strip()


class Finding(NamedTuple):
    """One finding as a reader yields it. (A tuple, for there may be a million of them.)"""

    weakness: Weakness
    identity: str  # the same from scan to scan; what tells it from all others of its scanner
    severity: Severity = Severity.UNKNOWN
    location: str = ""  # where, as "src/shop/Cart.java:41"; "" = the scanner didn't say
    count: int = 1  # type: ignore[assignment]  # not tuple.count; more than 1 = counted, not listed
    mark: int | None = None  # its identity's ``mark_of``, from a reader that keeps those alone


_WIDTH = 8  # bytes


def mark_of(identity: str) -> int:
    """A number that stands for an identity.

    That two of 400,000 findings share one has a chance of 1 in 10**8, and would cost one
    finding of a sort that has many.
    """
    return int.from_bytes(blake2b(identity.encode("utf-8", "replace"), digest_size=_WIDTH).digest())


def plain(name: str) -> str:
    """``name`` as it is compared: case and runs of white space don't matter."""
    return " ".join(name.split()).casefold()
