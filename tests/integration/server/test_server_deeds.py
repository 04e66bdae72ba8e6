"""A job's changes, its cancellation, its repetition."""

from typing import Any

from runner.messages import PlanRow
from runner.model.changes import Op, Target
from runner.model.jobs import Kind, State
from runner.store import changes, queue
from runner.store.accounts import Scope
from runner.store.schema import approvals
from runner.store.values import from_micros
from tests.integration.server.kit import Running


def planned(server: Running, number: int) -> int:
    """A running job with some planned changes."""
    connection = server.connection()

    def write(c: Any) -> int:
        queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=server.clock())
        (claim,) = queue.claim(c, owner="test", now=server.clock())
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
    assert (row.connection_id, row.allowed, row.used_by) == (connection, 40, None)
    assert 23.9 < (from_micros(row.until) - server.clock()).total_seconds() / 3600 <= 24
