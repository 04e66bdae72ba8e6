"""Pausing, resuming, and schedules of one's own, over the API."""

from datetime import timedelta

import pytest

from runner.store import pauses, schedule
from runner.store.accounts import Scope
from tests.integration.server.kit import Running


def test_everything_is_paused_by_an_administrator(server: Running) -> None:
    """A pause needs the right to administer, says why, is told by /-/ready, and ends with resume."""
    assert server.client(Scope.RUN).post("pause/", json={}).status_code == 403
    admin = server.admin()
    answer = admin.post("pause/", json={"why": "The disk is copied."})
    assert answer.status_code == 200
    assert (answer.json()["paused"], answer.json()["why"]) == (True, "The disk is copied.")
    ready = admin.get("/-/ready")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["It is paused: The disk is copied."])
    assert admin.get("status/").json()["paused"]["why"] == "The disk is copied."
    assert server.client(Scope.RUN).post("resume/").status_code == 403
    assert admin.post("resume/").json() == {"paused": False, "since": None, "why": None}
    assert server.engine.wakes == 1
    assert admin.get("/-/ready").status_code == 200


def test_a_pause_tells_who_asked_for_it(server: Running) -> None:
    """Without a reason the name of the caller is kept."""
    assert "boss@example.com" in server.admin().post("pause/", json={}).json()["why"]


def test_a_connection_is_paused_by_who_may_edit_it(server: Running) -> None:
    """It is shown as paused, and its jobs are taken again after resume."""
    path = f"connections/alm/{server.connection()}/"
    assert server.client(Scope.EDIT_LDAP).post(f"{path}pause/").status_code == 403
    editor = server.client(Scope.EDIT_ALM, Scope.READ)
    assert editor.post(f"{path}pause/").json()["paused"] is True
    assert editor.get(path).json()["paused"] is True
    assert editor.post(f"{path}resume/").json()["paused"] is False
    assert editor.post("connections/ldap/1/pause/").status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("schedule", "sometimes", "is not a cron expression"),
        ("schedule", "0 0 30 2 *", "is not a cron expression"),
        ("timezone", "Mars/Olympus", "is not a time zone"),
    ],
)
def test_a_schedule_that_can_t_be_read_is_refused(server: Running, field: str, value: str, says: str) -> None:
    """The field is named, with an example of what it may hold."""
    answer = server.client(Scope.EDIT_ALM).patch(
        f"connections/alm/{server.connection()}/", json={field: value}
    )
    assert answer.status_code == 400
    assert says in answer.json()[field][0]


def test_a_new_schedule_is_due_when_the_scheduler_says_so(server: Running) -> None:
    """A changed schedule, zone or switch forgets the slot that was computed; null takes it away."""
    connection = server.connection()
    editor, path = server.client(Scope.EDIT_ALM, Scope.READ), f"connections/alm/{connection}/"
    for change in (
        {"schedule": "26 1 * * mon-fri"},
        {"timezone": "Europe/Berlin"},
        {"frequency": "daily"},
        {"enabled": False},
        {"schedule": None, "timezone": None},
    ):
        _set_slot(server, connection)
        shown = editor.patch(path, json=change).json()
        assert shown["next_run"] is None
        assert {name: shown[name] for name in change} == change
    _set_slot(server, connection)
    assert editor.patch(path, json={"alias": "Other"}).json()["next_run"] is not None


def _set_slot(server: Running, connection: int) -> None:
    following = server.clock() + timedelta(hours=1)
    server.database.write(lambda c: schedule.set_next(c, [(connection, following)]))


def test_a_pause_in_the_store_is_everyone_s(server: Running) -> None:
    """Whoever paused it, by whatever way, the API tells it."""
    server.database.write(lambda c: pauses.pause(c, why="It was restored.", now=server.clock()))
    assert server.admin().get("status/").json()["not_ready"] == ["It is paused: It was restored."]
