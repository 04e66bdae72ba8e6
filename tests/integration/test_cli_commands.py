"""The commands against a real HTTP server on a real Unix socket, with canned answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.servers.canned_answers import CHANGE, CHANGE_PRINTED, CONNECTION, FAILED, STATUS, WAITING, job
from tests.servers.canned_api import CannedApi, Type


def test_jobs_list_as_json_has_the_documented_fields(api: CannedApi, type_line: Type) -> None:
    """Each row of ``--json`` has all fields, the connection's among them, in one level."""
    api.listing("jobs/", [job(7)])
    code, out, _ = type_line("jobs list --json")
    assert code == 0
    assert json.loads(out) == [
        {
            "id": 7,
            "kind": "analysis",
            "connection": 10,
            "alias": "Reports of Webshop",
            "system": "fortify_file_upload",
            "project": 1,
            "state": "finished",
            "outcome": "succeeded",
            "reason": None,
            "message": "3 tasks set to fail.",
            "automatic": False,
            "preview": False,
            "attempt": 1,
            "retry_of": None,
            "revert_of": None,
            "user": "service@example.org",
            "triggered_by": "",
            "allowed_by": None,
            "totals": {"findings": 4},
            "progress": "",
            "created": "2026-03-30T08:00:00.000000Z",
            "started": "2026-03-30T08:00:01.000000Z",
            "finished": "2026-03-30T08:00:02.000000Z",
        }
    ]


def test_jobs_list_follows_pages(api: CannedApi, type_line: Type) -> None:
    """A listing goes on to the next page, at the same server whatever its address says."""
    api.answer("GET", "jobs/", {"results": [job(2)], "next": "https://other.example/api/v2/jobs/?cursor=2"})
    api.answer("GET", "jobs/", {"results": [job(1)], "next": None})
    _, out, _ = type_line("jobs list --json")
    assert [row["id"] for row in json.loads(out)] == [2, 1]
    assert api.asked[1].query == {"cursor": "2"}


def test_jobs_list_filters(api: CannedApi, type_line: Type) -> None:
    """Filters go to the server; what was cancelled isn't failed; older ones end the reading."""
    api.listing(
        "jobs/",
        [
            job(4, **FAILED),
            job(3, succeeded=False, outcome="cancelled"),
            job(2, **FAILED, created="2026-03-01T00:00:00Z"),
        ],
    )
    _, out, _ = type_line("jobs list --failed --connection 10 --since 2026-03-30T00:00Z --json")
    assert [row["id"] for row in json.loads(out)] == [4]
    query = api.asked[0].query
    assert (query["connection"], query["succeeded"], query["ready"]) == ("10", "false", "true")


def test_a_cut_table_says_so(api: CannedApi, type_line: Type) -> None:
    """Nothing is left out silently."""
    api.listing("jobs/", [job(number) for number in range(60, 0, -1)])
    code, out, err = type_line("jobs list")
    assert code == 0
    assert len(out.splitlines()) == 51
    assert "--limit" in err


def test_jobs_show(api: CannedApi, type_line: Type) -> None:
    """One job is asked for with its details and shown whole."""
    api.answer("GET", "jobs/analysis/7/", job())
    code, out, _ = type_line("jobs show 7")
    assert code == 0
    assert "3 tasks set to fail." in out
    assert "findings 4" in out
    assert {"state", "reason", "preview"} <= set(api.asked[-1].query["include"].split(","))


def test_an_absent_job_is_named(api: CannedApi, type_line: Type) -> None:
    """A number that doesn't exist is answered with a sentence, not with the API's two words."""
    assert type_line("jobs show 99") == (1, "", "runner: There is no job 99.\n")


def test_jobs_changes(api: CannedApi, type_line: Type) -> None:
    """The journal shows operation, subject, what differs, and marks what is destructive."""
    api.answer("GET", "jobs/analysis/7/", job())
    api.listing("jobs/analysis/7/changes/", [CHANGE])
    _, out, _ = type_line("jobs changes 7")
    assert "pass (destructive)" in out
    assert "verification_status: fail → pass" in out
    _, out, _ = type_line("jobs changes 7 --json")
    assert json.loads(out) == [CHANGE_PRINTED]


