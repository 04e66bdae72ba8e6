"""Workbooks of all kinds, honest and otherwise, on their way to rows of text."""

import datetime
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P
from openpyxl import load_workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from runner.errors import BadInput, TryLater
from runner.reading.workbook.book import Sheet, open_workbook
from runner.reading.workbook.limits import Limits, cell_name, column_number
from tests.workbooks import new_book, write_by_hand, write_xlsx


def read(path: Path, name: str = "People", **options: Any) -> Sheet:
    """Open a sheet without waiting for the file to rest."""
    return open_workbook(path, quiet=0, **options).sheet(name)


def rows(path: Path, name: str = "People") -> list[list[str | None]]:
    """The rows of a sheet, without their numbers."""
    return [list(row) for _, row in read(path, name).rows]


def flaws(path: Path, name: str = "People") -> dict[str, str]:
    """Flaws by cell."""
    sheet = read(path, name)
    list(sheet.rows)
    return {cell_name(*place): flaw.name for place, flaw in sheet.flaws.items()}


# --- what is refused before a library sees it --------------------------------------------


def test_sparse_sheet_is_refused(tmp_path: Path) -> None:
    """Two cells far apart don't make room for all between them: the sheet is refused, and the cell named."""
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    path = write_by_hand(tmp_path / "sparse.xlsx", cells)
    assert path.stat().st_size < 10_000
    with pytest.raises(BadInput, match=r"'People'|'Sheet'.*reaches to XFD1048576"):
        read(path)


def test_sparse_sheet_whose_cells_are_quoted_otherwise_is_refused(tmp_path: Path) -> None:
    """Single quotes around a cell's place hide nothing."""
    cells = "<row r='1'><c r='A1'><v>1</v></c></row><row r='900000'><c r='ZZ900000'><v>1</v></c></row>"
    with pytest.raises(BadInput, match="reaches to ZZ900000"):
        read(write_by_hand(tmp_path / "sparse.xlsx", cells))


def test_bomb_is_refused_while_it_is_measured(tmp_path: Path) -> None:
    """A part that unpacks to a hundred times its size ends the reading, however little the archive weighs."""
    row = '<row><c t="inlineStr"><is><t>x</t></is></c></row>'
    path = write_by_hand(tmp_path / "bomb.xlsx", row * 200_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(BadInput, match=r"sheet1\.xml in bomb\.xlsx is refused: .* as only an attack does"):
        read(path)


def test_archive_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    """The size that an archive states is no reason to believe it."""
    path = write_xlsx(tmp_path / "liar.xlsx", [["Name"], *([f"{n:08x}"] for n in range(3000))])
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
        stated = info.file_size.to_bytes(4, "little")
    data = path.read_bytes()
    assert data.count(stated) == 2
    path.write_bytes(data.replace(stated, (1000).to_bytes(4, "little")))
    with pytest.raises(BadInput, match=r"its checksum is wrong"):
        read(path)


def test_too_much_in_all_is_refused(tmp_path: Path) -> None:
    """Many honest parts together have a limit as well."""
    path = write_xlsx(tmp_path / "large.xlsx", [["Name"], *([f"{n:032x}"] for n in range(2000))])
    with pytest.raises(BadInput, match="unpacks to more than 0 MiB"):
        read(path, limits=Limits(unpacked=50_000))


def test_archive_of_very_many_parts_is_refused(tmp_path: Path) -> None:
    """An archive is no place for thousands of parts, however small they are."""
    path = write_xlsx(tmp_path / "parts.xlsx", [["Name"]])
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(50):
            archive.writestr(f"xl/media/{number}.bin", b"")
    with pytest.raises(BadInput, match="it has 59 members, and files of its kind have dozens"):
        read(path, limits=Limits(parts=40))


ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "{}">]>'


