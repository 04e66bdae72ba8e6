"""The Fortify SSC connector keeps the promises, against the simulator on the embedded platform."""

import secrets
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.platform import Platform
from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from runner.model.jobs import Kind
from simulators.ssc.server import Center, Version
from tests.conformance.arenas import KEEPS_ANALYSES
from tests.servers.machine import ROOT

WEAKNESSES = ("SQL Injection", "Path Manipulation", "Log Forging", "Header Manipulation", "Null Dereference")


class SscArena(Arena):
    """A version at the simulator, with a new upload after each change."""

    system = "fortify_ssc"
    kind = Kind.ANALYSIS
    readme = ROOT / "runner" / "connectors" / "ssc" / "README.md"

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.version = Version(id=10001, project="Webshop", name="2.0")
        self.center = Center(versions=[self.version], token=secrets.token_hex(16)).start()
        self.token = self.center.token
        weakref.finalize(self, self.center.stop)

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """A task for each weakness, and one that no scanner answers."""
        more = {"priority": 7, "phase": "development"}
        return [
            *(
                {"task_id": f"T{number}", "title": f"No {sort}", "categories": [sort], **more}
                for number, sort in enumerate(WEAKNESSES, start=1)
            ),
            {"task_id": "T9", "title": "Think before you write", **more},
        ]

    def find(self, sorts: Sequence[str]) -> None:
        """Let a new upload have these and nothing else."""
        with self.center.lock:
            self.version.issues.clear()
            for number, sort in enumerate(sorts, start=1):
                self.version.find(number, sort)
            self.version.upload(len(self.version.artifacts) + 1)

    def build(self) -> None:
        """Find something for two tasks, and nothing for the others."""
        self.find(["SQL Injection", "SQL Injection", "Path Manipulation"])

    def change_source(self) -> None:
        """Find other things."""
        self.find(self.rng.choices(WEAKNESSES, k=self.rng.randint(1, 5)))

    def wipe_source(self) -> None:
        """Find one thing, where there was none before."""
        self.find(["Null Dereference"])

    def cut_source(self) -> None:
        """Count more than the pages give."""
        self.center.hide = max(1, len(self.version.issues) - 1)

    def spoil_record(self) -> BadRecord:
        """Find something that no task answers to."""
        self.version.find(99, "Quantum Leakage")
        return BadRecord(named="Quantum Leakage", keys=())

    def params(self) -> Mapping[str, Any]:
        """The version by its names."""
        return {
            "ssc_server": self.center.address,
            "ssc_method": "http",
            "ssc_authtoken": self.token,
            "ssc_project_name": "Webshop",
            "ssc_project_version": "2.0",
        }

    def secrets(self) -> Collection[str]:
        """The token."""
        return [self.token]

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What goes wrong over there."""
        return {
            "a token that expired": lambda: setattr(self.center, "token", "another"),
            "an upgrade": lambda: self.center.troubles.extend(["page for people"] * 9),
            "a version that was renamed": lambda: setattr(self.version, "name", "3.0"),
            "an upload without approval": lambda: self.version.upload(28, "REQUIRE_AUTH"),
            "issues of another project": lambda: self.find(["Quantum Leakage"]),
        }


class TestSsc(Promises):
    """A version's issues become verifications on the embedded platform."""

    arena = SscArena
    every = 8


class SscFarAwayArena(SscArena):
    """The same for a project on a remote server."""

    exempt: ClassVar[Mapping[str, str]] = KEEPS_ANALYSES


class TestSscFarAway(Promises):
    """The same for a project on a remote server."""

    arena = SscFarAwayArena
    world = RemoteWorld
    every = 20