FINDING = {
    "category": "GraphQL: Introspection",
    "cwes": [200],
    "severity": "High",
    "number": 3,
    "via": "nothing",
    "mapped": False,
    "tasks": [],
    "examples": ["a.js:1"],
}


def test_jobs_findings(api: CannedApi, type_line: Type) -> None:
    """What an import found is a table, JSON, or rows of a mapping to be filled in."""
    api.answer("GET", "jobs/analysis/7/", job())
    api.listing("jobs/analysis/7/findings/", [{"id": 1, **FINDING}])
    assert "GraphQL: Introspection" in type_line("jobs findings 7")[1]
    assert json.loads(type_line("jobs findings 7 --json")[1]) == [FINDING]
    _, out, _ = type_line("jobs findings 7 --unmapped --csv")
    assert api.of("GET")[-1].query["mapped"] == "false"
    assert out.splitlines() == [
        "Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence",
        ",,GraphQL: Introspection,GraphQL: Introspection (CWE-200),",
    ]
    assert type_line("jobs findings 7 --csv --json")[0] == 2


@pytest.mark.parametrize(("state", "said"), [("running", "is told to stop"), ("pending", "is cancelled")])
def test_jobs_cancel(api: CannedApi, type_line: Type, state: str, said: str) -> None:
    """Cancelling says whether the job has ended or will."""
    api.answer("GET", "jobs/analysis/7/", job(state=state, outcome=None))
    api.answer("POST", "jobs/analysis/7/cancel/", {})
    code, out, _ = type_line("jobs cancel 7")
    assert code == 0
    assert said in out


def test_jobs_retry_with_an_approval(api: CannedApi, type_line: Type) -> None:
    """The approved number travels with the retry."""
    api.answer("GET", "jobs/analysis/7/", job(**FAILED))
    api.answer("POST", "jobs/analysis/7/retry/", {"id": 8}, status=201)
    api.answer("GET", "jobs/analysis/8/", job(8, **WAITING, retry_of=7))
    code, out, _ = type_line("jobs retry 7 --allow-destructive 40")
    assert code == 0
    assert "Job 8 pending" in out
    assert api.of("POST")[0].json == {"allow_destructive": 40}


@pytest.mark.parametrize(
    ("flags", "body"),
    [
        ("", {}),
        ("--allow-destructive 9", {"allow_destructive": 9}),
        ("--wait", {}),
    ],
)
def test_jobs_revert(api: CannedApi, type_line: Type, flags: str, body: dict[str, Any]) -> None:
    """A revert is asked for at the job it is for; it is waited for if that is wanted."""
    api.answer("GET", "jobs/analysis/7/", job())
    api.answer("POST", "jobs/analysis/7/revert/", {"id": 8}, status=201)
    api.answer("GET", "jobs/analysis/8/", job(8, **WAITING, revert_of=7))
    api.answer("GET", "jobs/analysis/8/", job(8, revert_of=7, result_message="This takes back job 7."))
    code, out, _ = type_line(f"jobs revert 7 {flags}")
    assert code == 0
    assert ("This takes back job 7." in out) is (flags == "--wait")
    assert api.of("POST")[0].json == body


@pytest.mark.parametrize(("reason", "code"), [(None, 0), ("ceiling", 3)])
def test_jobs_revert_is_previewed(api: CannedApi, type_line: Type, reason: str | None, code: int) -> None:
    """The preview of a revert is shown as any other, with its exit code."""
    api.answer("GET", "jobs/analysis/7/", job())
    api.answer("POST", "jobs/analysis/7/revert/", {"id": 8}, status=201)
    api.answer("GET", "jobs/analysis/8/", job(8, preview=True, revert_of=7, reason=reason))
    api.listing("jobs/analysis/8/changes/", [CHANGE])
    ended, out, _ = type_line("jobs revert 7 --preview")
    assert ended == code
    assert "verification_status: fail → pass" in out
    assert api.of("POST")[0].json == {"preview": True}
    shown = json.loads(type_line("jobs revert 7 --preview --json")[1])
    assert (shown["job"]["revert_of"], shown["changes"]) == (7, [CHANGE_PRINTED])


