"""Starting jobs and recording results."""

from typing import Any

import pytest

from runner.model.jobs import Kind, State
from runner.store import queue
from runner.store.accounts import Scope
from tests.integration.server.kit import Client, Running


def start(client: Client, connection: int, **more: Any) -> dict[str, Any]:
    """Queue a run of a connection."""
    body = {"connection": connection, "automatic": False, "ready": False, **more}
    answer = client.post("jobs/alm/", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def record(client: Client, connection: int, **more: Any) -> Any:
    """Post a result of a connection."""
    body = {
        "connection": connection,
        "automatic": False,
        "succeeded": True,
        "result_message": "Done.",
        **more,
    }
    return client.post("jobs/alm/", json=body)


def test_a_run_is_queued_and_the_engine_told(server: Running) -> None:
    """``ready: false`` queues a job in its caller's name; the second waits behind the first."""
    connection = server.connection()
    client = server.client(Scope.RUN, Scope.READ)
    first, second = start(client, connection), start(client, connection)
    assert (first["ready"], first["succeeded"], first["result_message"]) == (False, False, "")
    assert first["user"] == first["triggered_by"] == "somebody@example.com"
    assert server.engine.wakes == 2
    assert server.state(first["id"]) is State.PENDING
    assert server.state(second["id"]) is State.BEHIND


def test_a_result_finishes_the_oldest_waiting_job(server: Running) -> None:
    """A result ends the longest waiting job with the same ``automatic``, and the next moves up."""
    connection = server.connection()
    client = server.admin()
    first, automatic, last = (
        start(client, connection),
        start(client, connection, automatic=True),
        start(client, connection),
    )
    ended = record(client, connection, automatic=True, succeeded=False, result_message="")
    assert ended.status_code == 201
    assert (ended.json()["id"], ended.json()["ready"], ended.json()["succeeded"]) == (
        automatic["id"],
        True,
        False,
    )
    assert record(client, connection).json()["id"] == first["id"]
    assert server.state(last["id"]) is State.PENDING


def test_a_result_without_a_waiting_job_is_history(server: Running) -> None:
    """Where nothing waits a result becomes a finished row; an agent's is the service account's."""
    connection = server.connection()
    mine = record(server.client(Scope.RUN), connection)
    assert (mine.status_code, mine.json()["ready"], mine.json()["result_message"]) == (201, True, "Done.")
    assert (mine.json()["user"], mine.json()["triggered_by"]) == ("somebody@example.com", "")
    agents = record(server.client(Scope.AGENT, email="agent@example.com"), connection)
    assert agents.json()["user"] == "no-reply+runner@localhost"


def test_a_result_may_be_of_none_that_wait(server: Running) -> None:
    """With ``id: null`` it is a row of its own, and the job that waits for another result goes on waiting."""
    connection = server.connection()
    client = server.client(Scope.RUN, Scope.READ)
    waits = start(client, connection)["id"]
    made = record(client, connection, id=None).json()
    assert (made["id"] != waits, made["ready"]) == (True, True)
    assert server.state(waits) is State.PENDING


def test_a_job_that_runs_is_not_finished_from_outside(server: Running) -> None:
    """A result never ends a running job: named it is 409, unnamed it is a row of its own."""
    connection = server.connection()
    client = server.admin()
    job = start(client, connection)["id"]
    assert server.start_next() == job
    assert record(client, connection, id=job).status_code == 409
    assert record(client, connection).json()["id"] != job
    assert server.state(job) is State.RUNNING


def test_a_result_may_name_its_job(server: Running) -> None:
    """``id`` picks one waiting job of that connection; a finished one is 409, another's 400."""
    connection, other = server.connection(), server.connection()
    client = server.admin()
    start(client, connection)
    second = start(client, connection)["id"]
    assert record(client, connection, id=second).json()["id"] == second
    assert record(client, connection, id=second).status_code == 409
    assert record(client, other, id=second).json() == {
        "id": [f'Invalid pk "{second}" - object does not exist.']
    }
    assert record(client, connection, id=9999).status_code == 400


def test_a_preview_is_never_finished_from_outside(server: Running) -> None:
    """A waiting preview is no job that a result could be for."""
    connection = server.connection()
    client = server.admin()
    preview = start(client, connection, preview=True)["id"]
    assert record(client, connection).json()["id"] != preview
    assert record(client, connection, id=preview).status_code == 400
    assert server.state(preview) is State.PENDING


def test_ready_true_needs_no_message(server: Running) -> None:
    """The message may be missing where ``ready: true`` is written out, as the seeds' table says."""
    connection = server.connection()
    body = {"connection": connection, "automatic": True, "ready": True, "succeeded": True}
    answer = server.admin().post("jobs/alm/", json=body)
    assert (answer.status_code, answer.json()["result_message"]) == (201, "")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"connection": None}, {"connection"}),
        ({"connection": "one"}, {"connection"}),
        ({"connection": 99}, {"connection"}),
        ({"connection": 2**70}, {"connection"}),
        ({"connection": True}, {"connection"}),
        ({"automatic": "maybe"}, {"automatic"}),
        ({"automatic": ...}, {"automatic"}),
        ({"ready": 7, "connection": ...}, {"ready", "connection", "succeeded", "result_message"}),
        ({"ready": ...}, {"succeeded", "result_message"}),
        ({"ready": True}, {"succeeded"}),
        ({"succeeded": True}, {"ready"}),
        ({"result_message": "x"}, {"ready"}),
        ({"only": ""}, {"only"}),
        ({"only": ["T1"]}, {"only"}),
        ({"ready": True, "succeeded": True, "preview": True}, {"preview"}),
    ],
)
def test_wrong_fields_are_named(server: Running, change: dict[str, Any], fields: set[str]) -> None:
    """A wrong body is 400 and names each wrong field; nothing is queued."""
    body = {"connection": server.connection(), "automatic": False, "ready": False, **change}
    body = {name: value for name, value in body.items() if value is not ...}
    answer = server.admin().post("jobs/alm/", json=body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == fields
    assert all(isinstance(texts, list) for texts in answer.json().values())
    with server.database.read() as c:
        assert not any(queue.open_count(c).values())


def test_the_kind_in_the_path_counts(server: Running) -> None:
    """A connection of another kind, or of another project, is no connection here."""
    project, other = server.project("One"), server.project("Two")
    connection = server.connection(project_id=project)
    client = server.admin()
    body = {"connection": connection, "automatic": False, "ready": False}
    assert client.post("jobs/analysis/", json=body).status_code == 400
    assert client.post(f"projects/{other}/jobs/alm/", json=body).status_code == 400
    assert client.post("projects/99/jobs/alm/", json=body).status_code == 404
    assert client.post(f"projects/{project}/jobs/alm/", json=body).status_code == 201


def test_what_can_not_run_is_refused(server: Running) -> None:
    """A disabled connection and one that takes files aren't started by hand."""
    client = server.admin()
    disabled = server.connection(enabled=False)
    uploads = server.connection("fortify_file_upload", project_id=server.project(), is_file_upload=True)
    for path, connection in (("jobs/alm/", disabled), ("jobs/analysis/", uploads)):
        answer = client.post(path, json={"connection": connection, "automatic": False, "ready": False})
        assert (answer.status_code, list(answer.json())) == (400, ["connection"])


@pytest.mark.parametrize(
    ("scopes", "run", "result"),
    [
        ((Scope.READ, Scope.EDIT_ALM, Scope.VERIFY), 403, 403),
        ((Scope.RUN,), 201, 201),
        ((Scope.AGENT,), 403, 201),
        ((Scope.ADMIN,), 201, 201),
    ],
)
def test_rights(server: Running, scopes: tuple[Scope, ...], run: int, result: int) -> None:
    """``run`` starts and records, ``agent`` records only."""
    connection = server.connection()
    client = server.client(*scopes)
    body = {"connection": connection, "automatic": False, "ready": False}
    assert client.post("jobs/alm/", json=body).status_code == run
    assert record(client, connection).status_code == result


def test_many_posts_share_commits(server: Running) -> None:
    """A refused POST doesn't take back those that share its commit."""
    connection = server.connection()
    client = server.admin()
    futures = [
        server.database.submit(
            lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=server.clock())
        )
        for _ in range(50)
    ]
    assert client.post("jobs/alm/", json={"connection": 99, "automatic": 0, "ready": 0}).status_code == 400
    assert len({future.result()[0] for future in futures}) == 50
