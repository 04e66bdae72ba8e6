"""Tests of connections, bad tokens again and again, analyses, mappings, logs, events, agents."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.model.findings import FindingRow
from runner.model.jobs import Kind, Outcome
from runner.store import claims, findings, job_log, queue
from runner.store.accounts import Scope
from runner.store.job_log import Line
from tests.integration.server.kit import Client, Running

SECRET = "hunter2-hunter2"
PARAMS = {"alm_server": "rally.example.com", "alm_user": "me", "alm_pass": SECRET}


# --- connection tests --------------------------------------------------------------------


def test_a_stored_connection_is_tested(server: Running) -> None:
    """Each step is told; the params of the body are laid over the stored ones, for this test only."""
    project, admin = server.project(), server.admin()
    ident = server.connection(params=PARAMS, project_id=project)
    path = f"connections/alm/{ident}/test/"
    good = admin.post(path, json={})
    assert (good.status_code, good.json()["success"]) == (200, True)
    assert [step["name"] for step in good.json()["steps"]] == ["connect", "log in"]
    bad = admin.post(path, json={"params": {"fail": True, "alm_pass": "********"}}).json()
    assert (bad["success"], bad["steps"][1]["message"]) == (False, "No.")
    assert server.engine.checked[1].params == {**PARAMS, "fail": True}
    assert server.engine.checked[1].project_id == project
    stored = admin.get(f"connections/alm/{ident}/").json()["params"]
    assert "fail" not in stored


def test_a_test_carries_no_secret_to_another_host(server: Running) -> None:
    """Who names another server in a test gives the secrets again, or nothing is sent."""
    ident = server.connection(params=PARAMS)
    path, admin = f"connections/alm/{ident}/test/", server.admin()
    for given in ({"alm_server": "evil.example.net"}, {"alm_server": "x", "alm_pass": "********"}):
        refused = admin.post(path, json={"params": given})
        assert (refused.status_code, "alm_pass" in refused.json()["params"][0]) == (400, True)
    assert server.engine.checked == []
    moved = admin.post(path, json={"params": {"alm_server": "new.example.com", "alm_pass": "other"}})
    assert moved.status_code == 200
    assert server.engine.checked[0].params["alm_pass"] == "other"


def test_a_connection_is_tested_before_it_is_added(server: Running) -> None:
    """What would be added is tested without being stored; what is wrong with it is named."""
    project, admin = server.project(), server.admin()
    body = {"system": "rally", "project": project, "params": PARAMS}
    assert admin.post("connections/alm/test/", json=body).json()["success"] is True
    assert admin.get("connections/alm/").json() == {"results": []}
    refused = admin.post("connections/alm/test/", json={"params": {}})
    assert (refused.status_code, sorted(refused.json())) == (400, ["project", "system"])
    refused = admin.post("connections/alm/test/", json={**body, "params": {"refuse_me": 1}})
    assert list(refused.json()) == ["params"]
    reader = server.client(Scope.READ, Scope.EDIT_VERIFICATION)
    assert reader.post("connections/alm/test/", json=body).status_code == 403


# --- bad tokens ---------------------------------------------------------------------------


def test_bad_tokens_are_slowed_and_good_ones_are_not(server: Running) -> None:
    """After twenty bad tokens in a minute an address waits; who was there before goes on."""
    good, late = server.client(Scope.READ), server.token(Scope.READ, email="late@example.com")
    assert good.get("users/me/").status_code == 200
    bad = Client(server.base, "x" * 43)
    server.clients.append(bad)
    answers = [bad.get("users/me/") for _ in range(25)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert good.get("users/me/").status_code == 200
    newcomer = Client(server.base, late)
    server.clients.append(newcomer)
    assert newcomer.get("users/me/").status_code == 429
    server.clock.now += timedelta(minutes=2)
    assert newcomer.get("users/me/").status_code == 200


# --- analyses -----------------------------------------------------------------------------


def test_an_analysis_comes_in_whole(server: Running) -> None:
    """One POST carries all that a scanner says; tasks follow by the status rule."""
    project, admin = server.project(), server.admin()
    body = {
        "analysis_ref": "Build 9",
        "analysis_type": "appscan",
        "notes": [
            {"task": f"{project}-T21", "findings": [{"count": 2, "desc": "XSS"}], "confidence": "high"},
            {"task": "T38", "status": "pass", "task_status_mapping": {"pass": "DONE"}},
        ],
    }
    made = admin.post(f"projects/{project}/analysis-sessions/", json=body)
    assert made.status_code == 201, made.text
    session = made.json()
    assert admin.get(f"projects/{project}/analysis-sessions/{session['id']}/").json() == session
    found = {one["task_id"]: one for one in admin.get(f"projects/{project}/tasks/").json()["results"]}
    assert {name: one["verification_status"] for name, one in found.items()} == {"T21": "fail", "T38": "pass"}
    assert (found["T21"]["status"], found["T38"]["status"]) == ("TS2", "TS1")
    (note,) = admin.get(f"projects/{project}/tasks/T21/analysis-notes/").json()["results"]
    assert (note["status"], note["findings"][0]["count"]) == ("fail", 2)
    assert note["analysis_session"] == session["id"]


@pytest.mark.parametrize(
    ("behaviour", "stands"), [("combine", "fail"), ("replace-scanner", "pass"), ("replace", "pass")]
)
def test_a_second_word_stands_as_its_behaviour_says(server: Running, behaviour: str, stands: str) -> None:
    """The worst stands where results are combined; the newest where they are replaced."""
    project, admin = server.project(), server.admin()
    sessions = f"projects/{project}/analysis-sessions/"
    ident = admin.post(sessions, json={"analysis_ref": "1", "analysis_type": "a"}).json()["id"]
    path = f"projects/{project}/tasks/T21/analysis-notes/"
    first = admin.post(path, json={"analysis_session": ident, "status": "fail"})
    assert (first.status_code, first.json()["analysis_type"]["slug"]) == (201, "a")
    admin.post(path, json={"analysis_session": ident, "status": "pass", "behaviour": behaviour})
    assert admin.get(f"projects/{project}/tasks/T21/").json()["verification_status"] == stands


def test_what_is_wrong_with_an_analysis_is_named_and_nothing_written(server: Running) -> None:
    """A bulk with one bad note writes none; a fail is never done; a finding is never a pass."""
    project, admin = server.project(), server.admin()
    sessions = f"projects/{project}/analysis-sessions/"
    head = {"analysis_ref": "1", "analysis_type": "a"}
    for said, name in (
        ({"task": "T99", "status": "fail"}, "notes.1.task"),
        ({"task": "T21", "status": "broken"}, "notes.1.status"),
        ({"task": "T21"}, "notes.1.status"),
        ({"task": "T21", "status": "pass", "findings": [{"count": 1}]}, "notes.1.status"),
        (
            {"task": "T21", "status": "fail", "task_status_mapping": {"fail": "DONE"}},
            "notes.1.task_status_mapping",
        ),
        ({"task": "T21", "status": "fail", "findings": [1]}, "notes.1.findings"),
    ):
        bulk = {**head, "notes": [{"task": "T38", "status": "fail"}, said]}
        refused = admin.post(sessions, json=bulk)
        assert (refused.status_code, list(refused.json())) == (400, [name])
    assert admin.get(sessions).json() == {"results": []}
    assert admin.get(f"projects/{project}/tasks/T38/").json()["verification_status"] == "none"
    path = f"projects/{project}/tasks/T21/analysis-notes/"
    assert list(admin.post(path, json={"analysis_session": 99, "status": "fail"}).json()) == [
        "analysis_session"
    ]


def test_a_manual_word_needs_no_session(server: Running) -> None:
    """Without a session it is what a person says, and is kept apart from scanners' results."""
    project, admin = server.project(), server.admin()
    path = f"projects/{project}/tasks/T21/analysis-notes/"
    one, two = (admin.post(path, json={"status": "partial"}).json() for _ in range(2))
    assert one["analysis_session"] == two["analysis_session"]
    assert (one["automatic"], one["analysis_type"]["slug"]) == (False, "manual")
    shown = admin.get(f"projects/{project}/tasks/T21/?include=results").json()
    assert shown["results"] == {"manual": "partial"}


