"""Agents: claims, heartbeats, give-back, results; and requests that are sent again."""

import io
from datetime import timedelta
from typing import Any

import pytest
import requests

from runner.model.jobs import State
from runner.store import claims, queue, rescue
from runner.store.accounts import Scope
from runner.store.schema import jobs
from tests.integration.server.kit import Client, Running

PARAMS = {"alm_server": "rally.example.com", "alm_pass": "hunter2-hunter2"}


def agent(server: Running, name: str = "agent") -> Client:
    """A session of an agent."""
    return server.client(Scope.AGENT, email=f"{name}@example.com")


def far(server: Running, **more: Any) -> int:
    """A connection that only agents reach."""
    return server.connection(inaccessible=True, params=PARAMS, **more)


def waiting(server: Running, connection: int, **more: Any) -> int:
    """A job of it that waits."""
    body = {"connection": connection, "automatic": False, "ready": False, **more}
    made = server.admin().post("jobs/alm/", json=body)
    assert made.status_code == 201, made.text
    ident: int = made.json()["id"]
    return ident


def test_an_agent_takes_runs_and_reports(server: Running) -> None:
    """A claim tells all that the run needs, secrets too on a private line; the result ends the job."""
    job = waiting(server, far(server), only="T21")
    client = agent(server)
    (taken,) = client.post("jobs/claim/", json={"kinds": ["alm"], "systems": ["rally"]}).json()["results"]
    assert (taken["id"], taken["attempt"], taken["state"], taken["only"]) == (job, 1, "running", "T21")
    assert taken["connection"]["params"] == PARAMS
    assert taken["system"] == "rally"
    assert client.post("jobs/claim/", json={}).json() == {"results": []}
    beat = client.post(f"jobs/alm/{job}/heartbeat/", json={"attempt": 1, "progress": "3 of 9", "lease": 600})
    assert beat.json()["lease_until"] > taken["lease_until"]
    assert server.admin().get(f"jobs/alm/{job}/?include=progress").json()["progress"] == "3 of 9"
    result = {
        "attempt": 1,
        "succeeded": True,
        "result_message": "2 stories made.",
        "totals": {"created": 2},
        "memory": {"seen": [7]},
    }
    ended = client.patch(f"jobs/alm/{job}/", json=result)
    assert (ended.status_code, ended.json()["ready"], ended.json()["succeeded"]) == (200, True, True)
    assert client.patch(f"jobs/alm/{job}/", json=result).json() == ended.json()
    other = client.patch(f"jobs/alm/{job}/", json={**result, "result_message": "Otherwise."})
    assert other.status_code == 409


def test_the_server_leaves_to_agents_what_it_does_not_reach(server: Running) -> None:
    """Jobs of inaccessible connections aren't run here; those of others are no agent's."""
    out_there = waiting(server, far(server))
    here = waiting(server, server.connection(alias="near"))
    assert server.start_next() == here
    with server.database.read() as c:
        assert not queue.anything_to_take(c, frozen=False) or server.state(here) is State.RUNNING
    taken = agent(server).post("jobs/claim/", json={"limit": 9}).json()["results"]
    assert [one["id"] for one in taken] == [out_there]
    refused = server.admin().post(
        "jobs/alm/", json={"connection": 1, "automatic": False, "ready": False, "preview": True}
    )
    assert (refused.status_code, list(refused.json())) == (400, ["preview"])


def test_what_is_held_is_nobody_elses(server: Running) -> None:
    """A held job isn't claimed, ended or given back by another, and its result isn't posted past it."""
    connection = far(server)
    job = waiting(server, connection)
    mine, theirs = agent(server), agent(server, "other")
    mine.post("jobs/claim/", json={})
    assert theirs.post("jobs/claim/", json={}).json() == {"results": []}
    for path, body in (
        ("heartbeat/", {"attempt": 1}),
        ("give-back/", {"attempt": 1}),
        ("", {"attempt": 1, "succeeded": True, "result_message": ""}),
    ):
        call = theirs.patch if path == "" else theirs.post
        assert call(f"jobs/alm/{job}/{path}", json=body).status_code == 409
    posted = theirs.post(
        "jobs/alm/",
        json={
            "id": job,
            "connection": connection,
            "automatic": False,
            "succeeded": True,
            "result_message": "",
        },
    )
    assert posted.status_code == 409
    assert mine.post(f"jobs/alm/{job}/heartbeat/", json={"attempt": 2}).status_code == 409
    assert server.state(job) is State.RUNNING


def test_given_back_it_is_taken_again(server: Running) -> None:
    """What is given back waits again; cancelled, it ends; the first holder's word counts no more."""
    job = waiting(server, far(server))
    client = agent(server)
    client.post("jobs/claim/", json={})
    back = client.post(f"jobs/alm/{job}/give-back/", json={"attempt": 1}).json()
    assert (back["state"], back["ready"]) == ("pending", False)
    (again,) = client.post("jobs/claim/", json={}).json()["results"]
    assert again["attempt"] == 2
    assert server.admin().post(f"jobs/alm/{job}/cancel/").status_code == 202
    beat = client.post(f"jobs/alm/{job}/heartbeat/", json={"attempt": 2}).json()
    assert beat["cancel_requested"] is True
    ended = client.post(f"jobs/alm/{job}/give-back/", json={"attempt": 2}).json()
    assert (ended["state"], ended["ready"], ended["succeeded"]) == ("finished", True, False)