def test_what_can_t_be_taken_back(api: CannedApi, type_line: Type) -> None:
    """The server's sentence is the command's, and the exit code says that it failed."""
    api.answer("GET", "jobs/analysis/7/", job())
    api.answer("POST", "jobs/analysis/7/revert/", {"detail": "The job was a preview."}, status=409)
    assert type_line("jobs revert 7") == (1, "", "runner: The job was a preview.\n")


def test_an_approval_is_shown(api: CannedApi, type_line: Type) -> None:
    """Who allowed what a job destroyed is told with the job."""
    allowed = {"user": "ada@example.org", "allowed": 40, "when": "2026-03-30T08:00:00.000000Z"}
    api.answer("GET", "jobs/analysis/7/", job(allowed_by=allowed))
    assert "ada@example.org allowed 40" in type_line("jobs show 7")[1]
    assert json.loads(type_line("jobs show 7 --json")[1])["allowed_by"] == allowed


ENTRY = {
    "job": 7,
    "when": "2026-03-30T08:00:02.000000Z",
    "user": "service@example.org",
    "triggered_by": "",
    "allowed_by": "",
    "connection": 10,
    "alias": "Reports of Webshop",
    "system": "fortify_file_upload",
    **{name: value for name, value in CHANGE.items() if name != "assigned"},
}


def test_changes_list(api: CannedApi, type_line: Type) -> None:
    """The journal of all jobs says which job did it, and its filters go to the server."""
    api.listing("changes/", [ENTRY])
    code, out, _ = type_line(
        "changes list --subject Ann --job 7 --connection 10 --since 2026-03-30T08:00Z --json"
    )
    assert (code, json.loads(out)) == (0, [{**ENTRY, "destructive": True}])
    assert api.asked[0].query == {
        "page_size": "500",
        "subject": "Ann",
        "job": "7",
        "connection": "10",
        "since": "2026-03-30T08:00:00+00:00",
    }
    shown = type_line("changes list")[1]
    for words in ("Reports of Webshop", "pass (destructive)", "verification_status: fail → pass"):
        assert words in shown


def test_a_cut_table_of_changes_says_so(api: CannedApi, type_line: Type) -> None:
    """A table of the journal is cut at a length, and at the one that was asked for."""
    api.listing("changes/", [ENTRY] * 201)
    for flags, rows in (("", 200), ("--limit 3", 3)):
        _, out, err = type_line(f"changes list {flags}")
        assert len(out.splitlines()) == rows + 1
        assert f"more than these {rows}" in err


def test_changes_export(api: CannedApi, type_line: Type, tmp_path: Path) -> None:
    """What the server writes comes out as it is, on standard output or in a file."""
    api.answer("GET", "changes/", b"job,sequence\r\n7,1\r\n")
    assert type_line("changes export --connection 10")[:2] == (0, "job,sequence\r\n7,1\r\n")
    assert api.asked[0].query == {"format": "csv", "connection": "10"}
    code, out, err = type_line(f"changes export --format jsonl --output {tmp_path / 'file'}")
    assert (code, out) == (0, "")
    assert str(tmp_path / "file") in err
    assert (tmp_path / "file").read_bytes() == b"job,sequence\r\n7,1\r\n"
    assert api.asked[1].query == {"format": "jsonl"}


def test_a_cut_export_leaves_no_file(api: CannedApi, type_line: Type, tmp_path: Path) -> None:
    """What is there under the name is whole: a cut answer, or a refusal, leaves it as it was."""
    (tmp_path / "file").write_text("yesterday's", encoding="utf-8")
    cut = {"Content-Length": "999", "Connection": "close"}
    api.answer("GET", "changes/", b"job,sequence\r\n", headers=cut)
    api.answer("GET", "changes/", {"state": ["No."]}, status=400)
    for code, said in ((69, "cut off"), (1, "No.")):
        ended, _, err = type_line(f"changes export --output {tmp_path / 'file'}")
        assert ended == code
        assert said in err
        assert (tmp_path / "file").read_text(encoding="utf-8") == "yesterday's"
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "runner.sock"}


