"""A connection's own mapping, as people write it and as it is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Refused
from runner.findings.mapping import Confidence, Rule
from runner.findings.mapping_table import COLUMNS, read_mapping, write_rows

HEADER = "Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence\r\n"


def test_a_mapping_is_read() -> None:
    """Library and custom tasks, categories, CWEs in any writing, the wildcard, and levels."""
    text = (
        HEADER
        + 'T21,Use prepared statements,SQL Injection,"x, y",high\r\nCT8,,CWE ID 089,,Low\r\n193,,*,,\r\n'
    )
    assert read_mapping(text) == [
        Rule(task_id="T21", weakness="SQL Injection", confidence=Confidence.HIGH),
        Rule(task_id="CT8", weakness="CWE-89", confidence=Confidence.LOW),
        Rule(task_id="T193", weakness="*", confidence=Confidence.LOW),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + HEADER + "T1,a,Log Forging,b,low", id="byte order mark"),
        pytest.param(HEADER.replace(",", ";") + "T1;a;Log Forging;b;low", id="semicolons"),
        pytest.param("Weakness ID,Task ID\nLog Forging,T1", id="older names in another order"),
        pytest.param(HEADER[:-2] + ",CWE\nT1,a,Log Forging,b,low,117", id="a column more"),
        pytest.param(HEADER + "T1,a,Log Forging,b,low\n,,Undecided,,\n\n", id="undecided rows"),
        pytest.param(HEADER + "T1,,LOG  FORGING,,high\nT1,,Log Forging,,low", id="said twice"),
        pytest.param(HEADER + "7-t1,a,Log Forging,b,", id="the task's whole id"),
    ],
)
def test_ways_to_write_it(text: str) -> None:
    """What spreadsheets, older downloads and people make of a mapping means the same."""
    assert read_mapping(text) == [Rule(task_id="T1", weakness="Log Forging", confidence=Confidence.LOW)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column Countermeasure ID and no column Weakness ID"),
        ("Title,Weakness ID\n", "no column Countermeasure ID. The columns are"),
        (HEADER + "Task one,,SQL,,", 'line 2 has "Task one" where a countermeasure stands'),
        (HEADER + "T1,,,,", "line 2 names no weakness"),
        (HEADER + "T1,,SQL,,sure", 'line 2 has the confidence "sure"'),
        (HEADER + 'T1,,"SQL,,low', "line 2 is no CSV"),
        (HEADER + "x,,,,\n" * 8, "and 3 more lines are wrong"),
    ],
)
def test_wrong_lines_are_named(text: str, said: str) -> None:
    """A mapping that can't be used says which lines are wrong, and how many more."""
    with pytest.raises(Refused) as raised:
        read_mapping(text)
    assert said in raised.value.message


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1), max_size=5))
def test_unmapped_rows_can_be_filled_in_and_read(names: list[str]) -> None:
    """A listing in the mapping's columns comes back with the same weaknesses, no cell a formula."""
    names = [name.strip() for name in names if name.strip() and not name.strip().startswith("'")]
    text = "".join(write_rows(("T1", "", f"x {name}", name, "") for name in names))
    assert text.startswith(",".join(COLUMNS))
    assert {rule.weakness for rule in read_mapping(text)} <= {f"x {name}" for name in names}
    signs = "".join(write_rows(("T1", "", sign + "cmd", "", "") for sign in "=+-@"))
    assert "'=cmd" in signs
    assert [rule.weakness for rule in read_mapping(signs)] == ["=cmd", "+cmd", "-cmd", "@cmd"]
