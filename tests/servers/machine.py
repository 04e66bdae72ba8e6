"""The installed command on a machine of its own: one state directory, its settings, its daemon."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.cli.client import Client
from runner.cli.listings import STATUS, pick
from runner.cli.sockets import connect
from runner.store.database import Database, open_database
from runner.store.schema import connections
from tests.servers.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("runner")
REPORT = ROOT / "runner" / "sample" / "report.xml"
"""The sample report, for the sample project."""


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Machine:
    """One machine with one state directory; ``settings`` are the environment's."""

    state: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What every process of this machine sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}
        kept.pop("RUNTIME_DIRECTORY", None)
        return {**kept, "RUNNER__STATE_DIR": str(self.state), **self.settings}

    def type(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [COMMAND, *map(str, words)],
            env=self.environment() | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *words: object) -> Any:
        """What a command that succeeds prints as JSON."""
        done = self.type(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> Any:
        """What ``runner status --json`` prints, without what it costs to start a command."""
        with contextlib.closing(self.client()) as client:
            return pick(STATUS, client.get("status/"))

    @contextlib.contextmanager
    def daemon(self, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon in the foreground of another terminal, which answers by now."""
        log = self.state.with_name("daemon.log")
        with log.open("ab") as told:
            process = subprocess.Popen(
                [COMMAND, "run", *flags], env=self.environment(), stdout=told, stderr=told, process_group=0
            )
        try:
            self._until_it_answers(process, log)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def _until_it_answers(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            with contextlib.suppress(OSError):
                connect(self.state / "runner.sock", timeout=1).close()
                return
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.02)

    @contextlib.contextmanager
    def store(self) -> Iterator[Database]:
        """What it keeps. A daemon may run as long as this only reads, or writes what no daemon would."""
        with contextlib.closing(open_database(f"sqlite:///{self.state / 'runner.db'}")) as database:
            yield database

    def miss_a_slot(self) -> None:
        """Let all next runs lie two hours back, as when nothing ran for a while. No daemon may run."""
        with self.store() as database:
            missed = sa.update(connections).values(next_run=connections.c.next_run - 2 * 3_600_000_000)
            database.write(lambda c: c.execute(missed))

    def client(self) -> Client:
        """The API of the daemon that runs."""
        return Client.over_socket(self.state / "runner.sock")


def install_acme(folder: Path) -> None:
    """Install somebody else's connectors into ``folder``, for ``[plugins] path``."""
    install(ROOT / "tests" / "packages" / "acme", folder)


def install(package: Path, folder: Path) -> None:
    """Install a package into ``folder``, for ``[plugins] path``."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    flags = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([*pip, *flags, package], check=True, timeout=PATIENCE)


def names_in(folder: Path) -> list[str]:
    """The names of the files in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())
