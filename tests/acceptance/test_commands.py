"""The commands beside a running daemon, as an operator uses both."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.servers.machine import REPORT, Machine, names_in
from tests.servers.waiting import PATIENCE

MakeConnection: TypeAlias = Callable[[dict[str, str], dict[str, str]], int]


@pytest.fixture
def folder_connection(lasting: Machine, tmp_path: Path) -> MakeConnection:
    """Give a function that makes a connection from a JSON source to a folder with files."""

    def make(source: dict[str, str], files: dict[str, str]) -> int:
        (tmp_path / "source.json").write_text(json.dumps(source), encoding="utf-8")
        (tmp_path / "folder").mkdir()
        for name, text in files.items():
            (tmp_path / "folder" / name).write_text(text, encoding="utf-8")
        with contextlib.closing(lasting.client()) as client:
            project = next(client.pages("projects/", name="Webshop"))
            made = client.post(
                "connections/alm/",
                {
                    "alias": "Folder",
                    "system": "acme_folder",
                    "project": project["id"],
                    "frequency": "manually",
                    "params": {"source": str(tmp_path / "source.json"), "folder": str(tmp_path / "folder")},
                },
            )
        return int(made["id"])

    return make


def test_status(lasting: Machine) -> None:
    """A running daemon says how it is and which schema its store has."""
    assert lasting.json("status")["schema"] == lasting.json("db", "status")["needed"]
    assert lasting.type("status").returncode == 0


def test_a_report_is_uploaded_and_its_changes_are_seen(lasting: Machine) -> None:
    """The user's first steps: upload a report, read the message, look at what it changed."""
    done = lasting.json("upload", REPORT, "--project", "Webshop", "--wait")
    assert (done["outcome"], done["system"]) == ("succeeded", "fortify_file_upload")
    assert done["message"]
    assert lasting.json("jobs", "show", done["id"]) == done
    assert done in lasting.json("jobs", "list")
    assert done in lasting.json("jobs", "list", "--connection", done["connection"], "--since", "1h")
    # The sample came with this very report: whichever import was first made the changes.
    first = min(job["id"] for job in lasting.json("jobs", "list") if job["outcome"] == "succeeded")
    made = lasting.json("jobs", "changes", first)
    assert {change["state"] for change in made} == {"done"}
    assert any(change["op"] == "fail" for change in made)
    assert str(made[0]["subject"]) in lasting.type("jobs", "changes", first).stdout
    assert done["message"] in lasting.type("jobs", "list").stdout