def test_connections_list_and_show(api: CannedApi, type_line: Type) -> None:
    """Listing and showing agree; only showing has the parameters."""
    api.listing("connections/", [CONNECTION])
    api.answer("GET", "connections/analysis/10/", CONNECTION)
    [row] = json.loads(type_line("connections list --json")[1])
    shown = json.loads(type_line("connections show 10 --json")[1])
    assert row == {name: shown[name] for name in row}
    assert row["system"] == "fortify_file_upload"
    assert shown["params"] == {"behaviour": "replace"}
    assert "Reports of Webshop" in type_line("connections list")[1]
    assert "params.behaviour" in type_line("connections show 10")[1]


def test_connections_run_queues(api: CannedApi, type_line: Type) -> None:
    """A run is asked for as the API's clients do, and isn't waited for."""
    api.listing("connections/", [CONNECTION])
    api.answer("POST", "jobs/analysis/", {"id": 7}, status=201)
    api.answer("GET", "jobs/analysis/7/", job(**WAITING))
    code, out, _ = type_line("connections run 10 --only T1")
    assert code == 0
    assert "Job 7 pending" in out
    assert api.of("POST")[0].json == {"connection": 10, "automatic": False, "ready": False, "only": "T1"}


@pytest.mark.parametrize(("end", "code"), [({}, 0), (FAILED, 1), ({**FAILED, "reason": "ceiling"}, 3)])
def test_connections_run_waits(api: CannedApi, type_line: Type, end: dict[str, Any], code: int) -> None:
    """With ``--wait`` the exit code tells how the job ended, and its message is printed."""
    api.listing("connections/", [CONNECTION])
    api.answer("POST", "jobs/analysis/", {"id": 7}, status=201)
    api.answer("GET", "jobs/analysis/7/", job(**WAITING))
    api.answer(
        "GET", "jobs/analysis/7/", job(**{**WAITING, "state": "running", "progress": "reading 3 of 9"})
    )
    api.answer("GET", "jobs/analysis/7/", job(**end))
    ended, out, _ = type_line("connections run 10 --wait")
    assert ended == code
    assert job(**end)["result_message"] in out


def test_waiting_outlasts_a_restart_of_the_server(api: CannedApi, type_line: Type) -> None:
    """A server that can't answer for a moment doesn't end the waiting."""
    api.listing("connections/", [CONNECTION])
    api.answer("POST", "jobs/analysis/", {"id": 7}, status=201)
    api.answer("GET", "jobs/analysis/7/", {"detail": "Starting."}, status=503)
    api.answer("GET", "jobs/analysis/7/", job())
    assert type_line("connections run 10 --wait")[0] == 0


@pytest.mark.parametrize(("reason", "code"), [(None, 0), ("ceiling", 3)])
def test_connections_preview(api: CannedApi, type_line: Type, reason: str | None, code: int) -> None:
    """A preview shows the plan and the message; 3 says that a ceiling would stop a run."""
    api.listing("connections/", [CONNECTION])
    api.answer("POST", "jobs/analysis/", {"id": 7}, status=201)
    api.answer(
        "GET", "jobs/analysis/7/", job(preview=True, reason=reason, result_message="Nothing was written.")
    )
    api.listing("jobs/analysis/7/changes/", [CHANGE])
    ended, out, _ = type_line("connections preview 10")
    assert ended == code
    assert "T1 Validate input" in out
    assert "Nothing was written." in out
    assert api.of("POST")[0].json["preview"] is True
    assert json.loads(type_line("connections preview 10 --json")[1])["changes"] == [CHANGE_PRINTED]


def test_an_absent_connection_is_named(api: CannedApi, type_line: Type) -> None:
    """Running a connection that isn't there posts nothing."""
    api.listing("connections/", [CONNECTION])
    code, _, err = type_line("connections run 11")
    assert code == 1
    assert "no connection 11" in err
    assert not api.of("POST")


