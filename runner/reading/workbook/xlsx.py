"""Looking through an .xlsx or .xlsm before calamine reads it.

calamine makes room for the whole rectangle that a sheet spans, and ends the process if it
can't; and it gives the same blank for an empty cell, an error and a formula that was never
calculated. Both are settled here.
"""

import posixpath
import re
from pathlib import Path

from lxml import etree

from runner.errors import BadInput
from runner.reading.workbook.flaws import Flaw, Scan
from runner.reading.workbook.limits import Limits, check_extent, column_number
from runner.reading.workbook.package import Package, open_package

_CELL = re.compile(rb"""\sr=["']([A-Z]{1,3})([0-9]{1,7})["']""")
_DOUBTFUL = re.compile(rb"<(?:\w+:)?f[\s/>]|\st=[\"']e[\"']")
_MERGED = re.compile(
    rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})["']"""
)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


def scan(path: Path, limits: Limits) -> dict[str, Scan]:
    """What stands in each sheet's cells, by the sheet's name. Raises ``BadInput``."""
    with open_package(path, limits) as package:
        sheets = _sheets(package)
        found: dict[str, Scan] = {}
        for name, part in sheets.items():
            look = _Look()
            package.measure(part, look)
            check_extent(name, rows=look.scan.rows, columns=look.scan.columns, limits=limits)
            if look.doubtful:
                _find_flaws(package, part, look.scan)
            found[name] = look.scan
        for part in set(package.names) - set(sheets.values()):
            package.measure(part)
        return found


def _sheets(package: Package) -> dict[str, str]:
    """The part of each worksheet, by its name."""
    main = "xl/workbook.xml"
    if main not in package.names:
        msg = (
            "The file is an archive, but no workbook: xl/workbook.xml isn't in it. Send the workbook itself."
        )
        raise BadInput(msg)
    relations = "xl/_rels/workbook.xml.rels"
    for part in (main, relations):
        if part in package.names:
            package.measure(part)
    try:
        targets = {
            str(each.get("Id")): posixpath.normpath(posixpath.join("xl", str(each.get("Target")).lstrip("/")))
            for each in package.parse(relations)
            if "worksheet" in str(each.get("Type"))
        }
        listed = [each for each in package.parse(main).iter() if _local(each) == "sheet"]
    except (etree.XMLSyntaxError, KeyError) as error:
        msg = "The workbook is damaged: its list of sheets can't be read. Send it again."
        raise BadInput(msg, detail=str(error)) from error
    named = {
        str(each.get("name")): targets.get(str(each.get(_RELATION) or each.get(_STRICT_RELATION)), "")
        for each in listed
    }
    return {name: _existing(part, package.names) for name, part in named.items() if part}


def _existing(part: str, names: list[str]) -> str:
    # "/xl/worksheets/sheet1.xml" and "worksheets/sheet1.xml" are both in use.
    for choice in (part, part.removeprefix("xl/")):
        if choice in names:
            return choice
    msg = f"The workbook is damaged: its part {part} is missing. Send it again."
    raise BadInput(msg)


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


class _Look:
    """What is to be seen in a sheet's bytes without parsing them."""

    def __init__(self) -> None:
        self.scan = Scan()
        self.doubtful = False
        self._columns: dict[bytes, int] = {}

    def __call__(self, block: bytes) -> None:
        cells = _CELL.findall(block)
        if cells:
            column = max(self._column(letters) for letters in {letters for letters, _ in cells})
            row = max(map(int, {digits for _, digits in cells})) - 1
            self.scan.reach(row, column)
        self.doubtful = self.doubtful or _DOUBTFUL.search(block) is not None
        for left, top, right, bottom in _MERGED.findall(block):
            self.scan.merge((int(top) - 1, self._column(left)), (int(bottom) - 1, self._column(right)))

    def _column(self, letters: bytes) -> int:
        number = self._columns.get(letters)
        if number is None:
            number = self._columns[letters] = column_number(letters.decode())
        return number


def _find_flaws(package: Package, part: str, scan: Scan) -> None:
    """Find errors, and formulas without a value, by parsing."""
    row = column = -1
    try:
        with package.open(part) as stream:
            walk = etree.iterparse(stream, events=("start", "end"), resolve_entities=False, no_network=True)
            for event, element in walk:
                local = _local(element)
                if local == "row" and event == "start":
                    row, column = int(element.get("r") or row + 2) - 1, -1
                elif local == "c" and event == "end":
                    column = _place(element.get("r"), column)
                    flaw = _flaw(element)
                    if flaw is not None:
                        scan.flaws[row, column] = flaw
                elif local == "row":
                    element.clear()
    except (etree.XMLSyntaxError, ValueError) as error:
        msg = f"The workbook is damaged: its part {part} can't be read. Send it again."
        raise BadInput(msg, detail=str(error)) from error


def _place(reference: str | None, before: int) -> int:
    letters = (reference or "").rstrip("0123456789")
    return column_number(letters) if letters else before + 1


def _flaw(cell: etree._Element) -> Flaw | None:
    if cell.get("t") == "e":
        return Flaw.ERROR
    inside = {_local(child): child for child in cell}
    if "f" not in inside or cell.get("t") == "str":  # a text may well be empty
        return None
    value = inside.get("v")
    return Flaw.NO_VALUE if value is None or not value.text else None