@pytest.mark.parametrize(
    "prolog",
    [
        pytest.param(ENTITIES.format("&b;" * 100), id="bomb"),
        pytest.param(
            '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', id="external"
        ),
    ],
)
def test_entities_are_refused(tmp_path: Path, prolog: str) -> None:
    """No workbook may declare entities, neither those that multiply nor those that fetch."""
    cells = '<row r="1"><c r="A1" t="inlineStr"><is><t>&a;</t></is></c></row>'
    with pytest.raises(BadInput, match="declares entities"):
        read(write_by_hand(tmp_path / "entities.xlsx", cells, prolog=prolog))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no bytes"),
        (b"hello", "is no workbook"),
        (b"PK\x03\x04 and no more", "cut off: it begins as a zip"),
        (b"<html><table><tr><td>Name</td></tr></table></html>", "web page"),
        (b"\xef\xbb\xbf\r\n<?xml version='1.0'?>", "web page"),
        (b"\x09\x04\x06\x00\x07\x00\x10\x00", "Excel 4 or older"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 50, "damaged, or was cut off"),
    ],
)
def test_what_is_no_workbook_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    """What only bears the name of a workbook is refused with what it is."""
    path = tmp_path / "people.xls"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        read(path)


def test_workbook_with_a_password_is_named(tmp_path: Path) -> None:
    """A workbook that Excel encrypted isn't called damaged: what it needs is told."""
    data = bytearray(_xls(tmp_path / "open.xls").read_bytes())
    # Excel wraps it in the same kind of file, whose only stream has another name.
    at = data.index("Workbook\0".encode("utf-16-le"))
    name = "EncryptedPackage\0".encode("utf-16-le")
    data[at : at + len(name)] = name
    data[at + 64] = len(name)
    path = tmp_path / "locked.xlsx"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="protected by a password"):
        read(path)


def test_archive_without_a_workbook_is_named(tmp_path: Path) -> None:
    """An archive of something else isn't taken for a workbook."""
    path = tmp_path / "people.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("report.txt", "hello")
    with pytest.raises(BadInput, match=r"xl/workbook\.xml isn't in it"):
        read(path)


@pytest.mark.parametrize("kind", ["xlsx", "xls", "ods"])
def test_workbook_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    """A workbook that lost its end is refused with a sentence, wherever the cut is."""
    whole = MAKERS[kind](tmp_path / f"people.{kind}").read_bytes()
    path = tmp_path / f"cut.{kind}"
    for part in range(1, 20):
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(BadInput):
            list(read(path).rows)


# --- what is read ------------------------------------------------------------------------

PEOPLE: list[list[Any]] = [
    ["First", "Nr", "Zip", "Born", "Active"],
    ["Ada", 12345, "00123", datetime.date(2024, 5, 1), True],
]
TEXTS = [["Ada", "12345", "00123", "2024-05-01", "TRUE"]]


def _xlsx(path: Path) -> Path:
    return write_xlsx(path, PEOPLE)


def _xls(path: Path) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("People")
    as_date = xlwt.easyxf(num_format_str="yyyy-mm-dd")
    for r, row in enumerate(PEOPLE):
        for c, value in enumerate(row):
            style = as_date if isinstance(value, datetime.date) else xlwt.Style.default_style
            sheet.write(r, c, value, style)
    book.save(str(path))
    return path


def _ods(path: Path) -> Path:
    book = OpenDocumentSpreadsheet()
    table = Table(name="People")
    for row in PEOPLE:
        line = TableRow()
        for value in row:
            line.addElement(_ods_cell(value))
        table.addElement(line)
    book.spreadsheet.addElement(table)
    book.save(str(path))
    return path


def _ods_cell(value: object) -> TableCell:
    match value:
        case bool():
            return TableCell(valuetype="boolean", booleanvalue=str(value).lower())
        case int():
            return TableCell(valuetype="float", value=str(value))
        case datetime.date():
            return TableCell(valuetype="date", datevalue=value.isoformat())
    cell = TableCell(valuetype="string")
    cell.addElement(P(text=str(value)))
    return cell


def _csv(path: Path) -> Path:
    path.write_text("First;Nr;Zip;Born;Active\r\nAda;12345;00123;2024-05-01;TRUE\r\n", encoding="utf-8-sig")
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "xlsx": _xlsx,
    "xlsm": _xlsx,
    "xls": _xls,
    "ods": _ods,
    "csv": _csv,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_reads_the_same(tmp_path: Path, kind: str) -> None:
    """The same table reads the same from each kind of workbook: types kept, whole numbers without a point."""
    sheet = read(MAKERS[kind](tmp_path / f"people.{kind}"))
    assert list(sheet.headers) == PEOPLE[0]
    assert [list(row) for _, row in sheet.rows] == TEXTS


