"""What an import found, as it is kept for people to look at: a row per sort of finding."""

from typing import NamedTuple


class FindingRow(NamedTuple):
    """All findings of one weakness in one run, and where they went."""

    category: str  # as the scanner calls it, with subtype
    cwes: list[int]  # the primary one first
    severity: str  # the worst of them
    number: int  # how many there are
    via: str  # what brought them to their tasks: rule, cwe, category, catch_all, nothing
    mapped: bool  # whether a task answers to them, rather than to whatever is left over
    tasks: list[str]  # as "T21"
    examples: list[str]  # a few locations