def test_a_bad_report_fails_with_a_sentence(lasting: Machine, tmp_path: Path) -> None:
    """What isn't XML is a failed job with a message, and exit code 1."""
    bad = tmp_path / "bad.xml"
    bad.write_text("<ReportDefinition><cut", encoding="utf-8")
    done = lasting.type("upload", bad, "--project", "Webshop", "--wait")
    assert done.returncode == 1
    assert "failed" in done.stdout
    failed = lasting.json("jobs", "list", "--failed")
    assert failed[0]["reason"] == "bad_input"
    assert {job["outcome"] for job in failed} == {"failed"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--project", "999999"], "project"),
        (["--project", "Webshop", "--system", "nonsense"], "system"),
        (["--project", "Nowhere"], "no project 'Nowhere'"),
    ],
)
def test_an_upload_that_is_refused(lasting: Machine, flags: list[str], said: str) -> None:
    """A refusal names the field, and no job comes of it."""
    done = lasting.type("upload", REPORT, *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_preview_then_run(lasting: Machine, folder_connection: MakeConnection, tmp_path: Path) -> None:
    """A preview shows what a run then does, and does nothing itself."""
    number = folder_connection({"a": "1", "b": "2"}, {"b": "old"})
    shown = lasting.json("connections", "preview", number)
    assert [(c["op"], c["subject"], c["state"]) for c in shown["changes"]] == [
        ("create", "a", "planned"),
        ("update", "b", "planned"),
    ]
    assert names_in(tmp_path / "folder") == ["b"]
    assert "text: old → 2" in lasting.type("connections", "preview", number).stdout
    done = lasting.json("connections", "run", number, "--wait")
    assert done["outcome"] == "succeeded"
    made = lasting.json("jobs", "changes", done["id"])
    assert [(c["op"], c["subject"], c["state"]) for c in made] == [
        ("create", "a", "done"),
        ("update", "b", "done"),
    ]
    assert not [job for job in lasting.json("jobs", "list") if job["preview"]]
    assert shown["job"]["id"] in [job["id"] for job in lasting.json("jobs", "list", "--previews")]


def test_run_for_one_subject(lasting: Machine, folder_connection: MakeConnection, tmp_path: Path) -> None:
    """``--only`` leaves all other subjects as they are."""
    number = folder_connection({"a": "1", "b": "2"}, {})
    assert lasting.type("connections", "run", number, "--wait", "--only", "b").returncode == 0
    assert names_in(tmp_path / "folder") == ["b"]


def test_a_ceiling_stops_and_an_approval_lets_through(
    lasting: Machine, folder_connection: MakeConnection, tmp_path: Path
) -> None:
    """Too much destruction ends with 3 in preview and run; an approved retry carries it out."""
    number = folder_connection({"a": "1"}, {f"file{i}": "x" for i in range(10)})
    assert lasting.type("connections", "preview", number).returncode == 3
    stopped = lasting.type("connections", "run", number, "--wait", "--json")
    assert stopped.returncode == 3
    job = json.loads(stopped.stdout)
    assert job["reason"] == "ceiling"
    assert len(names_in(tmp_path / "folder")) == 10
    again = lasting.json("jobs", "retry", job["id"], "--allow-destructive", 10)
    assert again["retry_of"] == job["id"]
    deadline = time.monotonic() + PATIENCE
    while lasting.json("jobs", "show", again["id"])["state"] != "finished":
        assert time.monotonic() < deadline
    assert names_in(tmp_path / "folder") == ["a"]


def test_a_run_is_taken_back(lasting: Machine, folder_connection: MakeConnection, tmp_path: Path) -> None:
    """A revert restores what was made, changed and deleted; what somebody changed since it names."""
    folder = tmp_path / "folder"
    number = folder_connection({"new": "1", "b": "2", "c": "3"}, {"b": "old", "c": "old", "gone": "was here"})
    done = lasting.json("connections", "run", number, "--wait")
    (folder / "c").write_text("somebody's", encoding="utf-8")
    shown = lasting.json("jobs", "revert", done["id"], "--preview")
    assert (shown["job"]["preview"], shown["job"]["revert_of"]) == (True, done["id"])
    assert (folder / "b").read_text(encoding="utf-8") == "2"
    back = lasting.json("jobs", "revert", done["id"], "--wait")
    assert back["outcome"] == "succeeded"
    assert {name: (folder / name).read_text(encoding="utf-8") for name in names_in(folder)} == {
        "b": "old",
        "c": "somebody's",
        "gone": "was here",
    }
    rows = {row["subject"]: row for row in lasting.json("jobs", "changes", back["id"])}
    assert {name: row["state"] for name, row in rows.items()} == {
        "new": "done",
        "b": "done",
        "c": "skipped",
        "gone": "done",
    }
    assert "changed" in rows["c"]["error"]
    refused = lasting.type("jobs", "revert", shown["job"]["id"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "preview" in refused.stderr


def test_a_connection_s_own_ceiling_holds(
    lasting: Machine, folder_connection: MakeConnection, tmp_path: Path
) -> None:
    """What a connection may destroy is its own limit where it sets one, and the message says so."""
    number = folder_connection({"a": "1"}, {"x": "1", "y": "2"})
    with contextlib.closing(lasting.client()) as client:
        own = {"safety": {"destructive_floor": 0, "max_destructive": 1}}
        client._send("PATCH", f"connections/alm/{number}/", json=own)
    assert lasting.json("connections", "show", number)["safety"] == own["safety"]
    stopped = lasting.type("connections", "run", number, "--wait")
    assert stopped.returncode == 3
    assert "the connection's max_destructive allows 1" in stopped.stdout
    assert names_in(tmp_path / "folder") == ["x", "y"]


def test_the_journal_of_all_jobs(lasting: Machine, folder_connection: MakeConnection, tmp_path: Path) -> None:
    """What happened to one thing is found whichever job did it, and exported whole."""
    number = folder_connection({"a": "1", "b": "1"}, {})
    job = lasting.json("connections", "run", number, "--wait")["id"]
    (tmp_path / "source.json").write_text(json.dumps({"a": "2", "b": "1"}), encoding="utf-8")
    lasting.json("connections", "run", number, "--wait")
    found = lasting.json("changes", "list", "--subject", "a", "--connection", number)
    assert [(row["op"], row["state"], row["alias"]) for row in found] == [
        ("update", "done", "Folder"),
        ("create", "done", "Folder"),
    ]
    assert [row["subject"] for row in lasting.json("changes", "list", "--job", job)] == ["b", "a"]
    assert lasting.json("changes", "list", "--connection", number, "--since", "1h")[0]["key"] == "a"
    wider = lasting.json("changes", "list", "--containing", "A", "--connection", number)
    assert [row["subject"] for row in wider] == ["a", "a"]
    nothing = lasting.type("changes", "list", "--subject", "the a")
    assert "--containing 'the a' looks wider" in nothing.stderr
    file = tmp_path / "journal.csv"
    assert lasting.type("changes", "export", "--connection", number, "--output", file).returncode == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == 4
    lines = lasting.type("changes", "export", "--format", "jsonl", "--connection", number).stdout.splitlines()
    assert [json.loads(line)["subject"] for line in lines] == ["a", "b", "a"]


def test_connections_are_shown(lasting: Machine, folder_connection: MakeConnection) -> None:
    """A connection is found by its number, whatever its kind."""
    number = folder_connection({}, {})
    assert number in [row["id"] for row in lasting.json("connections", "list")]
    shown = lasting.json("connections", "show", number)
    assert (shown["kind"], shown["system"], shown["frequency"]) == ("alm", "acme_folder", "manually")
    assert set(shown["params"]) >= {"source", "folder"}


def test_a_token_is_made_used_and_revoked(lasting: Machine, tmp_path: Path) -> None:
    """A token reaches the server over TCP from a file or the environment, until it is revoked."""
    url = f"http://{lasting.settings['RUNNER__SERVER__LISTEN']}"
    made = lasting.json("tokens", "create", "--user", "ada@example.org", "--admin", "--expires", "1d")
    (tmp_path / "token").write_text(made["token"] + "\n", encoding="utf-8")
    listed = {row["id"]: row for row in lasting.json("tokens", "list")}
    assert listed[made["id"]]["user"] == "ada@example.org"
    assert made["token"] not in json.dumps(listed)
    assert lasting.type("jobs", "list", "--url", url, RUNNER_TOKEN=made["token"]).returncode == 0
    reached = lasting.type("jobs", "list", "--url", url, "--token-file", tmp_path / "token")
    assert reached.returncode == 0
    assert lasting.type("tokens", "revoke", made["id"]).returncode == 0
    refused = lasting.type("jobs", "list", "--url", url, "--token-file", tmp_path / "token")
    assert refused.returncode == 77
    assert made["token"] not in refused.stderr


def test_a_token_may_not_do_more_than_its_scopes(lasting: Machine) -> None:
    """A token that may only read is told so, with 77."""
    url = f"http://{lasting.settings['RUNNER__SERVER__LISTEN']}"
    lasting.json("tokens", "create", "--user", "eve@example.org", "--admin")
    made = lasting.json("tokens", "create", "--user", "eve@example.org", "--scope", "read")
    done = lasting.type("upload", REPORT, "--project", "1", "--url", url, RUNNER_TOKEN=made["token"])
    assert done.returncode == 77
    assert "may not" in done.stderr


def test_what_isn_t_there(lasting: Machine) -> None:
    """Numbers that nothing has end with 1 and a sentence that names them."""
    for words in [
        *(("jobs", verb, 99999) for verb in ("show", "changes", "cancel", "retry")),
        *(("connections", verb, 99999) for verb in ("show", "run", "preview")),
        ("tokens", "revoke", 99999),
    ]:
        done = lasting.type(*words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert "99999" in done.stderr


def test_a_second_daemon_is_refused(lasting: Machine) -> None:
    """Two daemons never share a state directory."""
    done = lasting.type("run", RUNNER__SERVER__LISTEN="")
    assert done.returncode == 73
    assert str(lasting.state) in done.stderr
    assert "Traceback" not in done.stderr


def test_check_beside_a_daemon(lasting: Machine) -> None:
    """Checking doesn't disturb the daemon that runs."""
    done = lasting.type("check")
    assert done.returncode == 0, done.stdout
    assert "by a daemon" in done.stdout or "a daemon is running" in done.stdout
