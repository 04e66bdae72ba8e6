"""What commands print: tables for people, JSON for programs, sentences for both."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNFOLDED = 100_000  # columns; what is piped into a program is not folded

_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "done": "green",
    "skipped": "yellow",
}


@cache
def console(*, error: bool = False) -> Console:
    """Standard output, or standard error, as rich writes to it."""
    stream = sys.stderr if error else sys.stdout
    return Console(
        stderr=error, highlight=False, width=None if stream.isatty() else _UNFOLDED, soft_wrap=False
    )


def text(value: object, style: str = "") -> Text:
    """``value`` as plain text: no markup, and no control codes that would steer the terminal."""
    if value is None or value == "":
        return Text("-", "dim")
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return Text(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(value)), style, overflow="fold")


def say(sentence: str) -> None:
    """Print a sentence on standard output."""
    console().print(text(sentence))


def note(sentence: str) -> None:
    """Print on standard error what is no part of a command's result."""
    console(error=True).print(text(sentence))


def complain(sentence: str) -> None:
    """Print on standard error why a command failed."""
    console(error=True).print(Text.assemble(("runner: ", "bold red"), text(sentence)))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print ``rows`` under ``columns``.

    A column that begins with ``#`` holds numbers, one with ``!`` words that aren't folded.
    """
    terminal = console().is_terminal
    grid = Table(
        box=box.SIMPLE_HEAD if terminal else None, header_style="bold", pad_edge=False, collapse_padding=True
    )
    for column in columns:
        grid.add_column(
            column.lstrip("#!"),
            justify="right" if column.startswith("#") else "left",
            no_wrap=column.startswith(("#", "!")),
        )
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in row))
    console().print(grid)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names with their values, one a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(Text(name, "bold"), value if isinstance(value, Text) else text(value))
    console().print(grid)


def coloured(word: str) -> Text:
    """A state or an outcome in its colour."""
    return text(word, _COLOURS.get(word, ""))


def local_time(instant: str | None) -> str:
    """An instant of the API in this machine's zone, to the second."""
    if not instant:
        return ""
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(_encode(value) + "\n")


def print_json_array(rows: Iterable[Any]) -> None:
    """Print a JSON array, an element a line, each as soon as it is known."""
    separator = "["
    for row in rows:
        sys.stdout.write(f"{separator}\n{_encode(row)}")
        separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)
