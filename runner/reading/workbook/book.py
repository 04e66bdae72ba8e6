"""Opening a workbook and reading its sheets as rows of text."""

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadInput, TryLater
from runner.reading.workbook import ods, xls, xlsx
from runner.reading.workbook.cells import as_text, clean, is_inexact
from runner.reading.workbook.flaws import Flaw, Scan, told
from runner.reading.workbook.limits import LIMITS, Limits, cell_name, check_extent

QUIET = 2.0  # seconds without a change after which a file is taken to be written
PATIENCE = 60.0  # seconds that a file is waited for

Row = tuple[int, Sequence[str | None]]
"""A row's number as the spreadsheet shows it, and its cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet: a header and the rows below it. ``rows`` may be walked once."""

    name: str
    headers: Sequence[str]
    rows: Iterator[Row]
    flaws: Mapping[tuple[int, int], Flaw]  # by row and column, both from 0; filled while rows are read


class Workbook:
    """An opened workbook; ``names`` are its sheets, hidden ones too."""

    def __init__(
        self, names: Sequence[str], open_sheet: Callable[[str], Sheet], *, single: bool = False
    ) -> None:
        self.names = names
        self.single = single  # the file is one table, whatever a query calls it
        self._open = open_sheet

    def sheet(self, name: str) -> Sheet:
        """A sheet by its name, in any case."""
        if self.single:
            return self._open(self.names[0])
        for known in self.names:
            if known.casefold() == name.casefold():
                return self._open(known)
        listed = ", ".join(repr(each) for each in self.names)
        msg = f"The workbook has no sheet {name!r}; it has {listed}."
        raise BadInput(msg)


def open_workbook(
    path: Path, *, limits: Limits = LIMITS, quiet: float = QUIET, patience: float = PATIENCE
) -> Workbook:
    """Open a workbook after looking through it.

    A file that is still being written is waited for. Raises ``BadInput`` with a sentence for
    whoever sent it, ``TryLater`` for a file that doesn't come to rest.
    """
    _await_rest(path, quiet=quiet, patience=patience)
    before = _stamp(path)
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise BadInput("The workbook is empty: it has no bytes at all. Send it again.")
    if path.suffix.lower() == ".csv":
        return _open_csv(path, limits)
    scans = _look_through(path, head, limits)
    opened = _open_calamine(path, scans)
    if _stamp(path) != before:
        raise TryLater("The workbook was changed while it was read.", retry_after=QUIET)
    return opened


def _await_rest(path: Path, *, quiet: float, patience: float) -> None:
    """Wait until a file hasn't changed for a while."""
    end = time.monotonic() + patience
    seen, since = _stamp(path), time.monotonic()
    if time.time() - path.stat().st_mtime >= quiet:
        return
    while time.monotonic() - since < quiet:
        if time.monotonic() > end:
            raise TryLater("The workbook is still being written.", retry_after=patience)
        time.sleep(min(0.1, quiet))
        now = _stamp(path)
        if now != seen:
            seen, since = now, time.monotonic()


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _look_through(path: Path, head: bytes, limits: Limits) -> dict[str, Scan]:
    if head.startswith(xls.MAGIC):
        return xls.scan(path, limits)
    if head.startswith(b"PK"):
        return ods.scan(path, limits) if _is_ods(path) else xlsx.scan(path, limits)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        msg = (
            "The file is a web page or XML that only bears a workbook's name. "
            "Open it in a spreadsheet and save it as .xlsx."
        )
        raise BadInput(msg)
    if head[:2] in {b"\x09\x00", b"\x09\x02", b"\x09\x04"}:
        msg = "The .xls is of Excel 4 or older. Open it in a spreadsheet and save it as .xlsx."
        raise BadInput(msg)
    msg = "The file is no workbook: it must be an .xlsx, .xlsm, .xls, .ods or .csv."
    raise BadInput(msg)


