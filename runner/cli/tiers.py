"""What ``runner check`` looks at beyond the files themselves: what they name, and what is reached by it."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.reach import Where, reach
from runner.errors import RunnerError, SettingsInvalid
from runner.model.jobs import Kind

if TYPE_CHECKING:
    from runner.cli.client import Client
    from runner.engine.catalogue import System
    from runner.settings import Declaration, Settings

Finding = str | RunnerError
"""What is good about it, or what is wrong."""


class Unreached(RunnerError):
    """A connection's test failed."""

    exit_code = 69


def references(settings: "Settings") -> Iterator[tuple[str, Finding]]:
    """Whether declared connections name connectors there are, params they take and secrets to be had.

    Connectors are asked in a process of their own, as ever; none of them goes online.
    """
    if not settings.connection:
        return
    from runner.engine import declared
    from runner.engine.probes import Probes
    from runner.engine.workers import WorkerFactory, start_fork_server

    start_fork_server()
    with tempfile.TemporaryDirectory(prefix="runner-check-") as folder:
        factory = WorkerFactory(
            state_dir=Path(folder), allow=list(settings.plugins.allow), path=settings.plugins.path
        )
        with contextlib.closing(Probes(factory)) as probes:
            for one in settings.connection:
                try:
                    declared.examine(one, probes)
                except SettingsInvalid as error:
                    yield f"connection {one.name}", error
                else:
                    yield f"connection {one.name}", "names a connector that takes its params"
            for name in declared.literal_secrets(settings, probes.systems()):
                yield "secrets", f"{name} stands in a file as plain text; name a file: or credential: instead"


def connections(settings: "Settings", config: Path | None) -> Iterator[tuple[str, Finding]]:
    """Test connections online, without effects: those of the files, and those that are stored."""
    with reach(Where(config=config)) as client:
        systems = {row["id"]: row for row in client.get("systems/")["results"]}
        for one in settings.connection:
            if one.enabled:
                yield from _test_declared(client, one, systems.get(one.system))
        for row in client.pages("connections/"):
            if row["declared"] is None and row["enabled"] and not row["is_file_upload"]:
                path = f"connections/{row['kind']}/{row['id']}/test/"
                yield from _tested(f"connection {row['id']} ({row['alias']})", client, path, {})


def _test_declared(
    client: "Client", one: "Declaration", shown: dict[str, object] | None
) -> Iterator[tuple[str, Finding]]:
    from runner.engine.declared import with_secrets

    name = f"connection {one.name}"
    if shown is None or shown["broken"]:
        yield name, SettingsInvalid(f"there is no connector {one.system!r} that works.")
        return
    body: dict[str, object] = {"system": one.system}
    try:
        body["params"] = with_secrets(one.params, _secrets_only(shown))
    except SettingsInvalid as error:
        yield name, error
        return
    if shown["kind"] in {Kind.ALM, Kind.ANALYSIS}:
        body["project"] = _project(client, one)
    yield from _tested(name, client, f"connections/{shown['kind']}/test/", body)


def _secrets_only(shown: dict[str, object]) -> "System":
    from runner.engine.catalogue import System

    secrets = shown["secrets"]
    assert isinstance(secrets, list)  # the API's description says so
    return System(
        id=str(shown["id"]),
        kind=Kind(str(shown["kind"])),
        name="",
        short_name="",
        command="",
        secrets=tuple(map(str, secrets)),
    )


def _project(client: "Client", one: "Declaration") -> object:
    if not isinstance(one.project, str):
        return one.project
    name = one.project.rpartition("/")[2]
    return next((row["id"] for row in client.pages("projects/", name=name)), None)


def _tested(name: str, client: "Client", path: str, body: dict[str, object]) -> Iterator[tuple[str, Finding]]:
    try:
        told = client.post(path, body)
    except RunnerError as error:
        yield name, Unreached(error.message)
        return
    for step in told["steps"]:
        text = f"{step['name']}: {step['message'] or ('good' if step['ok'] else 'failed')}"
        yield name, text if step["ok"] else Unreached(text)
