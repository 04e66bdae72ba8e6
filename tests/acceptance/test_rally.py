"""The connection of the API's own pages, pointed at a Rally server, as a user would set it up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.machine import Machine
from tests.servers.rally import RallyServer
from tests.servers.waiting import until

SEED = {
    "sde_project": "Webshop",
    "sde_verification_filter": "none,partial,pass,fail",
    "sde_businessunit": "General",
    "sde_application": "Customer Portal",
    "sde_min_priority": 7,
}


class Office:
    """A daemon with the sample project, and a Rally server."""

    def __init__(self, machine: Machine, rally: RallyServer) -> None:
        self.rally = rally
        self.machine = machine

    def send(self, method: str, path: str, **body: Any) -> Any:
        """Ask the daemon's API."""
        client = self.machine.client()
        try:
            return client._send(method, path.lstrip("/"), json=body or None)
        finally:
            client.close()

    def connect(self, **more: Any) -> int:
        """Make the connection; its number."""
        params = {**self.rally.params(), **SEED}
        made = self.send(
            "POST", "/connections/alm/", alias="Webshop", system="Rally", project=1, params=params, **more
        )
        return int(made["id"])

    def ready(self, job: int) -> dict[str, Any]:
        """A job at its end."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.send("GET", f"/jobs/alm/{job}/")
            return found if found["ready"] else None

        found = until(f"job {job} is ready", look)
        assert found is not None
        return found

    def agreed(self) -> int:
        """How many tasks have items; an error if one of the pairs disagrees."""
        items = {item.name.partition(":")[0]: item for item in self.rally.items()}
        tasks = self.send("GET", "/projects/1/tasks/")["results"]
        wanted = [task for task in tasks if task["task_id"] in items]
        assert len(wanted) == len(items)
        for task in wanted:
            done = items[task["task_id"]].values["ScheduleState"] in ("Completed", "Accepted")
            assert done is (task["status"] != "TS2"), task["task_id"]
        return len(wanted)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Give a state directory of its own with the sample in it, and a Rally server."""
    rally = RallyServer()
    yield Office(Machine(tmp_path / "state", {"RUNNER__SERVER__LISTEN": ""}), rally)
    rally.close()


def test_a_posted_job_brings_both_sides_into_step(office: Office) -> None:
    """The documented connection runs by POST, both sides agree, and a second run plans nothing."""
    with office.machine.daemon("--sample"):
        connection = office.connect()
        asked = {"connection": connection, "automatic": False, "ready": False}
        done = office.ready(office.send("POST", "/jobs/alm/", **asked)["id"])
        assert done["succeeded"], done["result_message"]
        assert done["connection"]["system"] == "Rally"
        assert done["connection"]["command"] == "sync_rally"
        number = office.agreed()
        assert f"{number} items created" in done["result_message"]
        first = office.rally.items()[0]
        office.rally.things.change(first, ScheduleState="Accepted")
        done = office.ready(office.send("POST", "/jobs/alm/", **asked)["id"])
        assert "1 task updated" in done["result_message"]
        assert office.agreed() == number
        again = office.ready(office.send("POST", "/jobs/alm/", **asked)["id"])
        assert again["result_message"].startswith("Nothing to change.")
        shown = office.send("GET", f"/connections/alm/{connection}/")
        assert shown["params"]["alm_pass"] == "********"


def test_a_due_connection_brings_both_sides_into_step(office: Office) -> None:
    """A connection with a frequency runs by itself, as an automatic job."""
    with office.machine.daemon("--sample"):
        connection = office.connect(frequency="hourly")
        path = f"/connections/alm/{connection}/"
        until("it has a slot", lambda: office.send("GET", path)["next_run"])
    office.machine.miss_a_slot()
    with office.machine.daemon():

        def look() -> list[dict[str, Any]]:
            found = office.send("GET", f"/jobs/alm/?connection={connection}")["results"]
            return [job for job in found if job["ready"]]

        (job,) = until("its slot has come round", look)
        assert job["automatic"]
        assert job["succeeded"], job["result_message"]
        assert office.agreed() > 0