def _is_ods(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "content.xml" in archive.namelist() and "xl/workbook.xml" not in archive.namelist()
    except (zipfile.BadZipFile, ValueError):
        return False  # the scan says what is wrong


def _open_calamine(path: Path, scans: Mapping[str, Scan]) -> Workbook:
    import python_calamine

    with _readable("The workbook"):
        book = python_calamine.CalamineWorkbook.from_path(str(path))

    def open_sheet(name: str) -> Sheet:
        what = f"The sheet {name!r}"
        with _readable(what):
            sheet = book.get_sheet_by_name(name)
            for first, last in sheet.merged_cell_ranges or []:
                scans[name].merge(first, last)
            cells = sheet.iter_rows()
        return _sheet(name, _guarded(cells, what), scans[name])

    return Workbook([name for name in book.sheet_names if name in scans], open_sheet)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """What calamine makes of a damaged file, as a sentence."""
    import python_calamine

    try:
        yield
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise _unreadable(what, error) from error
    except BaseException as error:
        # A panic of the Rust code, which is no Exception and has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        raise _unreadable(what, error) from None


def _guarded(cells: Iterator[Sequence[Any]], what: str) -> Iterator[Sequence[Any]]:
    with _readable(what):
        yield from cells


def _unreadable(what: str, error: BaseException) -> BadInput:
    return BadInput(
        f"{what} can't be read. Open the file in a spreadsheet, save it again, and send that.",
        detail=str(error),
    )


def _sheet(name: str, cells: Iterator[Sequence[Any]], scan: Scan) -> Sheet:
    """A sheet from its cells: the first row is the header."""
    header = next(cells, None)
    if header is None:
        msg = f"The sheet {name!r} is empty: there is no row with headers."
        raise BadInput(msg)
    headers = [as_text(cell) or "" for cell in header]
    used = _check_headers(name, headers, scan)
    return Sheet(
        name=name, headers=headers[:used], rows=_rows(name, cells, used, headers, scan), flaws=scan.flaws
    )


def _check_headers(name: str, headers: Sequence[str], scan: Scan) -> int:
    """How many columns have a header; refuses duplicates and what can't be a header."""
    for column in range(len(headers)):
        flaw = scan.flaws.get((0, column))
        if flaw is not None:
            msg = f"A header of the sheet {name!r} can't be read: {told((0, column), flaw)}."
            raise BadInput(msg)
    used = max((number + 1 for number, header in enumerate(headers) if header), default=0)
    if not used:
        msg = f"The first row of the sheet {name!r} is blank; it has to hold the headers."
        raise BadInput(msg)
    seen: dict[str, int] = {}
    for number, header in enumerate(headers[:used]):
        if header and header.casefold() in seen:
            first = cell_name(0, seen[header.casefold()])
            msg = (
                f"The header {header!r} stands twice in the sheet {name!r}: in {first} and in "
                f"{cell_name(0, number)}. Rename one of them."
            )
            raise BadInput(msg)
        seen[header.casefold()] = number
    return used


def _rows(
    name: str, cells: Iterator[Sequence[Any]], used: int, headers: Sequence[str], scan: Scan
) -> Iterator[Row]:
    flawed = {row for row, _ in scan.flaws}
    blank = {number for number, header in enumerate(headers) if not header}
    number = 0
    for number, row in enumerate(cells, start=1):
        texts = [as_text(cell) for cell in row]
        for column, cell in enumerate(row):
            if cell.__class__ is float and is_inexact(cell):
                scan.flaws[number, column] = Flaw.DIGITS
        if number not in flawed and not any(texts):
            continue  # blank lines, and those that are only formatted
        stray = next((c for c in range(len(texts)) if texts[c] and (c >= used or c in blank)), None)
        if stray is not None:
            msg = (
                f"{cell_name(number, stray)} of the sheet {name!r} holds a value, but its column has no "
                f"header in {cell_name(0, stray)}. Give it one, or empty the column."
            )
            raise BadInput(msg)
        yield number + 1, texts[:used]
    # calamine ends at the last cell with a value, and what is wrong may stand below it.
    below = {row for (row, _), flaw in scan.flaws.items() if row > number and flaw is not Flaw.MERGED}
    for row_number in sorted(below):
        yield row_number + 1, []


# --- CSV ---------------------------------------------------------------------------------


def _open_csv(path: Path, limits: Limits) -> Workbook:
    if path.stat().st_size > limits.unpacked:
        msg = f"The file is larger than {limits.unpacked} bytes. Split it."
        raise BadInput(msg)
    text = _decoded(path.read_bytes())

    def open_sheet(name: str) -> Sheet:
        return _sheet(name, _csv_rows(name, text, limits), Scan())

    return Workbook([path.stem], open_sheet, single=True)


def _decoded(data: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="strict")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f'The file isn\'t in UTF-8: line {line} has other bytes. Save it as "CSV UTF-8".'
        raise BadInput(msg) from None


def _csv_rows(name: str, text: str, limits: Limits) -> Iterator[Sequence[str]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, row in enumerate(reader):
            check_extent(name, rows=number + 1, columns=len(row) or 1, limits=limits)
            yield [clean(cell) for cell in row]
    except csv.Error as error:
        msg = f"Line {reader.line_num} of the file can't be read as CSV: {error}."
        raise BadInput(msg) from None
