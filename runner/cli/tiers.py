"""What ``runner check`` looks at beyond the files themselves: what they name, and what is reached by it."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.reach import Where, reach
from runner.errors import RunnerError, SettingsInvalid
from runner.model.jobs import Kind
from runner.secrets import read_reference

if TYPE_CHECKING:
    from runner.cli.client import Client
    from runner.engine.catalogue import System
    from runner.settings import Declaration, Settings

Finding = str | RunnerError
"""What is good about it, or what is wrong."""


LITERAL = "{name} stands in a file as plain text; name a file: or credential: instead"
"""What is said of a secret that stands where the settings do."""


class Unreached(RunnerError):
    """A connection's test failed, or a server didn't answer."""

    exit_code = 69


class Unwelcome(RunnerError):
    """A server refused the token."""

    exit_code = 77


def named(settings: "Settings") -> Iterator[tuple[str, Finding]]:
    """Whether what remotes and providers name is there: secrets to be had, workbooks, authorities."""
    from runner.engine.providers import workbook

    for name, remote in settings.remote.items():
        texts = [remote.token, *(text for kept in remote.secrets.values() for text in kept.values())]
        yield f"remote {name}", _had(texts, remote.ca_bundle) or "its secrets can be had"
    for name, one in settings.provider.items():
        if one.workbook:
            trouble = workbook(one, settings).get("trouble")
            found: Finding = "its workbook is there" if trouble is None else SettingsInvalid(trouble)
        else:
            good = "its password can be had" if one.servers else "its server is looked up when a job begins"
            found = _had([one.password], one.ca_bundle) or good
        yield f"provider {name}", found


def _had(secrets: Iterable[str], ca_bundle: str) -> SettingsInvalid | None:
    """What of these can't be had."""
    try:
        for text in secrets:
            read_reference(text)
        if ca_bundle and not ca_bundle.startswith("-----BEGIN"):
            Path(ca_bundle).read_bytes()
    except SettingsInvalid as error:
        return error
    except OSError as error:
        return SettingsInvalid(f"ca_bundle {ca_bundle} can't be read: {error.strerror}.")
    return None


def remotes(settings: "Settings") -> Iterator[tuple[str, Finding]]:
    """Ask each remote server for what its poller asks for; nothing is taken."""
    from runner.poller import BLIND
    from runner.sdelements.server import Server
    from runner.sdelements.wire import TokenRefused

    for name, one in settings.remote.items():
        with contextlib.closing(Server(name, one, settings.safety.network())) as server:
            try:
                blind = False
                for kind in one.kinds:
                    next(server.pending(kind), None)
                    told = server.connections(kind)
                    blind = blind or told is None or any(found.inaccessible is None for found in told)
            except TokenRefused as error:
                yield f"remote {name}", Unwelcome(error.message)
            except RunnerError as error:
                yield f"remote {name}", Unreached(error.message)
            else:
                yield f"remote {name}", "answers, and takes the token"
                if blind and one.take == "auto":
                    yield f"remote {name}", BLIND


def references(settings: "Settings") -> Iterator[tuple[str, Finding]]:
    """Whether declared connections name connectors there are, params they take and secrets to be had.

    Connectors are asked in a process of their own, as ever; none of them goes online.
    """
    if not (settings.connection or settings.connector):
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
            for name, shared in settings.connector.items():
                try:
                    declared.examine_shared(shared, probes)
                except SettingsInvalid as error:
                    yield f"connector {name}", error
                else:
                    yield f"connector {name}", "names a system that there is"
            for one in settings.connection:
                try:
                    declared.examine(one, settings, probes)
                except SettingsInvalid as error:
                    yield f"connection {one.name}", error
                else:
                    yield f"connection {one.name}", "names a connector that takes its params"
            for name in declared.literal_secrets(settings, probes.systems()):
                yield "secrets", LITERAL.format(name=name)


def connections(settings: "Settings", config: Path | None) -> Iterator[tuple[str, Finding]]:
    """Test connections online, without effects: those of the files, and those that are stored."""
    with reach(Where(config=config)) as client:
        systems = {row["id"]: row for row in client.get("systems/")["results"]}
        for one in settings.connection:
            if one.enabled:
                yield from _test_declared(client, one, settings.params_of(one), systems.get(one.system))
        for row in client.pages("connections/"):
            if row["declared"] is None and row["enabled"] and not row["is_file_upload"]:
                path = f"connections/{row['kind']}/{row['id']}/test/"
                yield from _tested(f"connection {row['id']} ({row['alias']})", client, path, {})


def _test_declared(
    client: "Client", one: "Declaration", params: dict[str, object], shown: dict[str, object] | None
) -> Iterator[tuple[str, Finding]]:
    from runner.engine.declared import with_secrets

    name = f"connection {one.name}"
    if shown is None or shown["broken"]:
        yield name, SettingsInvalid(f"there is no connector {one.system!r} that works.")
        return
    body: dict[str, object] = {"system": one.system}
    try:
        body["params"] = with_secrets(params, _secrets_only(shown))
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
