"""A Rally server for tests: one workspace, one project, and people at work in it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from runner.connectors.rally.text import owner_in
from simulators.rally.server import Simulator
from simulators.rally.things import Thing, Things, User

PASSWORD = 'open "sesame" é/+&all'
KEY = "_Zt0rKe4pIt5elf"
STORY = "HierarchicalRequirement"


class RallyServer:
    """A simulated Rally and what tests do with it."""

    def __init__(self, *, clock: Callable[[], datetime] | None = None, seed: int = 0) -> None:
        self.things = Things(clock=clock)
        self.workspace = self.things.add_workspace("Rally Workspace")
        self.project = self.things.add_project(self.workspace, "Rally Project")
        self.elsewhere = self.things.add_project(self.workspace, "Other Project")
        self.tag = self.things.add("Tag", Name="SD-Elements", Workspace=self.workspace.oid)
        self.user = User(name="rally_user", password=PASSWORD, keys={KEY: True})
        self.things.add_user(self.user, workspace=self.workspace, project=self.project)
        self.simulator = Simulator(self.things, seed=seed).start()
        self.simulator.drip_seconds = 0.0001

    def close(self) -> None:
        """Stop the server."""
        self.simulator.close()

    def params(self, **more: Any) -> dict[str, Any]:
        """The seeds' connection, pointed here."""
        return {
            "alm_server": f"127.0.0.1:{self.simulator.port}",
            "alm_method": "http",
            "alm_auth_mode": "basic",
            "alm_user": "rally_user",
            "alm_pass": PASSWORD,
            "rally_workspace": "Rally Workspace",
            "alm_project": "Rally Project",
            "alm_title_format": "$task_id $title",
            "alm_phases": "requirements,architecture-design,development",
            "sde_statuses_in_scope": "TODO",
            "sde_min_priority": 4,
            "conflict_policy": "alm",
            **more,
        }

    def add(self, name: str, *, state: str = "Defined", tagged: bool = True, **values: Any) -> Thing:
        """Somebody makes a story by hand."""
        return self.things.add(
            STORY,
            **{
                "Name": name,
                "ScheduleState": state,
                "Project": self.project.oid,
                "Workspace": self.workspace.oid,
                "Tags": [self.tag.oid] if tagged else [],
                **values,
            },
        )

    def items(self) -> list[Thing]:
        """All items, the oldest first."""
        return list(self.things.items())

    def one(self, start: str) -> Thing:
        """The one item whose name begins so."""
        (found,) = [item for item in self.items() if item.name.startswith(start)]
        return found

    def by_key(self) -> dict[str, Thing]:
        """Items by the task they say they belong to, else by their name's beginning."""
        found: dict[str, Thing] = {}
        for item in self.items():
            owner = owner_in(str(item.values.get("Description") or ""))
            key = f"?{item.name}" if owner is None else owner.split(" of ")[0]
            assert key not in found, f"{key} has two items"
            found[key] = item
        return found

    def shown(self, item: Thing) -> Mapping[str, Any]:
        """What people see of an item, without what the server gives by itself."""
        tags = [self.things.find("Tag", oid) for oid in item.values.get("Tags") or []]
        return {
            "item": item.name,
            "state": item.values.get("ScheduleState") or item.values.get("State"),
            "html": item.values.get("Description") or "",
            "tags": sorted(tag.name for tag in tags if tag is not None),
        }
