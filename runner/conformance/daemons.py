"""Daemons for the kit's tests, seen from the test: asked for, waited for, outlived."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.store import migrate
from runner.store.database import open_database

PATIENCE = 60.0
"""Seconds after which a daemon that isn't through hangs."""


class DaemonTrouble(Exception):
    """A daemon of the kit's did what no daemon may do; the test can't go on."""


class Daemons:
    """One nursery for all tests of a process, and the store that each daemon begins with."""

    def __init__(self, folder: Path) -> None:
        self.empty_store = folder / "runner.db"
        self.said = folder / "said"
        """What the nursery and all workers print; they have no other place for it."""
        database = open_database(f"sqlite:///{self.empty_store}")
        migrate.upgrade(database)
        database.close()
        with self.said.open("wb") as said:
            self._process = subprocess.Popen(
                # Not with -m: workers import again what __main__ is.
                [sys.executable, "-c", "from runner.conformance.nursery import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    def live(self, settings: Mapping[str, Any], *, log: Path, faultpoint: str = "") -> bool:
        """Let a daemon do all that waits; False if its fault point killed it before it was through.

        ``settings`` are the daemon's, ``faultpoint`` is as in ``runner.faultpoint``.
        """
        ended = self._order({"settings": settings, "faultpoint": faultpoint, "log": str(log)})
        wait_for_workers(Path(settings["state_dir"]))
        if ended not in {"idle", "killed"}:
            told = log.read_text("utf-8") + self.said.read_text("utf-8", errors="replace")
            raise DaemonTrouble(f"The daemon did not get through: {ended}. Its log:\n{told}")
        return ended == "idle"

    def command(self, words: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> str:
        """What a command line prints, on both streams."""
        log, output = folder / "command.log", folder / "command.out"
        ended = self._order(
            {
                "command": [*words],
                "environment": dict(environment),
                "log": str(log),
                "output": str(output),
            }
        )
        told = output.read_text("utf-8") + log.read_text("utf-8")
        if ended != "idle":
            raise DaemonTrouble(f"The command {' '.join(words)} {ended}:\n{told}")
        return told

    def _order(self, order: Mapping[str, Any]) -> str:
        assert self._process.stdin is not None  # they are pipes
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**order, "deadline": PATIENCE}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise DaemonTrouble(f"The process that makes daemons has died:\n{self.said.read_text('utf-8')}")
        return str(json.loads(answer)["ended"])

    def close(self) -> None:
        """End the nursery."""
        with self._process:
            assert self._process.stdin is not None  # it is a pipe
            self._process.stdin.close()


def wait_for_workers(state_dir: Path) -> None:
    """Wait until no worker of a dead daemon lives; they notice by themselves that it is gone.

    Until then they may be writing, and what is there is no crash's end yet.
    """
    folder = state_dir / "workers"
    for record in folder.iterdir() if folder.is_dir() else ():
        try:
            descriptor = os.pidfd_open(int(record.name))
        except ProcessLookupError:
            continue
        try:
            if _start_time(record.name) == record.read_text("ascii"):
                _wait_for(descriptor, record.name)
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, name: str) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(PATIENCE * 1000):
        raise DaemonTrouble(f"The worker {name} outlived its daemon.")


def _start_time(pid: str) -> str | None:
    """When the process with this id started, as ``runner.engine.workers`` records it."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
