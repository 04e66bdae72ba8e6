"""The arenas of the two reference connectors."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.platform import Platform, State
from runner.model.jobs import Kind

TOKEN = 'hunter2 "knows" é/+all'
"""A secret with all that is spelled differently elsewhere."""

_KEPT = "a server keeps its analyses with their notes: its API has no way to take one back"

KEEPS_ANALYSES: Mapping[str, str] = {
    "test_revert_restores_the_target": _KEPT,
    "test_revert_leaves_alone_what_others_changed": _KEPT,
}
"""Exemptions of importers at a remote server."""


class SourceFile:
    """The source of both: a JSON file that counts its records."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, records: list[Any], *, count: int | None = None) -> None:
        """Replace the records; ``count`` = how many it says there are."""
        content = {"count": len(records) if count is None else count, "records": records}
        self.path.write_text(json.dumps(content), encoding="utf-8")

    def read(self) -> list[Any]:
        """The records."""
        return list(json.loads(self.path.read_text(encoding="utf-8"))["records"])

    def cut(self) -> None:
        """Say that there are more records."""
        self.write(self.read(), count=len(self.read()) + 3)

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """Ways in which it can be out of order."""
        return {
            "the source is gone": self.path.unlink,
            "the source is no JSON": lambda: _write(self.path, "<html>Log in first</html>"),
            "the source is something else": lambda: _write(self.path, '["none", "of", "it"]'),
            "the source is not text": lambda: _write(self.path, "\udcff\udcfe"),
        }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


class RegisterArena(Arena):
    """Task statuses from a register."""

    system = "reference_register"

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.source = SourceFile(folder / "register.json")

    def build(self) -> None:
        """Want three tasks to be as they aren't, and one closed."""
        self.source.write(
            [
                {"task": "T1", "status": "TS3"},
                {"task": "T2", "status": "TS1"},
                {"task": "T3", "status": "TS3"},
                {"task": "T4", "status": "TS2"},
            ]
        )

    def change_source(self) -> None:
        """Want anything of anyone."""
        self.source.write(
            [
                {"task": f"T{number}", "status": self.rng.choice(["TS1", "TS2", "TS3"])}
                for number in range(1, 6)
                if self.rng.random() < 0.8
            ]
        )

    def wipe_source(self) -> None:
        """Want one task only."""
        self.source.write([{"task": "T4", "status": "TS2"}])

    def cut_source(self) -> None:
        """Say that there is more."""
        self.source.cut()

    def spoil_record(self) -> BadRecord:
        """Want a status that no platform has."""
        self.source.write([*self.source.read()[1:], {"task": "T1", "status": "TS99"}])
        return BadRecord(named="T1", keys={f"{self.platform.project_id}-T1"})

    def params(self) -> Mapping[str, Any]:
        """Where the register is."""
        return {"source": str(self.source.path), "token": TOKEN}

    def secrets(self) -> Collection[str]:
        """The token."""
        return [TOKEN]

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What can be wrong with the register."""
        return self.source.troubles()


PEOPLE = ("ada", "bob", "cem", "dot", "eve", "fay", "gus", "hal")
TEAMS = ("chess", "choir", "rowing")


class ClubArena(Arena):
    """A club's records from its roll."""

    system = "reference_club"
    kind = Kind.DATASYNC
    writes_outside: ClassVar[bool] = True

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.source = SourceFile(folder / "roll.json")
        self.records = folder / "records.json"

    def build(self) -> None:
        """Begin with members of whom one leaves, one moves, one comes back and one changes."""
        old = {"team": 1, "mail": "old@club.example", "active": True}
        members = {
            "ada": {**old, "number": 2},
            "bob": {**old, "number": 3},
            "cem": {**old, "number": 4, "active": False},
            "dot": {**old, "number": 5},
        }
        things = {"team": {"chess": {"number": 1}}, "member": members}
        self.records.write_text(json.dumps({"last": 5, "things": things}), encoding="utf-8")
        roll = [("bob", "choir"), ("cem", "chess"), ("dot", "chess"), ("eve", "choir"), ("fay", "chess")]
        mails = {"dot": "new@club.example", "eve": "eve@club.example", "fay": "fay@club.example"}
        self.write_roll(dict(roll), mails)

    def write_roll(self, teams: Mapping[str, str], mails: Mapping[str, str]) -> None:
        """Put people on the roll, by name."""
        self.source.write(
            [
                {"name": name, "team": team, "mail": mails.get(name, "old@club.example")}
                for name, team in teams.items()
            ]
        )

    def change_source(self) -> None:
        """Let people come, go, and change what they do."""
        teams = {name: self.rng.choice(TEAMS) for name in PEOPLE if self.rng.random() < 0.7}
        self.write_roll(teams, {name: f"{name}{self.rng.randrange(3)}@club.example" for name in teams})

    def wipe_source(self) -> None:
        """Leave one."""
        self.write_roll({"dot": "chess"}, {"dot": "new@club.example"})

    def cut_source(self) -> None:
        """Say that there is more."""
        self.source.cut()

    def spoil_record(self) -> BadRecord:
        """Let one entry have no team."""
        records = [record for record in self.source.read() if record["name"] != "dot"]
        self.source.write([*records, {"name": "dot", "mail": "new@club.example"}])
        return BadRecord(named="dot", keys={"dot"})

    def params(self) -> Mapping[str, Any]:
        """Where both are."""
        return {"source": str(self.source.path), "records": str(self.records), "token": TOKEN}

    def secrets(self) -> Collection[str]:
        """The token."""
        return [TOKEN]

    def state(self) -> State:
        """Teams, and members with their team's name in place of its number."""
        try:
            things = json.loads(self.records.read_text(encoding="utf-8"))["things"]
        except (OSError, ValueError):
            return {}
        names = {team["number"]: name for name, team in things["team"].items()}
        members = {
            name: {"mail": each["mail"], "active": each["active"], "team": names.get(each["team"])}
            for name, each in things["member"].items()
        }
        return members | {name: {} for name in things["team"]}

    def edit(self, key: str) -> None:
        """Let a member take another address; or somebody make again what is gone."""
        content = json.loads(self.records.read_text(encoding="utf-8"))
        member = content["things"]["member"].get(key)
        if member is not None:
            member |= {"mail": f"{key}@elsewhere.example", "active": not member["active"]}
            self.records.write_text(json.dumps(content), encoding="utf-8")

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What can be wrong on both sides."""
        return {
            **self.source.troubles(),
            "the records are gone": self.records.unlink,
            "the records are no JSON": lambda: _write(self.records, "busy, try later"),
        }