def test_tasks_of_the_project_alone_come_and_go(server: Running) -> None:
    """They are numbered PT1, PT2; a task of the library stays."""
    project, admin = server.project(), server.admin()
    path = f"projects/{project}/tasks/"
    body = {"title": "Ours", "phase": "X3", "priority": 5, "text": "Do it."}
    ids = [admin.post(path, json=body).json()["id"] for _ in range(2)]
    assert ids == [f"{project}-PT1", f"{project}-PT2"]
    assert admin.get(f"{path}{ids[0]}/").json()["project_specific"] is True
    assert admin.delete(f"{path}{ids[0]}/").status_code == 204
    assert admin.delete(f"{path}T21/").status_code == 409
    assert sorted(admin.post(path, json={"phase": "x", "priority": 99}).json()) == [
        "phase",
        "priority",
        "title",
    ]


def test_a_note_is_rewritten_and_an_analysis_note_is_not(server: Running) -> None:
    """People correct what they wrote, not what a scanner said."""
    project, admin = server.project(), server.admin()
    notes = f"projects/{project}/tasks/T21/notes/"
    ident = admin.post(notes, json={"text": "Lok."}).json()["id"]
    assert admin.patch(f"{notes}{ident}/", json={"text": "Look."}).json()["text"] == "Look."
    said = admin.post(notes.replace("notes/", "analysis-notes/"), json={"status": "fail"}).json()["id"]
    assert admin.patch(f"{notes}{said}/", json={"text": "No."}).status_code == 409


