"""A job's changes, its cancellation, its repetition, its revert."""

from typing import Any

from runner.messages import OutcomeRow, PlanRow
from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Kind, Outcome, State
from runner.store import approvals as store
from runner.store import changes, claims, queue
from runner.store.accounts import Scope
from runner.store.schema import approvals
from runner.store.values import from_micros
from tests.integration.server.kit import Running


def planned(server: Running, number: int) -> int:
    """A running job with some planned changes."""
    connection = server.connection()

    def write(c: Any) -> int:
        queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=server.clock())
        (claim,) = claims.claim(c, owner="test", now=server.clock())
        rows = [
            PlanRow(
                n, Target.PLATFORM, Op.UPDATE, "task", f"1-T{n}", f"T{n}", '{"a":1}', '{"a":2}', None, "why"
            )
            for n in range(1, number + 1)
        ]
        changes.add_plan(c, claim.job, rows)
        return claim.job.id

    return server.database.write(write)


def test_changes_are_told_in_pages(server: Running) -> None:
    """The journal comes in order, ``next`` leads on, and each change tells what it does."""
    job = planned(server, 7)
    client = server.admin()
    page = client.get(f"jobs/alm/{job}/changes/?page_size=3").json()
    seen = [row["sequence"] for row in page["results"]]
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += [row["sequence"] for row in page["results"]]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    first = client.get(f"jobs/alm/{job}/changes/").json()["results"][0]
    assert first == {
        "sequence": 1,
        "target": "platform",
        "op": "update",
        "kind": "task",
        "key": "1-T1",
        "subject": "T1",
        "before": {"a": 1},
        "after": {"a": 2},
        "state": "planned",
        "error": "",
        "why": "why",
        "assigned": None,
    }
    assert [row["sequence"] for row in client.get(f"jobs/alm/{job}/changes?after=5").json()["results"]] == [
        6,
        7,
    ]


def test_changes_are_for_those_who_see_the_kind(server: Running) -> None:
    """Who may not see a kind's params doesn't see what its jobs do either."""
    job = planned(server, 1)
    assert server.client(Scope.READ).get(f"jobs/alm/{job}/changes/").status_code == 403


def test_a_waiting_job_is_cancelled_at_once(server: Running) -> None:
    """It is finished, without success, and the next one of its connection moves up."""
    connection = server.connection()
    client = server.admin()
    body = {"connection": connection, "automatic": False, "ready": False}
    first, second = (client.post("jobs/alm/", json=body).json()["id"] for _ in range(2))
    answer = client.post(f"jobs/alm/{first}/cancel/")
    assert (answer.status_code, answer.json()["outcome"], answer.json()["ready"]) == (200, "cancelled", True)
    assert server.state(second) is State.PENDING
    assert server.engine.cancelled == []
    assert client.post(f"jobs/alm/{first}/cancel/").status_code == 409
    assert client.post("jobs/alm/999/cancel/").status_code == 404


def test_a_running_job_is_cancelled_by_the_engine(server: Running) -> None:
    """The wish is committed, the engine is told, the answer is 202."""
    job = planned(server, 1)
    answer = server.client(Scope.RUN).post(f"jobs/alm/{job}/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert server.engine.cancelled == [job]


def test_a_finished_job_is_run_again(server: Running) -> None:
    """A retry is a new job that says of which it is one; before the end it is 409."""
    connection = server.connection()
    client = server.client(Scope.RUN, Scope.READ)
    body = {"connection": connection, "automatic": True, "ready": False, "only": "T21"}
    job = client.post("jobs/alm/", json=body).json()["id"]
    assert client.post(f"jobs/alm/{job}/retry/").status_code == 409
    client.post(f"jobs/alm/{job}/cancel/")
    answer = client.post(f"jobs/alm/{job}/retry/")
    assert answer.status_code == 201
    assert (answer.json()["retry_of"], answer.json()["only"]) == (job, "T21")
    assert answer.json()["id"] != job
    assert client.post(f"jobs/alm/{job}/retry/", json={"allow_destructive": 5}).status_code == 403


def test_a_retry_may_allow_destruction(server: Running) -> None:
    """An administrator's ``allow_destructive`` becomes an approval that holds for 24 hours."""
    connection = server.connection()
    server.finished_jobs(connection, 1)
    client = server.admin()
    for wrong in ("x", -1, 2**40, [5]):
        answer = client.post("jobs/alm/1/retry/", json={"allow_destructive": wrong})
        assert (answer.status_code, list(answer.json())) == (400, ["allow_destructive"])
    assert client.post("jobs/alm/1/retry/", json={"allow_destructive": 40}).status_code == 201
    with server.database.read() as c:
        (row,) = c.execute(approvals.select()).all()
    assert (row.connection_id, row.job_id, row.allowed, row.used_by) == (connection, 2, 40, None)
    assert 23.9 < (from_micros(row.until) - server.clock()).total_seconds() / 3600 <= 24


def done(server: Running, **fields: Any) -> int:
    """A finished job of a connection, which made one change."""
    connection = fields.pop("connection", None) or server.connection()

    def write(c: Any) -> int:
        queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=server.clock(), **fields)
        (claim,) = claims.claim(c, owner="test", now=server.clock())
        row = PlanRow(1, Target.OUTSIDE, Op.UPDATE, "task", "K", "Ann", "{}", "{}", None, "")
        changes.add_plan(c, claim.job, [row])
        if not claim.job.preview:
            made = OutcomeRow(1, ChangeState.DONE, "", None)
            changes.settle(c, claim.job.id, [made], now=server.clock())
        end: dict[str, Any] = {"outcome": Outcome.SUCCEEDED, "reason": None, "message": "", "totals": {}}
        claims.finish(c, job=claim.job, now=server.clock(), **end)
        return claim.job.id

    return server.database.write(write)


