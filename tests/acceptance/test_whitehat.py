"""WhiteHat beside Fortify, as an operator sees it: a connection, its jobs, and the tasks of both."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.cli.client import Client
from simulators.whitehat.estate import KEY, SAMPLE, Estate
from simulators.whitehat.server import Sentinel
from tests.servers.machine import ROOT, Machine
from tests.servers.waiting import PATIENCE, until

SEED = {
    "asset_name": "WebGoat Java",
    "sde_project": "WhiteHat",
    "sde_businessunit": "General",
    "sde_application": "Demo Application",
    "import_behaviour": "replace-scanner",
    "task_status_mapping": "{}",
}
"""The connection's params as the API's pages print them, without server and key."""


class Desk:
    """An operator's view of a daemon with the sample project, whose Fortify report is imported."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.project = next(client.pages("projects/", name="Webshop"))["id"]

    def connect(self, **params: Any) -> dict[str, Any]:
        """Make a connection; it as the API shows it."""
        made: dict[str, Any] = self._client.post(
            "connections/analysis/",
            {
                "alias": "WhiteHat",
                "system": "whitehat",
                "project": self.project,
                "params": {**SEED, **params},
            },
        )
        return made

    def run(self, connection: int) -> dict[str, Any]:
        """Start a job as the API's pages do; it once it is ready."""
        asked = {"connection": connection, "automatic": False, "ready": False}
        return self.finished(self._client.post("jobs/analysis/", asked)["id"])

    def finished(self, job: int) -> dict[str, Any]:
        """A job once it is ready."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self._client.get(f"jobs/analysis/{job}/")
            return found if found["ready"] else None

        found = until(f"job {job} is ready", look)
        assert found is not None
        return found

    def verifications(self) -> dict[str, str]:
        """The tasks' verification by task."""
        tasks = self._client.pages(f"projects/{self.project}/tasks/")
        return {task["task_id"]: task["verification_status"] for task in tasks}

    def notes(self, task: str) -> list[dict[str, Any]]:
        """A task's analysis notes by WhiteHat."""
        path = f"projects/{self.project}/tasks/{self.project}-{task}/analysis-notes/"
        return [note for note in self._client.pages(path) if note["analysis_type"]["slug"] == "whitehat"]


@pytest.fixture
def desk(machine: Machine) -> Iterator[Desk]:
    """A daemon with the sample project."""
    with machine.daemon("--sample"), contextlib.closing(machine.client()) as client:
        made = Desk(client)
        assert made.finished(1)["succeeded"]
        yield made


@pytest.fixture
def sentinel() -> Iterator[Sentinel]:
    """The imitation with its sample findings."""
    server = Sentinel(Estate.read(SAMPLE)).start()
    yield server
    server.stop()


def test_a_connection_as_the_api_prints_it_runs(desk: Desk, sentinel: Sentinel) -> None:
    """The connection of the API's pages sets tasks by what is found, beside what Fortify says of them."""
    params = {"analysis_server": sentinel.address, "analysis_method": "http", "analysis_api_token": KEY}
    shown = desk.connect(**params, asset_type="site")
    assert shown["params"]["analysis_api_token"] == "********"
    before = desk.verifications()
    done = desk.run(shown["id"])
    assert done["succeeded"] is True, done["result_message"]
    assert done["connection"]["system"] == "Whitehat"
    assert done["connection"]["command"] == "sync_whitehat"
    assert "The WhiteHat site WebGoat Java has 4 findings." in done["result_message"]
    assert KEY not in str(done)
    found = desk.verifications()
    [sql] = [task for task in found if any("SQL Injection" in str(n["findings"]) for n in desk.notes(task))]
    assert found[sql] == "fail"
    [note] = desk.notes(sql)
    assert note["status"] == "fail"
    assert note["behaviour"] == "replace-scanner"
    # Neither scanner's silence covers what the other found.
    assert {task for task, status in before.items() if status == "fail"} <= {
        task for task, status in found.items() if status == "fail"
    }

    # Over there it is repaired. Nothing changes here until a scan has seen that.
    with sentinel.estate.lock:
        sentinel.estate.findings[:] = [one for one in sentinel.estate.findings if one["id"] != "52440001"]
    assert desk.run(shown["id"])["succeeded"] is True
    assert [n["status"] for n in desk.notes(sql)] == ["fail"]
    with sentinel.estate.lock:
        sentinel.estate.assets[0].scans.append(1_768_100_000)
    done = desk.run(shown["id"])
    assert done["succeeded"] is True
    newest = max(desk.notes(sql), key=lambda one: one["id"])
    assert newest["status"] == "pass"
    expected = "fail" if before[sql] == "fail" else "pass"
    assert desk.verifications()[sql] == expected
    assert sentinel.keys_in_urls == 0


def test_what_is_wrong_over_there_is_said(desk: Desk, sentinel: Sentinel) -> None:
    """A name that two assets have, and a key that is refused, end the job with what to do."""
    server = {"analysis_server": sentinel.address, "analysis_method": "http"}
    made = desk.connect(**server, analysis_api_token=KEY)
    done = desk.run(made["id"])
    assert done["succeeded"] is False
    assert "Set asset_id, or asset_type" in done["result_message"]
    made = desk.connect(**server, analysis_api_token="f" * 32)
    done = desk.run(made["id"])
    assert done["succeeded"] is False
    assert "Give its account the right, or use another one" in done["result_message"]
    assert "f" * 32 not in done["result_message"]


def test_the_simulator_starts_by_its_command(tmp_path: Path) -> None:
    """``python -m simulators.whitehat`` says where it is and answers there."""
    command = [sys.executable, "-m", "simulators.whitehat", "--listen", "127.0.0.1:0"]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            url = line.split(" at ")[1].split(",")[0]
            answer = requests.get(f"{url}/whoami", headers={"Key": KEY}, timeout=PATIENCE)
            assert answer.json()["username"] == "importer@example.com"
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
