"""``runner check``: would the daemon start with this configuration?"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import tiers
from runner.cli.command import DONE, AsJson, Config, settled
from runner.cli.output import console, print_json_array, text
from runner.cli.reach import become_owner
from runner.errors import RunnerError, SettingsInvalid

if TYPE_CHECKING:
    from runner.settings import Settings

Step = tuple[str, str]
"""What was looked at, and what was found good about it."""


@settled
def check(
    *,
    config: Config = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only the files and what they name; nothing is reached.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check the configuration, what it names, and what is reached by it; exit code 78 or 69 if it is bad."""
    codes: list[int] = []

    def told() -> Iterator[tuple[str, str, bool]]:
        for name, looked in _steps(config, offline=offline):
            if isinstance(looked, RunnerError):
                codes.append(looked.exit_code)
                yield name, looked.message, False
            else:
                yield name, looked, True

    if as_json:
        print_json_array({"step": name, "ok": good, "message": finding} for name, finding, good in told())
    else:
        for name, finding, good in told():
            _print(name, finding, good=good)
    return codes[0] if codes else DONE


def _steps(config: Path | None, *, offline: bool) -> Iterator[tuple[str, str | RunnerError]]:
    """Each step with its finding; what rests on a step that failed isn't tried."""
    from runner import configuration

    try:
        loaded = configuration.read(file=config)
    except SettingsInvalid as error:
        yield "configuration", error
        return
    settings = loaded.settings
    yield "configuration", "valid"
    for name in loaded.literals():
        yield "secrets", tiers.LITERAL.format(name=name)
    become_owner(settings.state_dir)
    sound = True
    looks = [("plug-ins", _plugins), ("state directory", _state_dir)]
    if not offline:
        looks.append(("store", _store))
    for name, look in looks:
        try:
            yield name, look(settings)
        except RunnerError as error:
            sound = False
            yield name, error
    for name, finding in (*tiers.named(settings), *tiers.references(settings)):
        sound = sound and not isinstance(finding, RunnerError)
        yield name, finding
    if sound and not offline:
        yield from tiers.remotes(settings)
        yield from _online(settings, config)


def _online(settings: "Settings", config: Path | None) -> Iterator[tuple[str, str | RunnerError]]:
    from runner.cli.db import read_schema
    from runner.store.migrate import HEAD

    if read_schema(settings)[0] != HEAD:
        yield "connections", "are tested once the daemon has set up the store"
        return
    try:
        yield from tiers.connections(settings, config)
    except RunnerError as error:
        yield "connections", error


def _plugins(settings: "Settings") -> str:
    folder = settings.plugins.path
    if not folder:
        return "no folder is set"
    if not Path(folder).is_dir():
        msg = f"[plugins] path {folder} is not a folder."
        raise SettingsInvalid(msg)
    if not os.access(folder, os.R_OK | os.X_OK):
        msg = f"[plugins] path {folder} can't be read by this user."
        raise SettingsInvalid(msg)
    return folder


def _state_dir(settings: "Settings") -> str:
    folder = settings.state_dir
    there = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    if not there.is_dir():
        msg = f"state_dir {folder} can't be made: {there} is not a folder."
        raise SettingsInvalid(msg)
    if not os.access(there, os.W_OK | os.X_OK):
        msg = f"state_dir {folder} can't be written by this user."
        raise SettingsInvalid(msg)
    return str(folder) if there == folder.absolute() else f"{folder} will be made"


def _store(settings: "Settings") -> str:
    from runner.cli.db import display_url, read_schema
    from runner.errors import StoreNewer
    from runner.store.migrate import HEAD

    schema, running = read_schema(settings)
    if schema is None:
        state = "is in use by a daemon" if running else "is empty and will be set up"
        return f"{display_url(settings)} {state}"
    if schema > HEAD:
        msg = f"The store has schema {schema}, this version knows {HEAD}; install the version that wrote it."
        raise StoreNewer(msg)
    state = "up to date" if schema == HEAD else f"will be upgraded to {HEAD}"
    return f"{display_url(settings)} has schema {schema}, {state}" + (
        ", a daemon is running" if running else ""
    )


def _print(name: str, finding: str, *, good: bool) -> None:
    mark = text("ok    ", "green") if good else text("FAILED", "bold red")
    console().print(mark.append("  ").append_text(text(f"{name}: ", "bold")).append_text(text(finding)))