def test_a_run_is_taken_back(server: Running) -> None:
    """A revert is a new job that says of which; it runs under the caller, and isn't automatic."""
    job = done(server, automatic=True, only="Ann")
    answer = server.client(Scope.RUN).post(f"jobs/alm/{job}/revert/")
    made = answer.json()
    assert (answer.status_code, made["revert_of"], made["retry_of"]) == (201, job, None)
    assert (made["state"], made["preview"], made["only"], made["automatic"]) == (
        "pending",
        False,
        None,
        False,
    )
    assert made["user"] == made["triggered_by"] == "somebody@example.com"
    assert server.engine.wakes == 1


def test_a_revert_may_be_previewed_first(server: Running) -> None:
    """A preview of a revert is a preview, and what is wrong in the body is named."""
    job = done(server)
    client = server.admin()
    made = client.post(f"jobs/alm/{job}/revert/", json={"preview": True, "allow_destructive": 3}).json()
    assert (made["preview"], made["revert_of"]) == (True, job)
    assert client.post(f"jobs/alm/{job}/revert/", json={"preview": "maybe"}).json().keys() == {"preview"}
    assert client.post(f"jobs/alm/{job}/revert/", json={"allow_destructive": -1}).status_code == 400


def test_what_can_t_be_taken_back_is_a_conflict(server: Running) -> None:
    """A job that isn't finished, was a preview or changed nothing has nothing to take back."""
    client = server.admin()
    preview = done(server, preview=True)
    running = planned(server, 1)
    server.finished_jobs(server.connection(), 1)
    for job, said in ((preview, "preview"), (running, "finished"), (3, "nothing to take back")):
        answer = client.post(f"jobs/alm/{job}/revert/")
        assert answer.status_code == 409
        assert said in answer.json()["detail"]
    assert client.post("jobs/alm/99/revert/").status_code == 404
    assert client.post(f"jobs/ldap/{preview}/revert/").status_code == 404


def test_who_may_take_a_run_back(server: Running) -> None:
    """The right to run is the right to revert; allowing destruction is an administrator's."""
    job = done(server)
    assert server.client().post(f"jobs/alm/{job}/revert/").status_code == 401
    assert server.client(Scope.READ).post(f"jobs/alm/{job}/revert/").status_code == 403
    answer = server.client(Scope.RUN).post(f"jobs/alm/{job}/revert/", json={"allow_destructive": 5})
    assert answer.status_code == 403
    assert server.state(job) is State.FINISHED


def test_a_disabled_connection_is_reverted_and_a_deleted_one_is_not(server: Running) -> None:
    """Who stops a connection after an accident wants to take its last run back."""
    connection = server.connection()
    job = done(server, connection=connection)
    client = server.admin()
    assert client.patch(f"connections/alm/{connection}/", json={"enabled": False}).status_code == 200
    assert client.post(f"jobs/alm/{job}/retry/").status_code == 400
    reverted = client.post(f"jobs/alm/{job}/revert/")
    assert reverted.status_code == 201
    client.post(f"jobs/alm/{reverted.json()['id']}/cancel/")
    assert client.delete(f"connections/alm/{connection}/").status_code == 204
    assert list(client.post(f"jobs/alm/{job}/revert/").json()) == ["connection"]


def test_an_approval_is_for_the_job_it_came_with(server: Running) -> None:
    """A run that waits ahead doesn't use up what a person allowed another one."""
    connection = server.connection()
    job = done(server, connection=connection)
    client = server.admin()
    ahead = client.post(
        "jobs/alm/", json={"connection": connection, "automatic": True, "ready": False}
    ).json()["id"]
    made = client.post(f"jobs/alm/{job}/revert/", json={"allow_destructive": 7}).json()["id"]

    def allowed(job_id: int) -> int:
        with server.database.read() as c:
            return store.in_force(c, connection_id=connection, job_id=job_id, now=server.clock())

    assert (allowed(ahead), allowed(made)) == (0, 7)
    server.database.write(lambda c: store.use_up(c, connection_id=connection, job_id=ahead))
    assert (allowed(ahead), allowed(made)) == (0, 7)
    server.database.write(lambda c: store.use_up(c, connection_id=connection, job_id=made))
    assert (allowed(ahead), allowed(made)) == (0, 7)