def test_dates_follow_the_workbooks_base(tmp_path: Path) -> None:
    """A workbook that counts from 1904 has the dates that its author sees."""
    book, page = new_book()
    book.epoch = CALENDAR_MAC_1904
    page.append(["Born", "At", "Seen"])
    page.append(
        [
            datetime.date(2024, 5, 1),
            datetime.time(10, 30),
            datetime.datetime.fromisoformat("2024-05-01T08:00:05"),
        ]
    )
    book.save(tmp_path / "mac.xlsx")
    assert rows(tmp_path / "mac.xlsx") == [["2024-05-01", "10:30:00", "2024-05-01 08:00:05"]]


def test_dates_of_the_usual_base(tmp_path: Path) -> None:
    """The first day that Excel knows, those around the day that never was, and hours beyond a day."""
    days = [datetime.date(1900, 1, 1), datetime.date(1900, 2, 28), datetime.date(1900, 3, 1)]
    path = write_xlsx(tmp_path / "old.xlsx", [["A", "B", "C", "D"], [*days, datetime.timedelta(hours=30)]])
    assert rows(path) == [["1900-01-01", "1900-02-28", "1900-03-01", "30:00:00"]]


def test_characters_that_xml_cannot_hold_are_read(tmp_path: Path) -> None:
    """Excel writes them as _x000D_, and that text itself as _x005F_x000D_; a text in pieces is one text."""
    cells = "".join(
        f'<row r="{number}"><c r="A{number}" t="inlineStr"><is>{inside}</is></c></row>'
        for number, inside in enumerate(
            [
                "<t>T</t>",
                "<t>a_x000D_\nb</t>",
                "<t>a_x005F_x000D_b</t>",
                "<r><t>a</t></r><r><t>b</t></r>",
            ],
            start=1,
        )
    )
    assert rows(write_by_hand(tmp_path / "escaped.xlsx", cells)) == [["a\nb"], ["a_x000D_b"], ["ab"]]


def test_numbers_and_booleans_keep_their_meaning(tmp_path: Path) -> None:
    """Zeros in front of text stay, a number formatted with zeros is the number, and 0.5 isn't 50 %."""
    book, page = new_book()
    page.append(["a", "b", "c", "d"])
    page.append(["00123", 12345, 0.5, False])
    page["B2"].number_format = "00000000"
    page["C2"].number_format = "0%"
    book.save(tmp_path / "numbers.xlsx")
    assert rows(tmp_path / "numbers.xlsx") == [["00123", "12345", "0.5", "FALSE"]]


def test_number_with_lost_digits_is_a_flaw(tmp_path: Path) -> None:
    """An 18-digit number has lost digits in the spreadsheet, so its cell is flawed; as text it is whole."""
    path = write_xlsx(tmp_path / "long.xlsx", [["Id"], [123456789012345678], ["123456789012345678"]])
    assert flaws(path) == {"A2": "DIGITS"}
    assert rows(path)[1] == ["123456789012345678"]


def test_formula_without_value_is_a_flaw_and_one_with_value_is_not(tmp_path: Path) -> None:
    """A formula that was never calculated is no blank; one with a stored value is right, even if empty."""
    cells = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>Name</t></is></c>'
        '<c r="B1" t="inlineStr"><is><t>Mail</t></is></c></row>'
        '<row r="2"><c r="A2"><f>B2&amp;1</f></c><c r="B2" t="inlineStr"><is><t>b</t></is></c></row>'
        '<row r="3"><c r="A3"><f>1+1</f><v>2</v></c><c r="B3" t="str"><f>""</f><v></v></c></row>'
        '<row r="4"><c r="A4"><f>B4</f><v/></c><c r="B4" t="str"><f>"z"</f><v>z</v></c></row>'
    )
    path = write_by_hand(tmp_path / "formulas.xlsx", cells)
    assert flaws(path, load_workbook(path).sheetnames[0]) == {"A2": "NO_VALUE", "A4": "NO_VALUE"}


def test_error_cells_are_flaws(tmp_path: Path) -> None:
    """#N/A is neither a text nor a blank."""
    book, page = new_book()
    page.append(["Name", "Mail"])
    page.append(["Ada", "#N/A"])
    page["B2"].data_type = "e"
    page.append(["Bob", "'#N/A is a text here"])
    book.save(tmp_path / "errors.xlsx")
    assert flaws(tmp_path / "errors.xlsx") == {"B2": "ERROR"}