# --- mapping and findings -----------------------------------------------------------------

CSV = "Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence\r\nT21,XSS,CWE-79,XSS,high\r\n"


def test_a_mapping_is_put_and_read_back(server: Running) -> None:
    """CSV goes in and comes out as it was; one that can't be used is refused by its lines."""
    ident, admin = server.connection("whitehat"), server.admin()
    path = f"connections/analysis/{ident}/mapping/"
    empty = admin.get(path)
    assert empty.headers["content-type"].startswith("text/csv")
    assert empty.text.startswith("Countermeasure ID,Title")
    assert admin.put(path, data=CSV, headers={"Content-Type": "text/csv"}).status_code == 200
    assert admin.get(path).text == CSV
    for wrong in ("a,b\n1,2\n", CSV + "nothing at all,x,CWE-1,x,high\n", b"\xff\xfe", "a\x00"):
        refused = admin.put(path, data=wrong, headers={"Content-Type": "text/csv"})
        assert (refused.status_code, list(refused.json())) == (400, ["mapping"])
    assert admin.get(path).text == CSV
    assert server.client(Scope.READ).put(path, data=CSV).status_code == 403
    admin.put(path, data="")
    assert admin.get(path).text == empty.text
    assert admin.get("connections/analysis/99/mapping/").status_code == 404


def running_job(server: Running, system: str = "whitehat") -> Any:
    """A job that was claimed, as the engine holds it."""
    connection = server.connection(system)
    kind = Kind.ANALYSIS if system == "whitehat" else Kind.ALM
    server.database.write(lambda c: queue.enqueue(c, connection_id=connection, kind=kind, now=server.clock()))
    return server.database.write(lambda c: claims.claim(c, owner="test", now=server.clock()))[0].job


