"""How large a workbook may be, said before a library is let at it."""

from dataclasses import dataclass

from runner.errors import BadInput

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is refused beyond."""

    unpacked: int = 512 * MEBIBYTE  # bytes of all parts of the archive
    ratio: int = 100  # of one part, unpacked to packed; an honest sheet has about nine
    small: int = MEBIBYTE  # bytes below which a part's ratio doesn't matter
    parts: int = 10_000
    rows: int = 1_048_576
    columns: int = 1_000
    cells: int = 5_000_000  # of the rectangle from A1 to the last cell that holds something


LIMITS = Limits()


def check_extent(sheet: str, *, rows: int, columns: int, limits: Limits) -> None:
    """Refuse a sheet whose last cell is too far out: libraries make room for all before it."""
    if rows <= limits.rows and columns <= limits.columns and rows * columns <= limits.cells:
        return
    msg = (
        f"The sheet {sheet!r} reaches to {cell_name(rows - 1, columns - 1)}, "
        "which is more than the runner reads "
        f"({limits.cells:,} cells, {limits.columns:,} columns). If most of it is empty, delete the rows "
        "and columns behind the data and save the file again."
    )
    raise BadInput(msg)


def cell_name(row: int, column: int) -> str:
    """A cell's name as the spreadsheet shows it; both counted from 0."""
    letters = ""
    column += 1
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(65 + digit) + letters
    return f"{letters}{row + 1}"


def column_number(letters: str) -> int:
    """The number of a column, counted from 0: A is 0, Z is 25, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
