"""Changes, of a job or of all, as a table or as JSON."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from rich.text import Text

from runner.cli.listings import CHANGE, ENTRY, pick
from runner.cli.output import coloured, local_time, note, print_json_array, table, text
from runner.cli.refusals import Json

if TYPE_CHECKING:
    from runner.cli.client import Client

_ROWS = 200  # of a table, unless told otherwise
_LONGEST = 60  # characters of one value in a table


def of_job(client: "Client", job: Json) -> Iterator[Json]:
    """All changes of a job, in the order of its plan."""
    return client.pages(f"jobs/{job['kind']}/{job['id']}/changes/")


def print_changes(changes: Iterator[Json], *, limit: int | None, as_json: bool) -> None:
    """Print changes; a table is cut at a length, and says so."""
    if as_json:
        print_json_array(pick(CHANGE, change) for change in islice(changes, limit))
        return
    shown = [pick(CHANGE, change) for change in islice(changes, limit or _ROWS)]
    table(
        ["#No", "Change", "!Of", "Subject", "Before → after", "State"],
        ([c["sequence"], *_cells(c)] for c in shown),
    )
    _note_cut(changes, len(shown))


def print_entries(entries: Iterator[Json], *, limit: int | None, as_json: bool) -> bool:
    """Print the journal of all jobs; a table is cut at a length, and says so. Whether there was any."""
    first = next(entries, None)
    if first is not None:
        entries = chain([first], entries)
    if as_json:
        print_json_array(pick(ENTRY, entry) for entry in islice(entries, limit))
        return first is not None
    shown = [pick(ENTRY, entry) for entry in islice(entries, limit or _ROWS)]
    table(
        ["#Job", "#No", "!When", "!Connection", "Change", "!Of", "Subject", "Before → after", "State"],
        ([e["job"], e["sequence"], local_time(e["when"]), e["alias"], *_cells(e)] for e in shown),
    )
    _note_cut(entries, len(shown))
    return first is not None


def _cells(change: Json) -> list[Any]:
    return [_op(change), change["kind"], change["subject"], _difference(change), _state(change)]


def _note_cut(changes: Iterator[Json], shown: int) -> None:
    if next(changes, None) is not None:
        note(f"There are more than these {shown}; --limit shows more, --json shows all.")


def _op(change: Json) -> Text:
    word = change["op"].replace("_", " ")
    return text(f"{word} (destructive)", "bold red") if change["destructive"] else text(word)


def _state(change: Json) -> Text:
    state = coloured(change["state"])
    return state.append(f": {text(change['error'])}") if change["error"] else state


def _difference(change: Json) -> str:
    before, after = change["before"], change["after"]
    if before is None and after is None:
        return ""
    if before is None:
        return _values(after)
    if after is None:
        return f"{_values(before)} → gone"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "\n".join(f"{name}: {_value(before.get(name))} → {_value(after.get(name))}" for name in names)


def _values(values: Mapping[str, Any] | None) -> str:
    return "\n".join(f"{name}: {_value(value)}" for name, value in (values or {}).items())


def _value(value: Any) -> str:
    written = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    written = " ".join(written.split())
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"
