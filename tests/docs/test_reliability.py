"""The document of faults says what the tests try."""

import re

from tests.servers.machine import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
SUITES = ("test_remote_faults.py", "test_remote_troubles.py")
_TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def rows() -> list[list[str]]:
    """The cells of all rows of its tables, without the heads."""
    lines = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "Fault" and not row[0].startswith("-")]


def found_in(*patterns: str) -> set[str]:
    """Names of the tests in the files that match."""
    return {
        name
        for pattern in patterns
        for path in (ROOT / "tests").rglob(pattern)
        for name in _TEST.findall(path.read_text("utf-8"))
    }


def test_each_fault_names_a_test_that_there_is() -> None:
    """Nothing is promised in the tables that no test tries."""
    named = {row[-1].strip("`") for row in rows()}
    assert named - found_in("test_*.py") == set()
    assert all(len(row) == 4 and all(row) for row in rows())


def test_each_test_of_the_fault_suites_stands_in_a_table() -> None:
    """Nothing is tried that the document doesn't tell."""
    named = {row[-1].strip("`") for row in rows()}
    assert found_in(*SUITES) - named == set()
