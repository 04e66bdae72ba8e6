"""Workbooks that tests make: honest ones by the usual libraries, others by hand."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{rows}</sheetData></worksheet>"
)


def new_book(sheet: str = "People") -> tuple[Workbook, Worksheet]:
    """Make a workbook with one sheet."""
    book = Workbook()
    page = book.active
    assert isinstance(page, Worksheet)
    page.title = sheet
    return book, page


def write_xlsx(path: Path, rows: Sequence[Sequence[Any]], *, sheet: str = "People") -> Path:
    """Write an .xlsx with one sheet."""
    book, page = new_book(sheet)
    for row in rows:
        page.append(list(row))
    book.save(path)
    return path


def write_by_hand(path: Path, rows: str, *, prolog: str = "", sheet: str = SHEET) -> Path:
    """Write an .xlsx whose only sheet has these rows of XML."""
    write_xlsx(path, [["Name"]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = (prolog + sheet.format(rows=rows)).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path
