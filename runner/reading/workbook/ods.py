"""Looking through an .ods before calamine reads it: extent, errors, formulas without a value."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from runner.errors import BadInput
from runner.reading.workbook.flaws import Flaw, Scan
from runner.reading.workbook.limits import Limits, check_extent
from runner.reading.workbook.package import open_package
from runner.reading.zip import Member

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"


def scan(path: Path, limits: Limits) -> dict[str, Scan]:
    """What stands in each sheet's cells, by the sheet's name. Raises ``BadInput``."""
    with open_package(path, limits) as package:
        if "content.xml" not in package.names:
            msg = "The file is an archive, but no spreadsheet: content.xml isn't in it. Send the file itself."
            raise BadInput(msg)
        for part in package.names:
            package.measure(part)
        found: dict[str, Scan] = {}
        try:
            with package.open("content.xml") as stream:
                for table in _tables(stream):
                    name = str(table.get(f"{_TABLE}name"))
                    found[name] = _scan(name, table, limits)
        except etree.XMLSyntaxError as error:
            msg = "The workbook is damaged: its content can't be read. Send it again."
            raise BadInput(msg, detail=str(error)) from error
        return found


def _tables(stream: Member) -> Iterator[etree._Element]:
    walk = etree.iterparse(
        stream,
        events=("end",),
        tag=f"{_TABLE}table",
        resolve_entities=False,
        no_network=True,
    )
    for _, table in walk:
        yield table
        table.clear()


def _scan(name: str, table: etree._Element, limits: Limits) -> Scan:
    found, row = Scan(), 0
    for element in table.iter(f"{_TABLE}table-row"):
        repeated = _number(element, "number-rows-repeated")
        column = 0
        for cell in element:
            if not str(cell.tag).endswith(("}table-cell", "}covered-table-cell")):
                continue
            wide = _number(cell, "number-columns-repeated")
            if _holds_something(cell):
                found.reach(row + repeated - 1, column + wide - 1)
                check_extent(name, rows=found.rows, columns=found.columns, limits=limits)
                _note(cell, found, row, column)
            column += wide
        row += repeated
    return found


def _number(element: etree._Element, attribute: str) -> int:
    text = element.get(f"{_TABLE}{attribute}") or "1"
    return int(text) if text.isdigit() else 1


def _holds_something(cell: etree._Element) -> bool:
    return len(cell) > 0 or any(
        cell.get(name) is not None for name in (f"{_OFFICE}value-type", f"{_TABLE}formula")
    )


def _note(cell: etree._Element, found: Scan, row: int, column: int) -> None:
    kind = cell.get(f"{_CALC}value-type") or cell.get(f"{_OFFICE}value-type")
    if kind == "error":
        found.flaws[row, column] = Flaw.ERROR
    elif kind is None and cell.get(f"{_TABLE}formula") is not None:
        found.flaws[row, column] = Flaw.NO_VALUE
    down, right = _number(cell, "number-rows-spanned"), _number(cell, "number-columns-spanned")
    if down * right > 1:
        found.merge((row, column), (row + down - 1, column + right - 1))
