"""The connector for Rally keeps every promise."""

import json
import re
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.platform import Platform, State
from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from runner.model.jobs import Kind
from runner.store import tasks
from runner.store.database import open_database
from simulators.rally.faults import Fault
from simulators.rally.things import Thing
from tests.servers.machine import ROOT
from tests.servers.rally import PASSWORD, RallyServer

STATES = ("Defined", "In-Progress", "Completed", "Accepted")


class RallyArena(Arena):
    """A project of seven tasks and a Rally project that has some items for it already."""

    system = "rally"
    kind = Kind.ALM
    writes_outside: ClassVar[bool] = True
    not_revertible: ClassVar[Mapping[str, str]] = {}
    readme = ROOT / "runner" / "connectors" / "rally" / "README.md"

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.rally = RallyServer()
        weakref.finalize(self, self.rally.close)

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """Seven tasks in scope."""
        return [
            {
                "task_id": f"T{number}",
                "title": f"Do the thing number {number}",
                "text": f"First *this*, then **that** number {number}.",
                "priority": 8,
                "phase": "development",
            }
            for number in range(1, 8)
        ]

    def task_values(self, task_id: str, **values: Any) -> None:
        """Somebody changes a task."""
        database = open_database(self.platform.url)

        def write(c: Any) -> None:
            found = tasks.get(c, project_id=self.platform.project_id, task_id=task_id)
            assert found is not None
            tasks.change(c, found.row_id, values, now=self.rally.things.now())

        try:
            database.write(write)
        finally:
            database.close()

    def build(self) -> None:
        """Two items are there by name, one of them done; two tasks are new; two are none of ours."""
        self.rally.add("T1: Do the thing number 1", state="Completed")
        self.rally.add("T2: Do the thing number 2")
        self.rally.add("Plant a tree", tagged=False)
        for number in (5, 6, 7):
            self.task_values(f"T{number}", status="TS1")

    def change_source(self) -> None:
        """Let people open and close things on both sides."""
        for item in self.rally.items():
            if item.name.startswith("T") and self.rng.random() < 0.5:
                self.rally.things.change(item, ScheduleState=self.rng.choice(STATES))
        for number in range(1, 8):
            if self.rng.random() < 0.3:
                self.task_values(f"T{number}", status=self.rng.choice(("TS1", "TS2")))

    def wipe_source(self) -> None:
        """Nearly all tasks leave the scope."""
        for number in range(2, 8):
            self.task_values(f"T{number}", priority=1)

    def cut_source(self) -> None:
        """Rally gives half of the rows that it promises."""
        self.rally.simulator.faults.plant(Fault.SHORT_PAGE, times=100, path="/hierarchicalrequirement")

    def spoil_record(self) -> BadRecord:
        """Two items have the name of one task, and none says whose it is."""
        self.rally.add("T3: Do the thing number 3")
        self.rally.add("T3: Do the thing number 3")
        task = f"{self.platform.project_id}-T3"
        return BadRecord(named="T3", keys={task, f"{task}/item"})

    def params(self) -> Mapping[str, Any]:
        """The items of tasks that leave the scope are closed."""
        return self.rally.params(alm_close_removed=True)

    def secrets(self) -> Collection[str]:
        """The password."""
        return [PASSWORD]

    def state(self) -> State:
        """Tasks, their items, and items that are nobody's."""
        told = json.dumps(self.platform.state()).replace(self.rally.simulator.url, "<rally>")
        told = re.sub(r"userstory/\d+|US\d+", "#", told)  # numbers are the server's to give
        found: dict[str, dict[str, Any]] = json.loads(told)
        for item in self.rally.items():
            key = self._key(item)
            found[key] = {**found.get(key, {}), **self.rally.shown(item)}
        return found

    def _key(self, item: Thing) -> str:
        """The task whose name an item has."""
        task_id = item.name.partition(":")[0]
        known = task_id in {task["task_id"] for task in self.tasks()}
        return f"{self.platform.project_id}-{task_id}/item" if known else f"?{item.name}"

    def edit(self, key: str) -> None:
        """Let somebody rename the item, or change the task's status if it has none."""
        found = [item for item in self.rally.items() if self._key(item) == key]
        for item in found:
            self.rally.things.change(item, Name=f"{item.name}, please", ScheduleState="In-Progress")
        if not found:
            super().edit(key)

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What can be wrong with Rally."""
        rally, faults = self.rally, self.rally.simulator.faults
        return {
            "the password is another": lambda: setattr(rally.user, "password", "changed it"),
            "maintenance": lambda: faults.plant(Fault.MAINTENANCE, times=1000),
            "rows are missing": self.cut_source,
            "the project is closed": lambda: rally.things.change(rally.project, State="Closed"),
            "the workspace is closed": lambda: rally.things.change(rally.workspace, State="Closed"),
        }


class TestRally(Promises):
    """What the kit promises, of this connector."""

    arena = RallyArena
    every = 8


class TestRallyFarAway(Promises):
    """The same for a project on a remote server."""

    arena = RallyArena
    world = RemoteWorld
    every = 20
