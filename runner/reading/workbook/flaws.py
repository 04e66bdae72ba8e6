"""What is wrong with single cells."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from runner.reading.workbook.limits import cell_name

_MOST_MERGED = 100_000  # cells of merged ranges that are remembered


class Flaw(Enum):
    """Why a cell that reads as blank isn't one."""

    NO_VALUE = "holds a formula without a stored value; open the file in a spreadsheet and save it"
    MAYBE_NO_VALUE = (
        "holds a formula whose stored value is missing or empty, which an .xls doesn't tell apart; "
        "save the file as .xlsx"
    )
    ERROR = "holds an error instead of a value"
    MERGED = "is part of merged cells, whose value stands in the first of them only; unmerge them"
    DIGITS = "holds a number of more than 15 digits, of which the spreadsheet has kept 15; write it as text"


@dataclass(slots=True)
class Scan:
    """What was seen of one sheet before a library read it; rows and columns count from 0."""

    rows: int = 0
    columns: int = 0
    flaws: dict[tuple[int, int], Flaw] = field(default_factory=dict)

    def reach(self, row: int, column: int) -> None:
        """Note that there is a cell."""
        self.rows = max(self.rows, row + 1)
        self.columns = max(self.columns, column + 1)

    def merge(self, first: tuple[int, int], last: tuple[int, int]) -> None:
        """Note merged cells: all but the first are flawed."""
        for place in _covered(first, last):
            if len(self.flaws) >= _MOST_MERGED:
                return
            self.flaws.setdefault(place, Flaw.MERGED)


def _covered(first: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for row in range(first[0], last[0] + 1):
        for column in range(first[1], last[1] + 1):
            if (row, column) != first:
                yield row, column


def told(place: tuple[int, int], flaw: Flaw) -> str:
    """A flaw as a clause: "B7 holds an error instead of a value"."""
    return f"{cell_name(*place)} {flaw.value}"