def test_tokens(api: CannedApi, type_line: Type) -> None:
    """The token alone is on standard output, so that it can be piped into a file."""
    api.answer("POST", "tokens/", {"id": 3, "token": "secret", "user": "a@example.org"}, status=201)
    code, out, err = type_line(
        "tokens create --user a@example.org --scope read --scope run --admin --expires 90d"
    )
    assert (code, out) == (0, "secret\n")
    assert "token 3" in err
    sent = api.of("POST")[0].json
    assert (sent["user"], sent["scopes"], sent["admin"]) == ("a@example.org", ["read", "run"], True)
    assert json.loads(type_line("tokens create --user a@example.org --json")[1]) == {
        "id": 3,
        "token": "secret",
    }


def test_tokens_list_and_revoke(api: CannedApi, type_line: Type) -> None:
    """Tokens are listed without their secret, whatever the server sends, and end by number."""
    row = {
        "id": 3,
        "user": "a@example.org",
        "scopes": ["read"],
        "created": "2026-03-30T08:00:00Z",
        "expires": None,
        "last_used": None,
    }
    api.listing("tokens/", [{**row, "hash": "x"}])
    api.answer("DELETE", "tokens/3/", b"", status=204)
    assert json.loads(type_line("tokens list --json")[1]) == [row]
    assert "a@example.org" in type_line("tokens list")[1]
    assert type_line("tokens revoke 3") == (0, "Token 3 is revoked.\n", "")
    assert type_line("tokens revoke 4") == (1, "", "runner: There is no token 4.\n")


def test_upload(api: CannedApi, type_line: Type, report: Path) -> None:
    """A report goes as the documented form; the project may be named."""
    api.listing("projects/", [{"id": 5, "name": "Webshop"}, {"id": 6, "name": "Webshop 2"}])
    api.answer("POST", "jobs/analysis-file/", {"id": 7}, status=201)
    api.answer("GET", "jobs/analysis/7/", job())
    code, _, _ = type_line(f"upload {report} --project Webshop --wait")
    assert code == 0
    form = api.of("POST")[0]
    assert form.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert int(form.headers["Content-Length"]) == len(form.body)
    assert b'name="report_file"; filename="report.xml"' in form.body
    assert b'name="system"\r\n\r\nfortify_file_upload\r\n' in form.body
    assert b'name="project"\r\n\r\n5\r\n' in form.body
    assert report.read_bytes() in form.body


def test_upload_of_an_unknown_project(api: CannedApi, type_line: Type, report: Path) -> None:
    """A project that isn't there is named, and nothing is sent."""
    api.listing("projects/", [])
    assert type_line(f"upload {report} --project Nope") == (1, "", "runner: There is no project 'Nope'.\n")
    assert not api.of("POST")


def test_upload_of_what_is_no_report(api: CannedApi, type_line: Type, tmp_path: Path) -> None:
    """A missing file, a folder and an unknown format are refused before the server is asked."""
    (tmp_path / "a.txt").write_text("hello", encoding="utf-8")
    for name, said in [("none", "No such file"), (".", "read"), ("a.txt", "--system")]:
        code, _, err = type_line(f"upload {tmp_path / name} --project 1")
        assert code == 2
        assert said in err
    assert not api.asked


def test_status(api: CannedApi, type_line: Type) -> None:
    """A glance tells whether all is well, what runs, what is broken and what failed."""
    api.answer("GET", "status/", STATUS)
    row = json.loads(type_line("status --json")[1])
    assert (row["ready"], row["running"], row["jobs"]["pending"]) == (False, [8], 3)
    shown = type_line("status")[1]
    for words in ("The disk is full.", "3 pending", "ImportError: no", "The key was refused."):
        assert words in shown


def test_db_status_asks_the_daemon(api: CannedApi, type_line: Type, tmp_path: Path) -> None:
    """While a daemon runs, its store is not opened by anyone else."""
    api.answer("GET", "status/", STATUS)
    row = json.loads(type_line("db status --json")[1])
    assert (row["schema"], row["daemon"], row["up_to_date"]) == ("0001", "running", True)
    assert "nothing is to be done" in type_line("db upgrade")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["runner.sock"]