def test_findings_are_told_by_whether_a_task_answers(server: Running) -> None:
    """What an import found is listed with where it went; ``mapped`` tells both sorts apart."""
    job = running_job(server)
    rows = [
        FindingRow("XSS", [79], "high", 3, "cwe", mapped=True, tasks=["T21"], examples=["a.jsp:1"]),
        FindingRow("Odd", [], "low", 1, "catch_all", mapped=False, tasks=["T193"], examples=[]),
    ]
    server.database.write(lambda c: findings.add(c, job, first=1, rows=rows))
    admin, path = server.admin(), f"jobs/analysis/{job.id}/findings/"

    def told(query: str) -> list[str]:
        return [one["category"] for one in admin.get(f"{path}?{query}").json()["results"]]

    assert told("") == ["XSS", "Odd"]
    assert (told("mapped=true"), told("mapped=0")) == (["XSS"], ["Odd"])
    assert admin.get(f"{path}?page_size=1").json()["count"] == 2
    assert admin.get(f"{path}?mapped=perhaps").status_code == 400
    assert admin.get("jobs/analysis/99/findings/").status_code == 404


# --- log and events -----------------------------------------------------------------------


def test_a_jobs_log_is_shown(server: Running) -> None:
    """Lines come in their order, with the attempt that wrote them."""
    job = running_job(server)
    lines = [Line(datetime(2026, 1, 1, tzinfo=UTC), f"page_{number}", {"n": number}) for number in range(3)]
    server.database.write(lambda c: job_log.add(c, job=job, lines=lines))
    shown = server.admin().get(f"jobs/analysis/{job.id}/log/").json()["results"]
    assert [(line["event"], line["fields"], line["attempt"]) for line in shown] == [
        (f"page_{number}", {"n": number}, 1) for number in range(3)
    ]
    assert shown[0]["when"] == "2026-01-01T00:00:00.000000Z"


def test_a_job_is_watched_to_its_end(server: Running) -> None:
    """Each change of state and progress is an event; the stream ends with the job."""
    job = running_job(server)
    admin = server.admin()
    with admin.get(f"jobs/analysis/{job.id}/events/", stream=True) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines(decode_unicode=True)

        def following() -> dict[str, Any]:
            for line in lines:
                if line.startswith("data: "):
                    told: dict[str, Any] = json.loads(line[6:])
                    return told
            raise AssertionError

        assert following()["state"] == "running"
        server.database.write(lambda c: claims.note_progress(c, job=job, text="page 3"))
        assert following()["progress"] == "page 3"
        server.database.write(
            lambda c: claims.finish(
                c,
                job=job,
                outcome=Outcome.SUCCEEDED,
                reason=None,
                message="Done.",
                totals={},
                now=server.clock(),
            )
        )
        last = following()
        assert (last["ready"], last["succeeded"], last["result_message"]) == (True, True, "Done.")
        assert [line for line in lines if line] == []
    assert admin.get("jobs/analysis/99/events/").status_code == 404


# --- remote agents ------------------------------------------------------------------------


def test_remote_agents_say_that_they_are_there(server: Running) -> None:
    """An agent is known by its name; only it and administrators speak for it."""
    agent, other = (server.client(Scope.AGENT, email=f"{name}@example.com") for name in ("agent", "other"))
    made = agent.post("remote-agent/", json={"name": "plant 7", "version": "1.0", "platform": "linux"})
    assert (made.status_code, made.json()["creator"]) == (201, "agent@example.com")
    path = f"remote-agent/{made.json()['id']}/"
    assert agent.post("remote-agent/", json={"name": "plant 7"}).json()["id"] == made.json()["id"]
    later = agent.patch(path, json={"version": "1.1"}).json()
    assert (later["version"], later["platform"]) == ("1.1", "linux")
    assert later["last_sync"] > made.json()["last_sync"]
    assert other.patch(path, json={}).status_code == 403
    assert other.post("remote-agent/", json={"name": "plant 7"}).status_code == 403
    assert server.client(Scope.READ).post("remote-agent/", json={"name": "x"}).status_code == 403
    (shown,) = agent.get("remote-agent/?expand=creator").json()["results"]
    assert shown["creator"]["email"] == "agent@example.com"
    assert agent.delete(path).status_code == 403
    assert server.admin().delete(path).status_code == 204
    assert agent.get(path).status_code == 404
