"""Fortify's files through the installed command: real ones, a mapping of one's own, and a watch folder."""

import contextlib
import csv
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.cli.client import Client
from simulators.ssc.server import TOKEN
from simulators.ssc.server import sample as sample_center
from tests.files.fortify import Issue, write_fpr
from tests.servers.machine import Machine, free_port
from tests.servers.waiting import until

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "fortify"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine with the sample project and a daemon."""
    port = free_port()
    machine = Machine(
        tmp_path_factory.mktemp("fortify") / "state", {"RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}"}
    )
    with machine.daemon("--sample"):
        yield machine


def sample(name: str) -> Path:
    """A real file, kept beside the checkout."""
    for folder in (os.environ.get("RUNNER_TEST_SAMPLES"), SAMPLES.parent):
        if folder is not None and (file := Path(folder) / "fortify" / name).is_file():
            return file
    pytest.skip(f"{name} isn't beside the checkout, and RUNNER_TEST_SAMPLES names no folder with it")


@pytest.mark.parametrize(
    ("name", "said", "totals"),
    [
        ("hello_world.fpr", "has 3 findings; 1 left out", {"findings": 3, "suppressed": 1}),
        ("OneResultBasic.fpr", "has 1 finding.", {"findings": 1, "suppressed": 0}),
        ("TwoResultsWithNodeRefs.fvdl", "has 2 findings.", {"findings": 2, "suppressed": 0}),
        ("fortify_few_findings.xml", "It lists 2 of 8 issues.", {"findings": 2, "suppressed": 0}),
    ],
)
def test_real_files(machine: Machine, name: str, said: str, totals: dict[str, int]) -> None:
    """Real files of each form, uploaded, give the counts that are known of them."""
    job = machine.json("upload", sample(name), "--project", "Webshop", "--wait")
    assert said in job["message"]
    assert {key: job["totals"][key] for key in totals} == totals


def test_what_matches_nothing_can_be_mapped(machine: Machine, tmp_path: Path) -> None:
    """What no task answers to comes as CSV, is filled in, put in place, and decides the next import."""
    issue = Issue(type="Quantum Leakage", subtype="Entangled", cwes=(), path="src/Q.java")
    file = write_fpr(tmp_path / "scan.fpr", lambda: [issue])
    first = machine.json("upload", file, "--project", "Webshop", "--wait")
    done = machine.type("jobs", "findings", first["id"], "--unmapped", "--csv")
    header, row = csv.reader(done.stdout.splitlines())
    assert row[:1] + row[2:3] == ["", "Quantum Leakage: Entangled"]
    base = f"http://{machine.settings['RUNNER__SERVER__LISTEN']}/api/v2"
    token = (machine.state / "admin-token").read_text(encoding="utf-8").strip()
    answer = requests.put(
        f"{base}/connections/analysis/{first['connection']}/mapping/",
        data=f"{','.join(header)}\r\nT4,,{row[2]},,high\r\n",
        headers={"Authorization": f"Token {token}", "Content-Type": "text/csv"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    second = machine.json("upload", file, "--project", "Webshop", "--wait")
    (found,) = machine.json("jobs", "findings", second["id"])
    assert (found["via"], found["mapped"], found["tasks"]) == ("rule", True, ["T4"])


def test_a_watch_folder(machine: Machine, tmp_path: Path) -> None:
    """A connection's run imports the file that waits in its folder and files it; a bad one fails its run."""
    for place in ("done", "failed"):
        (tmp_path / place).mkdir()
    write_fpr(tmp_path / "scan.fpr", lambda: [Issue()])
    (tmp_path / "worse.xml").write_bytes(b"<FVDL>")
    os.utime(tmp_path / "scan.fpr", (1, 1))
    os.utime(tmp_path / "worse.xml", (2, 2))
    with contextlib.closing(machine.client()) as client:
        project = next(client.pages("projects/", name="Webshop"))["id"]
        connection = client.post(
            "connections/analysis/",
            {
                "alias": "Builds",
                "system": "fortify_folder",
                "project": project,
                "frequency": "hourly",
                "params": {"folder": str(tmp_path)},
            },
        )
    job = machine.json("connections", "run", connection["id"], "--wait")
    assert "has 1 finding" in job["message"]
    assert [path.name for path in (tmp_path / "done").iterdir()] == ["scan.fpr"]
    failed = machine.type("connections", "run", connection["id"], "--wait")
    assert failed.returncode == 1
    assert "worse.xml is cut off" in failed.stdout + failed.stderr
    assert [path.name for path in (tmp_path / "failed").iterdir()] == ["worse.xml"]
    assert "No file waits" in machine.json("connections", "run", connection["id"], "--wait")["message"]


def test_a_folder_and_a_center_are_read_when_they_are_due(tmp_path: Path) -> None:
    """A watch folder and a Fortify SSC with a frequency are imported by themselves, as automatic jobs."""
    machine = Machine(tmp_path / "state", {"RUNNER__SERVER__LISTEN": ""})
    for place in ("drop", "drop/done", "drop/failed"):
        (tmp_path / place).mkdir()
    center = sample_center().start()
    version = center.versions[0]
    wanted = {
        "fortify_folder": {"folder": str(tmp_path / "drop")},
        "fortify_ssc": {
            "ssc_server": center.address,
            "ssc_method": "http",
            "ssc_authtoken": TOKEN,
            "ssc_project_name": version.project,
            "ssc_project_version": version.name,
        },
    }
    with machine.daemon("--sample"), contextlib.closing(machine.client()) as client:
        project = next(client.pages("projects/", name="Webshop"))["id"]
        made = {}
        for system, params in wanted.items():
            asked = {"alias": system, "system": system, "project": project, "frequency": "hourly"}
            made[system] = client.post("connections/analysis/", {**asked, "params": params})["id"]
        for number in made.values():
            until("it has a slot", partial(_slot, client, number))
    write_fpr(tmp_path / "drop" / "scan.fpr", lambda: [Issue()])
    os.utime(tmp_path / "drop" / "scan.fpr", (1, 1))
    machine.miss_a_slot()
    with machine.daemon(), contextlib.closing(machine.client()) as client:
        told = {}
        for system, number in made.items():
            (job,) = until("its slot has come round", partial(_ready, client, number))
            assert job["automatic"]
            assert job["succeeded"], job["result_message"]
            told[system] = job["result_message"]
    center.stop()
    assert "has 1 finding" in told["fortify_folder"]
    assert f"{version.project} {version.name} has" in told["fortify_ssc"]


def _slot(client: Client, connection: int) -> object:
    """When a connection is due."""
    return client.get(f"connections/analysis/{connection}/")["next_run"]


def _ready(client: Client, connection: int) -> list[dict[str, Any]]:
    """A connection's jobs that are through."""
    return [job for job in client.get(f"jobs/analysis/?connection={connection}")["results"] if job["ready"]]
