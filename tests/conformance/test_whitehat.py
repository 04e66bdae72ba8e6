"""The WhiteHat connectors keep the promises, against the simulator on the embedded platform."""

import json
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
from simulators.whitehat.estate import Asset, Estate, vector
from simulators.whitehat.server import Sentinel, Trouble
from tests.conformance.arenas import KEEPS_ANALYSES
from tests.servers.machine import ROOT

WEAKNESSES = ("SQL Injection", "Path Traversal", "Fingerprinting", "Session Fixation", "Content Spoofing")
README = ROOT / "runner" / "connectors" / "whitehat" / "README.md"


def project_tasks() -> Sequence[Mapping[str, Any]]:
    """A task for each weakness, one that is known by CWE alone, and one that no scanner answers."""
    more = {"priority": 7, "phase": "development"}
    return [
        *(
            {"task_id": f"T{number}", "title": f"No {sort}", "categories": [sort], **more}
            for number, sort in enumerate(WEAKNESSES, start=1)
        ),
        {"task_id": "T8", "title": "No hard-coded password", "cwes": [798], **more},
        {"task_id": "T9", "title": "Think before you write", **more},
    ]


class WhiteHatArena(Arena):
    """A site at the simulator, scanned again after each change."""

    system = "whitehat"
    kind = Kind.ANALYSIS
    readme = README

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.site = Asset(number=11, sub=101, name="Shop", kind="site")
        self.key = secrets.token_hex(16)
        self.sentinel = Sentinel(Estate(key=self.key, assets=[self.site])).start()
        weakref.finalize(self, self.sentinel.stop)

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """Those of a small project."""
        return project_tasks()

    def find(self, sorts: Sequence[str]) -> None:
        """Let a new scan find these and nothing else."""
        estate = self.sentinel.estate
        with estate.lock:
            estate.findings.clear()
            for number, sort in enumerate(sorts, start=1):
                estate.add(self.site, number, sort, attack_vectors=[vector(number, "tag")])
            self.site.scans.append(1_768_000_000 + 3600 * len(self.site.scans))

    def build(self) -> None:
        """Find something for two tasks, and nothing for the others."""
        self.find(["SQL Injection", "SQL Injection", "Path Traversal"])

    def change_source(self) -> None:
        """Find other things."""
        self.find(self.rng.choices(WEAKNESSES, k=self.rng.randint(1, 5)))

    def wipe_source(self) -> None:
        """Find one thing, where there was none before."""
        self.find(["Content Spoofing"])

    def cut_source(self) -> None:
        """Count more than the pages give."""
        self.sentinel.behaviour.hide = max(1, len(self.sentinel.estate.findings) - 1)

    def spoil_record(self) -> BadRecord:
        """Find something that no task answers to."""
        self.sentinel.estate.add(self.site, 99, "Quantum Leakage")
        return BadRecord(named="Quantum Leakage", keys=())

    def params(self) -> Mapping[str, Any]:
        """The documented ones, with the simulator for a server."""
        return {
            "asset_name": "Shop",
            "analysis_server": self.sentinel.address,
            "analysis_method": "http",
            "analysis_api_token": self.key,
            "import_behaviour": "replace-scanner",
            "task_status_mapping": "{}",
        }

    def secrets(self) -> Collection[str]:
        """The key."""
        return [self.key]

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What goes wrong over there."""
        return {
            "a key that was withdrawn": lambda: setattr(self.sentinel.estate, "key", "another"),
            "a key without rights": lambda: self._trouble("forbidden"),
            "maintenance": lambda: self._trouble("page for people"),
            "a site that was renamed": lambda: setattr(self.site, "name", "Bank"),
            "findings of another project": lambda: self.find(["Quantum Leakage"]),
        }

    def _trouble(self, kind: str) -> None:
        self.sentinel.behaviour.troubles.append(Trouble(kind=kind, times=99))


class TestWhiteHat(Promises):
    """A site's findings become verifications on the embedded platform."""

    arena = WhiteHatArena
    every = 8


class WhiteHatFileArena(Arena):
    """Saved answers of the API."""

    system = "whitehat_file_upload"
    kind = Kind.ANALYSIS
    readme = README

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.file = folder / "vuln.json"
        self.sorts: list[str] = []

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """Those of a small project."""
        return project_tasks()

    def save(self, sorts: Sequence[str], *, total: int | None = None) -> None:
        """Save an answer with these findings, of so many."""
        self.sorts = [*sorts]
        rows = [{"id": str(n), "class": sort, "status": "open", "risk": 3} for n, sort in enumerate(sorts)]
        answer = {"collection": rows, "page": {"total": len(rows) if total is None else total}}
        self.file.write_text(json.dumps(answer), encoding="utf-8")

    def build(self) -> None:
        """Find something for two tasks, and nothing for the others."""
        self.save(["SQL Injection", "SQL Injection", "Path Traversal"])

    def change_source(self) -> None:
        """Find other things."""
        self.save(self.rng.choices(WEAKNESSES, k=self.rng.randint(1, 5)))

    def wipe_source(self) -> None:
        """Find one thing, where there was none before."""
        self.save(["Content Spoofing"])

    def cut_source(self) -> None:
        """Save one page of several."""
        self.save(self.sorts, total=4000)

    def spoil_record(self) -> BadRecord:
        """Find something that no task answers to."""
        self.save([*self.sorts, "Quantum Leakage"])
        return BadRecord(named="Quantum Leakage", keys=())

    def upload(self) -> Path:
        """The answer."""
        return self.file

    def params(self) -> Mapping[str, Any]:
        """Nothing is set: that is how most people upload."""
        return {}

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What people upload instead."""
        return {
            "half an answer": lambda: self._upload(b'{"collection": [{"id": 1, "cla'),
            "a page for people": lambda: self._upload(b"<html><body>log in</body></html>"),
            "nothing at all": lambda: self._upload(b""),
            "an answer about something else": lambda: self._upload(b'{"sites": []}'),
            "findings of another project": lambda: self.save(["Quantum Leakage"]),
        }

    def _upload(self, content: bytes) -> None:
        self.file.write_bytes(content)


class TestWhiteHatFile(Promises):
    """Saved answers become verifications on the embedded platform."""

    arena = WhiteHatFileArena
    every = 20


class WhiteHatFarAwayArena(WhiteHatArena):
    """The same for a project on a remote server."""

    exempt: ClassVar[Mapping[str, str]] = KEEPS_ANALYSES


class TestWhiteHatFarAway(Promises):
    """The same for a project on a remote server."""

    arena = WhiteHatFarAwayArena
    world = RemoteWorld
    every = 20
