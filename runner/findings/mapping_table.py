"""A connection's own mapping as people write it: CSV, a row per task and weakness.

The columns are those of SD Elements' download: Countermeasure ID, Title, Weakness ID,
Weakness Title, Confidence. Its older names (Task ID, Task Title), a column CWE, any order of
columns and a spreadsheet's semicolons are read as well. A row without a countermeasure is one
that nobody has decided on yet, and is left out: so the list of findings that match no task
can be filled in little by little.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from runner.errors import Refused
from runner.findings.finding import plain
from runner.findings.mapping import WILDCARD, Confidence, Rule

COLUMNS = ("Countermeasure ID", "Title", "Weakness ID", "Weakness Title", "Confidence")

LARGEST = 10_000_000
"""Bytes of a mapping at the most."""

_NAMES = {
    "countermeasure id": "task",
    "task id": "task",
    "weakness id": "weakness",
    "confidence": "confidence",
}
_TASK = re.compile(r"(?:\d+-)?([A-Z]{0,4}\d{1,9})", re.IGNORECASE)
_CWE = re.compile(r"cwe(?: id)?[-: ]?\s*(\d{1,6})", re.IGNORECASE)
_CONFIDENCES = {"": Confidence.LOW, **{level.value: level for level in Confidence}, "none": None}
_ERRORS_SHOWN = 5
_FORMULA = ("=", "+", "-", "@")
"""Beginnings that a spreadsheet takes for a formula."""


def read_mapping(text: str) -> list[Rule]:
    """The rules of a mapping; ``Refused`` that names the lines which are wrong."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=_delimiter(text), strict=True)
    rules: dict[tuple[str, str], Rule] = {}
    wrong: list[str] = []
    try:
        columns = _columns(next(lines, []))
        for cells in lines:
            rule = _rule(cells, columns, lines.line_num, wrong)
            if rule is not None:
                rules[rule.task_id, plain(rule.weakness)] = rule  # said twice, the last counts
    except csv.Error as error:
        wrong.append(f"line {lines.line_num} is no CSV ({error})")
    if wrong:
        more = (
            f", and {len(wrong) - _ERRORS_SHOWN} more lines are wrong" if len(wrong) > _ERRORS_SHOWN else ""
        )
        raise Refused(f"The mapping can't be used: {'; '.join(wrong[:_ERRORS_SHOWN])}{more}.")
    return list(rules.values())


def write_rows(rows: Iterable[tuple[str, str, str, str, str]]) -> Iterator[str]:
    """Lines of CSV in the mapping's columns, the header first."""
    for row in chain([COLUMNS], rows):
        line = io.StringIO(newline="")
        csv.writer(line).writerow([_cell(value) for value in row])
        yield line.getvalue()


def _cell(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return ";" if header.count(";") > header.count(",") else ","


def _columns(header: list[str]) -> dict[str, int]:
    found = {_NAMES[plain(name)]: place for place, name in enumerate(header) if plain(name) in _NAMES}
    missing = [name for key, name in (("task", COLUMNS[0]), ("weakness", COLUMNS[2])) if key not in found]
    if missing:
        raise Refused(
            f"The mapping can't be used: its first line has no column {' and no column '.join(missing)}. "
            f"The columns are: {', '.join(COLUMNS)}."
        )
    return found


def _rule(cells: list[str], columns: dict[str, int], line: int, wrong: list[str]) -> Rule | None:
    task, weakness, level = (_value(cells, columns.get(key)) for key in ("task", "weakness", "confidence"))
    if not task:
        return None
    found = _TASK.fullmatch(task)
    confidence = _CONFIDENCES.get(level.casefold(), Confidence.LOW)
    if found is None:
        wrong.append(f'line {line} has "{task[:40]}" where a countermeasure stands, as T21 or CT8')
    elif not weakness:
        wrong.append(f"line {line} names no weakness")
    elif level.casefold() not in _CONFIDENCES:
        wrong.append(f'line {line} has the confidence "{level[:40]}"; there are high, low and none')
    elif confidence is not None:
        return Rule(task_id=_task_id(found[1]), weakness=_weakness(weakness), confidence=confidence)
    return None


def _value(cells: list[str], place: int | None) -> str:
    value = cells[place].strip() if place is not None and place < len(cells) else ""
    # What stood there before a spreadsheet was kept from taking it for a formula.
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value


def _task_id(text: str) -> str:
    return text.upper() if text[0].isalpha() else f"T{text}"


def _weakness(text: str) -> str:
    cwe = _CWE.fullmatch(text)
    return WILDCARD if text == WILDCARD else f"CWE-{int(cwe[1])}" if cwe else text