def test_a_silent_agent_loses_its_job(server: Running) -> None:
    """After its lease a job is taken back, by the keeper and at a start; others' leases hold."""
    first, second = waiting(server, far(server)), waiting(server, far(server, alias="two"))
    client = agent(server)
    client.post("jobs/claim/", json={"limit": 2})
    server.database.write(lambda c: c.execute(jobs.update().where(jobs.c.id == first).values(lease_until=1)))
    with server.database.read() as c:
        assert rescue.expired_agents(c)
    for agents_only in (True, False):
        server.database.write(
            lambda c, agents_only=agents_only: rescue.rescue(  # type: ignore[misc]  # bound early
                c,
                now=server.clock(),
                max_attempts=3,
                expired_only=agents_only,
                agents_only=agents_only,
            )
        )
        assert (server.state(first), server.state(second)) == (State.PENDING, State.RUNNING)
    late = client.patch(
        f"jobs/alm/{first}/", json={"attempt": 1, "succeeded": True, "result_message": "Late."}
    )
    assert late.status_code == 409


def test_what_an_agent_does_not_know_it_holds_is_handed_to_it_again(server: Running) -> None:
    """Of a claim whose answer got lost each job comes again, with the attempt it had, to this agent only."""
    first, second = waiting(server, far(server)), waiting(server, far(server, alias="two"))
    client = agent(server)
    client.post("jobs/claim/", json={"agent": "north", "limit": 2})
    assert client.post("jobs/claim/", json={"agent": "south", "limit": 2}).json() == {"results": []}
    (again,) = client.post("jobs/claim/", json={"agent": "north", "holding": [first]}).json()["results"]
    assert (again["id"], again["attempt"], again["state"]) == (second, 1, "running")
    assert again["connection"]["params"] == PARAMS
    held = {"agent": "north", "holding": [first, second]}
    assert client.post("jobs/claim/", json=held).json() == {"results": []}


def test_an_agent_with_a_name_outlives_its_token(server: Running) -> None:
    """With another token of its user it still holds its jobs; another agent of this user doesn't."""
    job = waiting(server, far(server))
    agent(server).post("jobs/claim/", json={"agent": "north"})
    renewed = agent(server)
    path, attempt = f"jobs/alm/{job}/", {"attempt": 1, "agent": "north"}
    assert renewed.post(f"{path}heartbeat/", json={**attempt, "agent": "south"}).status_code == 409
    assert renewed.post(f"{path}heartbeat/", json={"attempt": 1}).status_code == 409
    assert renewed.post(f"{path}heartbeat/", json=attempt).status_code == 200
    ended = renewed.patch(path, json={**attempt, "succeeded": True, "result_message": "Done."})
    assert ended.json()["ready"] is True


def test_an_agent_may_leave_connections_to_others(server: Running) -> None:
    """Jobs of connections that a claim names under skip aren't given to it."""
    left, right = far(server), far(server, alias="two")
    waiting(server, left)
    wanted = waiting(server, right)
    taken = agent(server).post("jobs/claim/", json={"skip": [left], "limit": 9}).json()["results"]
    assert [one["id"] for one in taken] == [wanted]


def test_leases_outlive_a_restart_of_the_server(server: Running) -> None:
    """A lease that ran out while the server was down holds for a while, so that its agent can come back."""
    job = waiting(server, far(server))
    client = agent(server)
    client.post("jobs/claim/", json={})
    server.database.write(lambda c: c.execute(jobs.update().where(jobs.c.id == job).values(lease_until=1)))
    server.database.write(lambda c: rescue.spare_agents(c, lease=timedelta(minutes=1)))
    server.database.write(lambda c: rescue.rescue(c, now=server.clock(), max_attempts=3, expired_only=False))
    assert server.state(job) is State.RUNNING
    assert client.post(f"jobs/alm/{job}/heartbeat/", json={"attempt": 1}).status_code == 200


def test_pauses_hold_for_agents(server: Running) -> None:
    """While all is paused, or their connection, agents get nothing."""
    connection = far(server)
    waiting(server, connection)
    admin, client = server.admin(), agent(server)
    admin.post("pause/", json={"why": "We look at it."})
    assert client.post("jobs/claim/", json={}).json() == {"results": []}
    admin.post("resume/")
    admin.post(f"connections/alm/{connection}/pause/")
    assert client.post("jobs/claim/", json={}).json() == {"results": []}
    admin.post(f"connections/alm/{connection}/resume/")
    assert len(client.post("jobs/claim/", json={}).json()["results"]) == 1


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"kinds": ["x"]}, "kinds"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"lease": 1}, "lease"),
        ({"systems": "rally"}, "systems"),
        ({"agent": "n" * 65}, "agent"),
        ({"holding": ["x"]}, "holding"),
        ({"skip": 7}, "skip"),
    ],
)
def test_a_wrong_claim_is_named(server: Running, body: dict[str, Any], name: str) -> None:
    """What is wrong with a claim is said by field, and nothing is taken."""
    refused = agent(server).post("jobs/claim/", json=body)
    assert (refused.status_code, list(refused.json())) == (400, [name])


