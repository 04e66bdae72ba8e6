"""docs/commands.md says what the command line does, and all of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from runner.cli.app import app
from runner.cli.command import EXIT_CODES
from runner.cli.listings import CHANGE, CONNECTION_WHOLE, ENTRY, FINDING, JOB, STATUS, SYSTEM, TOKEN, Fields

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
EVERYWHERE = {"--help", "--json", "--config", "--url", "--token-file"}


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, found in inner.items():
        yield from _commands(found, f"{name} {word}")


COMMANDS = dict(_commands(typer.main.get_command(app), "runner"))


def _section(heading: str, text: str = TEXT) -> str:
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section {heading}"
    return found[1]


def _undocumented(name: str, text: str = TEXT) -> set[str]:
    """Flags of a command that its section doesn't name."""
    section = _section(f"`{name}`", text)
    flags = {flag for option in COMMANDS[name].params for flag in option.opts if flag.startswith("--")}
    return {flag for flag in flags - EVERYWHERE if f"`{flag}" not in section}


def _exit_codes(text: str = TEXT) -> dict[int, str]:
    return {int(code): means for code, means in re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_flag_is_documented(name: str) -> None:
    """Each command has a section of its own, which names its flags."""
    assert _undocumented(name) == set()


def test_no_command_is_documented_that_isn_t_there() -> None:
    """What was removed is removed from the page too."""
    assert set(re.findall(r"^### `(runner .*)`$", TEXT, re.MULTILINE)) == set(COMMANDS)


_LISTINGS = re.compile(r" (list|changes|findings|log|status|show|describe|preview|watch|reconcile|check)$")


@pytest.mark.parametrize("name", [name for name in COMMANDS if _LISTINGS.search(name)])
def test_what_is_listed_can_be_had_as_json(name: str) -> None:
    """Each command that lists or shows something has ``--json``, and its section speaks of it."""
    assert "--json" in {flag for option in COMMANDS[name].params for flag in option.opts}
    assert "--json" in _section(f"`{name}`") + _section(f"`{_first_of(name)}`")


def _first_of(name: str) -> str:
    """The command whose section lists the flags that the later ones of its group take too."""
    return "runner jobs list" if name.startswith(("runner jobs ", "runner changes ")) else name


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("job", JOB),
        ("change", CHANGE),
        ("journal entry", ENTRY),
        ("connection", CONNECTION_WHOLE),
        ("finding", FINDING),
        ("connector module", SYSTEM),
        ("token", TOKEN),
        ("status", STATUS),
    ],
)
def test_each_field_is_documented(what: str, fields: Fields) -> None:
    """The tables of fields are those that ``--json`` prints, in their order."""
    assert re.findall(r"^\| `(\w+)` \|", _section(f"Fields of a {what}"), re.MULTILINE) == list(fields)


def test_each_exit_code_is_documented() -> None:
    """The page's table of exit codes is the one of ``--help``."""
    assert [_plain(means) for means in _exit_codes().values()] == list(EXIT_CODES.values())
    assert list(_exit_codes()) == list(EXIT_CODES)


def _plain(text: str) -> str:
    return text.replace("`", "")


def test_what_is_missing_shows() -> None:
    """A flag, a command or an exit code that the page lacks is found."""
    assert _undocumented("runner upload", TEXT.replace("`--project P`", "")) == {"--project"}
    with pytest.raises(AssertionError, match="no section `runner upload`"):
        _undocumented("runner upload", TEXT.replace("### `runner upload`\n", ""))
    assert 75 not in _exit_codes(re.sub(r"^\| 75 .*\n", "", TEXT, flags=re.MULTILINE))
