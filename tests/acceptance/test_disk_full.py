"""A disk without space: nothing is lost, and everybody who looks can see it."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from tests.servers.gate import Gate
from tests.servers.lives import get
from tests.servers.machine import Machine
from tests.servers.waiting import until

FULL = 4096
"""Bytes to which every file of the daemon is held: no commit fits."""


def status(machine: Machine) -> Any:
    """What the daemon says of itself."""
    return machine.status()


def test_a_full_disk_stops_claims_and_loses_nothing(tmp_path: Path, plugins: Path) -> None:
    """Claims stop, /-/ready says why; the job that ran records its end as soon as it fits."""
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_door"]',
        },
    )
    lock = tmp_path / "lock"
    lock.write_text("opensesame")
    with machine.daemon("--sample") as process:
        client = machine.client()
        params = {"password": "opensesame", "lock": str(lock)}
        body = {"alias": "Door", "system": "acme_door", "params": params}
        connection = client.post("connections/ldap/", body)["id"]
        asked = {"connection": connection, "automatic": False, "ready": False}
        assert machine.type("connections", "run", connection, "--wait").returncode == 0

        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
        with pytest.raises(Exception, match="disk with the store is full"):
            client.post("jobs/ldap/", asked)
        until("that it isn't ready", lambda: get(machine, "/-/ready") == 503)
        told = status(machine)
        assert any("disk with the store is full" in reason for reason in told["not_ready"])
        assert get(machine, "/-/healthy") == 200

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        until("that it is ready again", lambda: get(machine, "/-/ready") == 200)
        assert machine.type("connections", "run", connection, "--wait").returncode == 0
        assert process.poll() is None


def test_a_job_that_ends_on_a_full_disk_keeps_its_result(tmp_path: Path, plugins: Path) -> None:
    """What was done over there is recorded when there is space again, and not done twice."""
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
        },
    )
    folder, source, ledger = tmp_path / "folder", tmp_path / "source.json", tmp_path / "ledger"
    folder.mkdir()
    source.write_text(json.dumps({"a.txt": "alpha", "b.txt": "beta"}))
    ledger.write_text("")
    gate = Gate(tmp_path / "gate")
    with machine.daemon("--sample") as process:
        client = machine.client()
        params = {"source": str(source), "folder": str(folder), "ledger": str(ledger)}
        params["gate"] = str(tmp_path / "gate")
        project = next(client.pages("projects/"))["id"]
        body = {"alias": "Folder", "system": "acme_folder", "project": project, "params": params}
        connection = client.post("connections/alm/", body)["id"]
        asked = {"connection": connection, "automatic": False, "ready": False}
        job = client.post("jobs/alm/", asked)["id"]
        gate.let_through(folder / "a.txt")
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
        gate.tear_down()
        until("that it isn't ready", lambda: get(machine, "/-/ready") == 503)
        assert not client.get(f"jobs/alm/{job}/")["ready"]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        until("the job's end", lambda: client.get(f"jobs/alm/{job}/")["ready"])
        shown = client.get(f"jobs/alm/{job}/")
        assert shown["succeeded"], shown["result_message"]
        until("that it is ready again", lambda: get(machine, "/-/ready") == 200)
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt"]
    assert len(ledger.read_text().splitlines()) == 2
