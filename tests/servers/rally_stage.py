"""A project beside a simulated Rally, for tests that look closely: real daemons, real workers."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from runner.conformance.arena import BadRecord
from runner.conformance.daemons import Daemons
from runner.conformance.world import Finished, World
from runner.model.jobs import Outcome
from runner.store import tasks
from runner.store.database import open_database
from runner.store.pages import Cut
from simulators.rally.things import Thing
from tests.conformance.test_rally import RallyArena
from tests.servers.rally import STORY, RallyServer


def listed(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """Tasks in scope, by number."""
    return [
        {
            "task_id": f"T{number}",
            "title": f"Do thing {number}",
            "text": f"Thing *{number}*.",
            "priority": 8,
            "phase": "development",
            **more,
        }
        for number in numbers
    ]


class Stage(RallyArena):
    """An arena that begins as a test says."""

    listed: ClassVar[Sequence[Mapping[str, Any]]] = ()
    more: ClassVar[Mapping[str, Any]] = {}
    begin: ClassVar[Callable[[RallyServer], None] | None] = None

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """What the test lists."""
        return self.listed

    def build(self) -> None:
        """Nothing: each test puts things where it wants them."""

    def spoil_record(self) -> BadRecord:
        """Nothing is spoilt here."""
        return BadRecord(named="", keys=())

    def params(self) -> Mapping[str, Any]:
        """The seeds' connection with what the test sets."""
        return self.rally.params(**self.more)


class Rig:
    """One world with its Rally."""

    def __init__(
        self, home: Path, daemons: Daemons, *, tasks: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> None:
        kind = type("OneStage", (Stage,), {"listed": tasks, "more": dict(params)})
        self.world = World(home, kind, daemons, seed=1, plugins="")
        arena = self.world.arena
        assert isinstance(arena, Stage)
        self.arena = arena
        self.rally = arena.rally
        self.things = arena.rally.things
        self.simulator = arena.rally.simulator
        self.faults = arena.rally.simulator.faults

    # --- runs ----------------------------------------------------------------------------

    def run(self, **job: Any) -> Finished:
        """A run of the connection."""
        return self.world.run(**job)

    def succeed(self, **job: Any) -> Finished:
        """A run that has to succeed."""
        done = self.run(**job)
        assert done.outcome is Outcome.SUCCEEDED, done.message
        return done

    def requests(self) -> dict[str, int]:
        """How often Rally was asked what since the last look."""
        counts = dict(self.simulator.traffic.counts)
        self.simulator.traffic.reset()
        return counts

    # --- the platform --------------------------------------------------------------------

    def _read(self, read: Callable[[sa.Connection], Any]) -> Any:
        database = open_database(self.arena.platform.url)
        try:
            with database.read() as c:
                return read(c)
        finally:
            database.close()

    def _write(self, write: Callable[[sa.Connection], Any]) -> None:
        database = open_database(self.arena.platform.url)
        try:
            database.write(write)
        finally:
            database.close()

    def add_tasks(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """More tasks come into the project."""
        project = self.arena.platform.project_id
        self._write(lambda c: tasks.add(c, project, entries, now=self.things.now()))

    def set_task(self, task_id: str, *, at: datetime | None = None, **values: Any) -> None:
        """Somebody changes a task, at a time."""

        def write(c: sa.Connection) -> None:
            found = tasks.get(c, project_id=self.arena.platform.project_id, task_id=task_id)
            assert found is not None
            tasks.change(c, found.row_id, values, now=at or self.things.now())

        self._write(write)

    def statuses(self) -> dict[str, str]:
        """Statuses of all tasks, by id without the project."""
        state = self.arena.platform.state()
        return {key.partition("-")[2]: str(values["status"]) for key, values in state.items()}

    def notes(self, task_id: str) -> list[str]:
        """What stands at a task, the oldest first."""

        def read(c: sa.Connection) -> list[str]:
            found = tasks.get(c, project_id=self.arena.platform.project_id, task_id=task_id)
            assert found is not None
            return [note.text for note in tasks.note_page(c, found.row_id, Cut(limit=1000))]

        texts: list[str] = self._read(read)
        return texts

    def links(self, kind: str = "item") -> dict[str, dict[str, Any]]:
        """What is kept of things over there."""
        rows = self._read(
            lambda c: c.execute(sa.text("SELECT key, value FROM links WHERE kind = :k"), {"k": kind}).all()
        )
        return {row.key.removesuffix("/item"): json.loads(row.value) for row in rows}

    def forget(self) -> None:
        """Everything that is kept of Rally is lost."""

        def write(c: sa.Connection) -> None:
            c.execute(sa.text("DELETE FROM links"))
            c.execute(sa.text("UPDATE connections SET memory = '{}'"))

        self._write(write)

    # --- Rally ---------------------------------------------------------------------------

    def item(self, task_id: str) -> Thing:
        """The item that a task is linked with."""
        ref = self.links()[f"{self.arena.platform.project_id}-{task_id}"]["ref"]
        found = self.things.anywhere(int(str(ref).rpartition("/")[2]))
        assert found is not None, f"{task_id}'s item is gone"
        return found

    def states(self) -> dict[str, str]:
        """States of all items, by the task that their name begins with."""
        return {
            item.name.partition(":")[0]: str(
                item.values["ScheduleState" if item.type.name == STORY else "State"]
            )
            for item in self.rally.items()
        }
