"""A connector that tells its password everywhere: nobody else ever reads it."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.model.changes import ChangeState
from tests.servers.machine import Machine

PASSWORD = 'Sommer/2024"geheim+ähm'
LINE = "second-line-of-it"
SECRET = f"{PASSWORD}\n{LINE}"
PARTS = ("geheim", "second-line")
"""What is looked for: parts that stand in every spelling of the two lines but base64."""


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[Machine]:
    """Give a machine on which the connector ran once for each way to end."""
    machine = Machine(
        tmp_path_factory.mktemp("leaky") / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__LOG__LEVEL": "debug",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_leaky"]',
        },
    )
    with machine.daemon("--sample"):
        with contextlib.closing(machine.client()) as client:
            project = next(client.pages("projects/", name="Webshop"))["id"]
            for end in ("", "error", "defect"):
                client.post(
                    "connections/alm/",
                    {
                        "alias": f"Leaky {end}",
                        "system": "acme_leaky",
                        "project": project,
                        "params": {"password": SECRET, "end": end},
                    },
                )
        for connection in machine.json("connections", "list"):
            if connection["system"] == "acme_leaky":
                machine.type("connections", "preview", connection["id"])
                machine.type("connections", "run", connection["id"], "--wait")
        yield machine


def found_in(text: str) -> list[str]:
    """Which parts of the secret stand in a text."""
    return [part for part in PARTS if part in text]


def job_ids(machine: Machine) -> list[int]:
    """The connector's jobs."""
    return [job["id"] for job in machine.json("jobs", "list", "--previews") if job["system"] == "acme_leaky"]


def test_the_runs_are_journaled(leaky: Machine) -> None:
    """There is something to look at: what could be told was told, with a mask for the secret."""
    [job] = [j for j in leaky.json("jobs", "list") if j["alias"] == "Leaky "]
    rows = leaky.json("jobs", "changes", job["id"])
    assert [row["subject"] for row in rows] == ["note ********", "subject ********", "value", "key"]
    assert rows[0]["why"] == "because ********"
    assert (rows[0]["state"], rows[0]["after"]) == ("done", {"text": "noted ********"})
    assert (rows[1]["state"], rows[1]["error"]) == ("failed", "refused ********")
    assert "Said ********." in job["message"]
    assert "counted ********" in job["totals"]


def test_what_would_be_sent_with_a_mask_is_left_alone(leaky: Machine) -> None:
    """No mask is ever written to the outside for a secret: such a change isn't made, and says why."""
    [job] = [j for j in leaky.json("jobs", "list") if j["alias"] == "Leaky "]
    for row in leaky.json("jobs", "changes", job["id"])[2:]:
        assert row["state"] == ChangeState.SKIPPED
        assert "holds a secret" in row["error"]


def test_it_is_nowhere_in_the_store(leaky: Machine) -> None:
    """Every column of every table is without it, the connection's own parameters among them: sealed."""
    with contextlib.closing(sqlite3.connect(f"file:{leaky.state / 'runner.db'}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608 - our own names
    assert len(rows["changes"]) > 12
    assert [table for table, found in rows.items() if found_in(json.dumps(found, ensure_ascii=False))] == []


def test_it_is_nowhere_in_the_api(leaky: Machine) -> None:
    """Jobs, changes and connections show a mask at the most."""
    more = "progress,totals,reason,outcome,preview"
    with contextlib.closing(leaky.client()) as client:
        shown = [
            list(client.pages("jobs/", include=more)),
            list(client.pages("changes/", include="preview")),
            list(client.pages("connections/")),
            client.get("status/"),
            *(list(client.pages(f"jobs/alm/{job}/changes/")) for job in job_ids(leaky)),
        ]
    assert len(shown[1]) > 12
    assert found_in(json.dumps(shown, ensure_ascii=False)) == []


def test_it_is_nowhere_in_what_commands_print(leaky: Machine) -> None:
    """Tables, JSON and exports are without it."""
    lines: list[tuple[object, ...]] = [
        ("jobs", "list", "--previews"),
        ("changes", "list"),
        ("connections", "list"),
        ("status",),
    ]
    lines += [("changes", "export", "--format", name) for name in ("csv", "jsonl")]
    lines += [("jobs", verb, job) for verb in ("show", "changes") for job in job_ids(leaky)]
    for words in lines:
        done = leaky.type(*words)
        assert done.returncode == 0, done.stderr
        assert found_in(done.stdout + done.stderr) == [], words


def test_it_is_nowhere_in_the_log(leaky: Machine) -> None:
    """The daemon's log has the connector's lines, errors and tracebacks, and not the secret."""
    log = leaky.state.with_name("daemon.log").read_text(encoding="utf-8")
    assert "connector_logged" in log
    assert "logged ********" in log
    assert "ValueError" in log
    assert found_in(log) == []