def test_claims_want_the_agent_scope(server: Running) -> None:
    """Who may run jobs here may not therefore take them elsewhere."""
    client = server.client(Scope.RUN, Scope.READ, Scope.EDIT_ALM)
    assert client.post("jobs/claim/", json={}).status_code == 403


def test_secrets_go_over_private_lines_only(server: Running) -> None:
    """An agent sees secrets on this machine; not when a proxy handed the request on, nobody else ever."""
    connection = far(server)
    waiting(server, connection)
    client = agent(server)
    path = f"connections/alm/{connection}/"
    assert client.get(path).json()["params"]["alm_pass"] == PARAMS["alm_pass"]
    for name in ("X-Forwarded-For", "Forwarded", "Via"):
        shown = client.get(path, headers={name: "192.0.2.1"}).json()["params"]
        assert shown["alm_pass"] == "********"
    for shown in (server.admin(), server.client(Scope.EDIT_ALM, Scope.READ)):
        assert shown.get(path).json()["params"]["alm_pass"] == "********"
        (job,) = shown.get("jobs/alm/").json()["results"]
        assert job["connection"]["params"]["alm_pass"] == "********"


# --- Idempotency-Key ---------------------------------------------------------------------


def test_a_request_sent_again_is_answered_as_the_first_time(server: Running) -> None:
    """With one key a job is queued once, whoever lost the answer; another user's key is another."""
    connection, client = server.connection(), server.admin()
    body = {"connection": connection, "automatic": False, "ready": False}
    key = {"Idempotency-Key": "5f0c"}
    first = client.post("jobs/alm/", json=body, headers=key)
    again = client.post("jobs/alm/", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert len(client.get("jobs/").json()["results"]) == 1
    other = client.post("jobs/alm/", json={**body, "automatic": True}, headers=key)
    assert (other.status_code, "another request" in other.json()["detail"]) == (409, True)
    someone = server.client(Scope.RUN, Scope.EDIT_ALM, email="someone@example.com")
    assert someone.post("jobs/alm/", json=body, headers=key).json()["id"] != first.json()["id"]
    refused = client.post("jobs/alm/", json=body, headers={"Idempotency-Key": "x" * 256})
    assert refused.status_code == 400


def test_a_refusal_is_not_kept(server: Running) -> None:
    """A request that was refused may be made good under the same key."""
    client, connection = server.admin(), server.connection(enabled=False)
    body = {"connection": connection, "automatic": False, "ready": False}
    key = {"Idempotency-Key": "k"}
    assert client.post("jobs/alm/", json=body, headers=key).status_code == 400
    client.patch(f"connections/alm/{connection}/", json={"enabled": True})
    assert client.post("jobs/alm/", json=body, headers=key).status_code == 201


def test_a_report_sent_again_is_taken_once(server: Running) -> None:
    """The same file under the same key gives one job and leaves one file."""
    project, client = server.project(), server.admin()

    def send(content: bytes) -> requests.Response:
        return client.post(
            "jobs/analysis-file/",
            files={"report_file": ("report.xml", io.BytesIO(content))},
            data={"system": "fortify_file_upload", "project": project},
            headers={"Idempotency-Key": "upload-1"},
        )

    first, again = send(b"<a/>"), send(b"<a/>")
    assert first.json() == again.json()
    assert len(list(server.services.uploads.iterdir())) == 1
    assert send(b"<b/>").status_code == 409
    assert len(list(server.services.uploads.iterdir())) == 1


def test_an_agents_answers_are_kept_without_secrets(server: Running) -> None:
    """What is kept of an answer, to be given again, holds no secret, even for an agent."""
    connection, client = far(server), agent(server)
    body = {"connection": connection, "automatic": True, "succeeded": True, "result_message": "Done."}
    for _ in range(2):
        made = client.post("jobs/alm/", json=body, headers={"Idempotency-Key": "1"})
        assert made.json()["connection"]["params"]["alm_pass"] == "********"


def test_a_lease_is_as_long_as_asked(server: Running) -> None:
    """Who asks for an hour has one, by the database's clock."""
    waiting(server, far(server))
    (taken,) = agent(server).post("jobs/claim/", json={"lease": 3600}).json()["results"]
    with server.database.read() as c:
        until = claims.lease_until(c, [taken["id"]])[taken["id"]]
        now = c.execute(claims.DatabaseNow().select()).scalar_one()
    assert timedelta(minutes=50) < timedelta(microseconds=until - now) <= timedelta(hours=1)