def test_flawed_lines_below_the_last_value_are_lines(tmp_path: Path) -> None:
    """Lines at the end that hold nothing but flaws are told: without them somebody would seem to be gone."""
    path = write_xlsx(
        tmp_path / "people.xlsx", [["Name", "Mail"], ["Ada", "a@b.c"], [], ["=A2"], [None, "=1/0"]]
    )
    sheet = read(path)
    assert list(sheet.rows) == [(2, ["Ada", "a@b.c"]), (4, []), (5, [])]
    assert set(sheet.flaws) == {(3, 0), (4, 1)}


def test_flaws_of_an_old_workbook(tmp_path: Path) -> None:
    """An .xls tells its errors, formulas without value and merged cells too."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("People")
    for column, header in enumerate(["Name", "Mail", "Phone"]):
        sheet.write(0, column, header)
    sheet.write(1, 0, "Ada")
    sheet.row(1).set_cell_error(1, 0x2A)
    sheet.write(2, 0, xlwt.Formula('"B"&"ob"'))
    sheet.write_merge(3, 4, 2, 2, "0123")
    book.save(str(tmp_path / "old.xls"))
    found = flaws(tmp_path / "old.xls")
    assert found == {"B2": "ERROR", "A3": "MAYBE_NO_VALUE", "C5": "MERGED"}


def test_flaws_of_an_opendocument_workbook(tmp_path: Path) -> None:
    """An .ods tells them as well, behind repeated cells too."""
    book = OpenDocumentSpreadsheet()
    table = Table(name="People")
    header = TableRow()
    for text in ("Name", "Mail", "Phone"):
        header.addElement(_ods_cell(text))
    table.addElement(header)
    repeated = TableRow(numberrowsrepeated=3)
    repeated.addElement(_ods_cell("x"))
    table.addElement(repeated)
    last = TableRow()
    last.addElement(_ods_cell("Ada"))
    last.addElement(TableCell(formula="of:=1/0"))
    last.addElement(TableCell(valuetype="string", numberrowsspanned=2, numbercolumnsspanned=1))
    table.addElement(last)
    book.spreadsheet.addElement(table)
    book.save(str(tmp_path / "flaws.ods"))
    assert flaws(tmp_path / "flaws.ods") == {"B5": "NO_VALUE", "C6": "MERGED"}


def test_repeated_cells_of_an_opendocument_workbook_are_counted(tmp_path: Path) -> None:
    """A line that repeats itself a million times is counted before room is made for it."""
    book = OpenDocumentSpreadsheet()
    table = Table(name="People")
    line = TableRow(numberrowsrepeated=1_000_000)
    line.addElement(TableCell(valuetype="float", value="1", numbercolumnsrepeated=1000))
    table.addElement(line)
    book.spreadsheet.addElement(table)
    book.save(str(tmp_path / "long.ods"))
    with pytest.raises(BadInput, match="reaches to ALL1000000"):
        read(tmp_path / "long.ods")


def test_merged_cells_are_flaws_but_for_the_first(tmp_path: Path) -> None:
    """A name that spans two rows belongs to the first; in the second its absence is no blank."""
    book, page = new_book()
    for row in (["Team", "Name"], ["Red", "Ada"], [None, "Bob"]):
        page.append(row)
    page.merge_cells("A2:A3")
    book.save(tmp_path / "merged.xlsx")
    assert flaws(tmp_path / "merged.xlsx") == {"A3": "MERGED"}


def test_blank_hidden_and_formatted_lines(tmp_path: Path) -> None:
    """Blank lines and lines that are only formatted are none; hidden rows and hidden sheets are read."""
    book, page = new_book()
    for row in (["Name"], ["Ada"], [None], ["Bob"], [None]):
        page.append(row)
    page.row_dimensions[4].hidden = True
    page["A9"].number_format = "0.00"
    page.sheet_state = "veryHidden"
    book.create_sheet("Else")
    book.save(tmp_path / "hidden.xlsx")
    assert list(read(tmp_path / "hidden.xlsx").rows) == [(2, ["Ada"]), (4, ["Bob"])]


def test_text_loses_what_nobody_sees_and_nothing_else(tmp_path: Path) -> None:
    """Text is composed and trimmed; what looks like a formula, line breaks and bidirectional text stay."""
    given = ["  Ada\u00a0", "jose\u0301", "a\u200bb", "=1+1", "+49", "-x", "@y", "a\nb", "שלום", "\u202eevil"]
    path = write_xlsx(tmp_path / "text.xlsx", [["T"], *([text] for text in given[:3])])
    assert rows(path) == [["Ada"], ["jos\u00e9"], ["ab"]]
    kept = tmp_path / "kept.csv"
    kept.write_text("T\n" + "".join(f'"{text}"\n' for text in given[3:]), encoding="utf-8")
    assert rows(kept) == [[text] for text in given[3:]]


# --- headers -----------------------------------------------------------------------------


def test_headers_are_trimmed(tmp_path: Path) -> None:
    """Blanks around a header are no part of it."""
    path = write_xlsx(tmp_path / "p.xlsx", [[" Mail ", "Name", None], ["a", "b", None]])
    assert list(read(path).headers) == ["Mail", "Name"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ([["First", "Last", "FIRST"], ["a", "b", "c"]], "stands twice.*A1 and in C1"),
        ([["First", None, "Last"], ["a", "b", "c"]], "B2.*holds a value.*no header in B1"),
        ([["First"], ["a", "b"]], "B2.*holds a value.*no header in B1"),
        ([[None, None], ["a", "b"]], "first row.*is blank"),
        ([], "is empty"),
    ],
)
def test_headers_that_mislead_are_refused(tmp_path: Path, table: list[list[str]], sentence: str) -> None:
    """Two columns of one name, or values without a header, are refused with their cells."""
    with pytest.raises(BadInput, match=sentence):
        rows(write_xlsx(tmp_path / "p.xlsx", table))


def test_missing_sheet_is_named_with_those_there_are(tmp_path: Path) -> None:
    """A sheet that isn't there is told with those that are."""
    with pytest.raises(BadInput, match="no sheet 'Staff'; it has 'People'"):
        read(write_xlsx(tmp_path / "p.xlsx", [["a"]]), "Staff")


