"""The connector keeps the promises that the runner makes of every connector."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runner.conformance.arena import TASKS, Arena, BadRecord
from runner.conformance.promises import Promises


class PunchlistArena(Arena):
    """A list and a project that differ."""

    system = "punchlist"

    def write(self, points: Iterable[str], *, total: int | None = None) -> None:
        """Replace the list; ``total`` = how many points it says it has."""
        listed = list(points)
        self.replace(json.dumps({"total": len(listed) if total is None else total, "open": listed}))

    def replace(self, text: str) -> None:
        """Replace the file by any text."""
        (self.folder / "list.json").write_text(text, encoding="utf-8")

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """Begin with one task that is done."""
        return [{**TASKS[0], "status": "TS1"}, *TASKS[1:]]

    def build(self) -> None:
        """Have one task to reopen, one to leave alone and three to close."""
        self.write(["T1", "T2"])

    def change_source(self) -> None:
        """Put anything on the list."""
        self.write(self.rng.sample(["T1", "T2", "T3", "T4", "T5"], self.rng.randrange(6)))

    def wipe_source(self) -> None:
        """Let everything be done."""
        self.write([])

    def cut_source(self) -> None:
        """Lose a part of the list on its way."""
        self.write(["T1"], total=4)

    def spoil_record(self) -> BadRecord:
        """Put something on the list that is no task."""
        self.write(["T1", "T2", "T99"])
        return BadRecord(named="T99", keys=())

    def params(self) -> Mapping[str, Any]:
        """Where the list is."""
        return {"source": str(self.folder / "list.json")}

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What can be wrong with the list."""
        return {
            "it is gone": (self.folder / "list.json").unlink,
            "it is no JSON": lambda: self.replace("<html>Log in first</html>"),
            "it is another list": lambda: self.replace('["T1", "T2"]'),
        }


class TestPunchlist(Promises):
    """Previews, ceilings, crashes, reverts, secrets: see the documentation of the conformance kit."""

    arena = PunchlistArena
