"""The boundary between plan and writing: incomplete reads, ceilings, approvals, previews."""

import contextlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.servers.machine import Machine, names_in
from tests.servers.waiting import until


class Bench:
    """One connection, from a source to a folder, with a daemon that runs it."""

    def __init__(self, machine: Machine, place: Path) -> None:
        self.machine = machine
        self.folder = place / "folder"
        self._place = place
        self.folder.mkdir()

    def connect(self, source: Mapping[str, str], **params: Any) -> int:
        """Make a connection; its number."""
        self.say(source)
        params |= {"source": str(self._place / "source"), "folder": str(self.folder)}
        with contextlib.closing(self.machine.client()) as client:
            project = next(client.pages("projects/", name="Webshop"))["id"]
            body = {"alias": "Folder", "system": "acme_folder", "project": project, "params": params}
            return int(client.post("connections/alm/", body)["id"])

    def say(self, source: Mapping[str, str]) -> None:
        """Let the source say something else."""
        (self._place / "source").write_text(json.dumps(source), encoding="utf-8")

    def put(self, *names: str) -> None:
        """Let there be files that no source knows."""
        for name in names:
            (self.folder / name).write_text("old", encoding="utf-8")

    def run(self, connection: int) -> tuple[int, dict[str, Any]]:
        """Run the connection to its end; the exit code and the job."""
        done = self.machine.type("connections", "run", connection, "--wait", "--json")
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def bench(lasting: Machine, tmp_path: Path) -> Bench:
    """Give a bench beside the daemon that lasts."""
    return Bench(lasting, tmp_path)


def test_an_incomplete_read_changes_nothing(bench: Bench) -> None:
    """From a source that lacks records nothing is concluded: the run fails and says how much was there."""
    bench.put("kept", "old")
    connection = bench.connect({"new": "text", "kept": "other"}, expected=3)
    code, job = bench.run(connection)
    assert (code, job["outcome"], job["reason"]) == (1, "failed", "incomplete_read")
    assert "2 of 3 records were there. Nothing was written" in job["message"]
    assert names_in(bench.folder) == ["kept", "old"]
    assert (bench.folder / "kept").read_text(encoding="utf-8") == "old"
    bench.say({"new": "text", "kept": "other", "third": "text"})
    assert bench.run(connection)[0] == 0
    assert names_in(bench.folder) == ["kept", "new", "third"]


def test_an_approval_is_for_one_run(bench: Bench) -> None:
    """Above a ceiling nothing is written; the command in the message lets one run through, and no other."""
    bench.put(*(f"old{number}" for number in range(10)))
    connection = bench.connect({"new": "text"})
    code, job = bench.run(connection)
    assert (code, job["outcome"], job["reason"]) == (3, "failed", "ceiling")
    assert "10 deleted: 10 of 10 (source)" in job["message"]
    assert len(names_in(bench.folder)) == 10
    command = re.search(r"`runner (jobs retry .*?)`", job["message"])
    assert command
    again = bench.machine.json(*shlex.split(command[1]))["id"]
    with contextlib.closing(bench.machine.client()) as client:
        until("the retry is finished", lambda: client.get(f"jobs/alm/{again}/")["ready"])
        assert client.get(f"jobs/alm/{again}/")["succeeded"]
    assert names_in(bench.folder) == ["new"]
    bench.put(*(f"more{number}" for number in range(6)))
    code, job = bench.run(connection)
    assert (code, job["reason"]) == (3, "ceiling")
    assert len(names_in(bench.folder)) == 7


def test_an_approval_that_is_too_small_lets_nothing_through(bench: Bench) -> None:
    """A run that would destroy more than was approved stops before its first write too."""
    bench.put(*(f"old{number}" for number in range(10)))
    connection = bench.connect({"new": "text"})
    _, job = bench.run(connection)
    small = bench.machine.json("jobs", "retry", job["id"], "--allow-destructive", 9)["id"]
    with contextlib.closing(bench.machine.client()) as client:
        until("the retry is finished", lambda: client.get(f"jobs/alm/{small}/")["ready"])
    assert bench.machine.json("jobs", "show", small)["reason"] == "ceiling"
    assert len(names_in(bench.folder)) == 10


def test_a_preview_is_the_run(bench: Bench) -> None:
    """A preview shows exactly the changes, in the order, that the run then makes."""
    bench.put("kept", "gone1", "gone2")
    connection = bench.connect({"new1": "text", "kept": "other", "new2": "text"})
    shown = bench.machine.json("connections", "preview", connection)["changes"]
    assert names_in(bench.folder) == ["gone1", "gone2", "kept"]
    code, job = bench.run(connection)
    assert code == 0
    made = bench.machine.json("jobs", "changes", job["id"])
    assert [change["op"] for change in made] == ["create", "update", "create", "delete", "delete"]
    assert made == [{**change, "state": "done"} for change in shown]