def test_csv_in_another_encoding_is_named_by_line(tmp_path: Path) -> None:
    """A CSV that isn't UTF-8 is refused with the line, instead of read as other letters."""
    path = tmp_path / "p.csv"
    path.write_bytes("Name\nAda\nJosé\n".encode("latin-1"))
    with pytest.raises(BadInput, match="line 3"):
        rows(path)


def test_csv_with_utf16_and_tabs(tmp_path: Path) -> None:
    """What Excel calls Unicode text is read."""
    path = tmp_path / "p.csv"
    path.write_bytes("Name\tCity\nJosé\tKöln\n".encode("utf-16"))
    assert rows(path) == [["José", "Köln"]]


# --- files at work -----------------------------------------------------------------------


def test_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """A file that grows is read when it has come to rest, and then whole."""
    path = tmp_path / "p.csv"
    path.write_text("Name\n")
    half, done = threading.Event(), threading.Event()

    def grow() -> None:
        half.wait(30)
        path.write_text("Name\nAda\nBob\n")
        done.set()

    writer = threading.Thread(target=grow)
    writer.start()
    half.set()
    try:
        sheet = open_workbook(path, quiet=1.0, patience=60).sheet("p")
        assert done.is_set()
        assert [row[0] for _, row in sheet.rows] == ["Ada", "Bob"]
    finally:
        writer.join()


def test_file_that_never_rests_is_put_off(tmp_path: Path) -> None:
    """Patience ends, and then the job is tried again later."""
    path = tmp_path / "p.csv"
    path.write_text("Name\n")
    far = path.stat().st_mtime + 10**6
    os.utime(path, (far, far))
    with pytest.raises(TryLater, match="still being written"):
        open_workbook(path, quiet=60.0, patience=0.2)


def test_names_of_cells() -> None:
    """Cells are called as the spreadsheet calls them."""
    assert [cell_name(0, 0), cell_name(9, 25), cell_name(0, 26), cell_name(0, 16383)] == [
        "A1",
        "Z10",
        "AA1",
        "XFD1",
    ]
    assert [column_number(name) for name in ("A", "Z", "AA", "XFD")] == [0, 25, 26, 16383]
