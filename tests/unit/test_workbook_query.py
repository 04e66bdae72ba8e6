"""Sheets asked in SQL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput, ConfigRejected
from runner.reading.workbook.book import open_workbook
from runner.reading.workbook.query import Selection, select
from tests.workbooks import new_book, write_xlsx

PEOPLE: list[list[Any]] = [
    ["First", "Last Name", "City", "Active", "Nr"],
    ["Ada", "Lovelace", "London", True, 7],
    ["Bob", "O'Neil", "Berlin", False, 30],
    [None] * 5,
    ["Cem", None, "Berlin", True, 100],
]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[str], Selection]:
    """Give a function that asks the workbook above."""
    path = write_xlsx(tmp_path / "people.xlsx", PEOPLE, sheet="My People")
    return lambda query: select(open_workbook(path, quiet=0), query)


def told(selection: Selection) -> list[list[str | None]]:
    """The values of an answer."""
    return [list(record.values) for record in selection.records]


def test_whole_sheet_with_its_row_numbers(ask: Callable[[str], Selection]) -> None:
    """SELECT * gives every row that isn't blank, each with the number that the spreadsheet shows."""
    found = ask("SELECT * FROM [My People$]")
    assert list(found.headers) == PEOPLE[0]
    records = list(found.records)
    assert [record.number for record in records] == [2, 3, 5]
    assert list(records[1].values) == ["Bob", "O'Neil", "Berlin", "FALSE", "30"]
    assert records[2].values[1] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT First FROM [My People$] WHERE City = 'Berlin'", [["Bob"], ["Cem"]]),
        ('select first from [my people$] where city = "Berlin" and Active = TRUE', [["Cem"]]),
        ("SELECT [Last Name] AS sn FROM ['My People$'] WHERE [Last Name] LIKE 'O''%';", [["O'Neil"]]),
        (
            "SELECT First FROM `My People$` WHERE City IN ('London') OR [Last Name] IS NULL",
            [["Ada"], ["Cem"]],
        ),
        ("SELECT First FROM [My People$] WHERE First <> 'Ada' ORDER BY First DESC", [["Cem"], ["Bob"]]),
        ("SELECT DISTINCT City FROM [My People$] ORDER BY City", [["Berlin"], ["London"]]),
        ("SELECT COUNT(*) AS n FROM [My People$]", [["3"]]),
        ("SELECT UPPER(First) || '.' AS x FROM [My People$] WHERE CAST(Nr AS INTEGER) > 50", [["CEM."]]),
    ],
)
def test_queries_answer_as_sql_does(
    ask: Callable[[str], Selection], query: str, expected: list[list[str]]
) -> None:
    """Conditions, aliases, orders and combinations work, in the spelling of the original's users."""
    assert told(ask(query)) == expected


def test_missing_column_names_the_nearest(ask: Callable[[str], Selection]) -> None:
    """A column that the sheet lacks is refused with the one that was meant."""
    with pytest.raises(ConfigRejected, match=r"no column 'Lastname'.*mean 'Last Name'"):
        ask("SELECT First FROM [My People$] WHERE Lastname = 1")
    with pytest.raises(ConfigRejected, match=r"no column 'Frist'.*mean 'First'"):
        ask("SELECT * FROM [My People$]").find("Frist")
    with pytest.raises(ConfigRejected, match=r"no column 'Blood'.*It has 'First'"):
        ask("SELECT * FROM [My People$]").find("Blood")


@pytest.mark.parametrize(
    ("sheet", "query"),
    [
        ("It's $5", "SELECT Name FROM [It's $5$]"),
        ("It's $5", "SELECT Name FROM ['It''s $5$']"),
        ("Costs$", "SELECT Name FROM [Costs$$]"),
        ('Say "hi"', 'SELECT Name FROM [Say "hi"$]'),
        ("a.b (c)", "SELECT Name FROM ['a.b (c)$']"),
    ],
)
def test_sheets_of_any_name_are_asked(tmp_path: Path, sheet: str, query: str) -> None:
    """Blanks, quotes, points and dollars in a sheet's name are no trouble, in either spelling."""
    path = write_xlsx(tmp_path / "p.xlsx", [["Name"], ["Ada"]], sheet=sheet)
    assert told(select(open_workbook(path, quiet=0), query)) == [["Ada"]]


def test_no_query_means_the_whole_table(ask: Callable[[str], Selection]) -> None:
    """Without a query the first sheet is meant."""
    assert len(told(ask(" "))) == 3


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM [My People$]",
        "SELECT 1; DELETE FROM [My People$]",
        "SELECT * FROM [My People$] -- all",
        "SELECT * FROM [My People$] /* all */",
        "ATTACH DATABASE '/tmp/x.db' AS x",
        "PRAGMA database_list",
        "SELECT load_extension('x') FROM [My People$]",
        "SELECT * FROM pragma_database_list, [My People$]",
        "SELECT name FROM sqlite_master, [My People$]",
        "SELECT zeroblob(1000000000) FROM [My People$]",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM x) SELECT n FROM x, [My People$]",
        "SELECT * FROM People",
        "SELECT 1",
        "SELECT FROM [My People$] WHERE",
        "UPDATE [My People$] SET First = 'x'",
        "VACUUM INTO '/tmp/x.db'",
    ],
)
def test_queries_can_do_nothing_else(ask: Callable[[str], Selection], query: str) -> None:
    """Whatever isn't one plain SELECT from sheets is refused with a sentence."""
    with pytest.raises(ConfigRejected) as caught:
        list(ask(query).records)
    assert caught.value.message.endswith(".")


def test_flaw_goes_with_its_row(tmp_path: Path) -> None:
    """A flawed cell is told with its row and header, and the other rows are as they are."""
    path = write_xlsx(tmp_path / "p.xlsx", [["Name", "Sum"], ["Ada", "=1+1"], ["Bob", 3]])
    records = list(select(open_workbook(path, quiet=0), "SELECT * FROM [People$]").records)
    ((header, clause),) = records[0].flaws
    assert header == "Sum"
    assert "B2 holds a formula without a stored value" in clause
    assert records[1].flaws == ()


@pytest.mark.parametrize(
    "query", ["SELECT * FROM [People$] WHERE Sum = '3'", "SELECT DISTINCT Sum FROM [People$]"]
)
def test_flaw_that_would_decide_silently_is_refused(tmp_path: Path, query: str) -> None:
    """Where a flawed cell decides whether a row is there, the job stops and names the cell."""
    path = write_xlsx(tmp_path / "p.xlsx", [["Name", "Sum"], ["Ada", "=1+1"], ["Bob", 3]])
    with pytest.raises(BadInput, match="B2 holds a formula"):
        select(open_workbook(path, quiet=0), query)


def test_two_sheets_are_joined(tmp_path: Path) -> None:
    """A query may combine sheets; its records then belong to no single row."""
    book, page = new_book()
    for row in (["Name", "Dep"], ["Ada", 1], ["Bob", 2]):
        page.append(row)
    other = book.create_sheet("Deps")
    for row in (["Id", "Dep Name"], [1, "Maths"]):
        other.append(row)
    book.save(tmp_path / "p.xlsx")
    query = "SELECT Name, [Dep Name] FROM [People$] JOIN [Deps$] ON Dep = Id"
    (record,) = select(open_workbook(tmp_path / "p.xlsx", quiet=0), query).records
    assert (record.number, list(record.values)) == (None, ["Ada", "Maths"])
