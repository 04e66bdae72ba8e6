"""``/metrics``: who may see it, and that it is told whatever state things are in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import requests

from runner.errors import StoreAway
from runner.model.jobs import Frequency
from runner.server.app import create_app
from runner.server.serve import HttpServer
from runner.server.services import Services
from runner.settings import Settings
from runner.store import pauses, schedule
from runner.store.accounts import Scope
from tests.integration.server.kit import Running, curl


def told(server: Running) -> dict[str, float]:
    """The metrics by their series."""
    answer = requests.get(f"{server.base}/metrics", timeout=30)
    assert answer.status_code == 200
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


@contextmanager
def serving(services: Services) -> Iterator[str]:
    """The application with other services; its address."""
    http = HttpServer(listen="127.0.0.1:0", app=create_app(services))
    http.start()
    try:
        yield f"http://127.0.0.1:{http.port}"
    finally:
        http.stop()


def test_this_machine_sees_it_without_a_token(server: Running) -> None:
    """Over loopback and over the socket nobody asks who it is."""
    assert told(server)["runner_ready"] == 1
    status, body = curl("--unix-socket", str(server.socket), "http://localhost/metrics")
    assert (status, "runner_ready 1.0" in body) == (200, True)


def test_behind_a_proxy_it_wants_a_token(server: Running) -> None:
    """A proxy may pass on anybody, so each request has to show who it is."""
    behind = Settings.model_validate({"server": {"behind_proxy": True}})
    token = server.token(Scope.READ)
    with serving(replace(server.services, settings_now=lambda: behind)) as base:
        assert requests.get(f"{base}/metrics", timeout=30).status_code == 401
        shown = requests.get(f"{base}/metrics", headers={"Authorization": f"Token {token}"}, timeout=30)
        assert (shown.status_code, "runner_ready" in shown.text) == (200, True)


def test_connections_have_series_of_their_own(server: Running) -> None:
    """Each enabled connection tells its last success, how its last job ended, and its period."""
    made = server.connection(frequency=Frequency.HOURLY)
    server.finished_jobs(made, 1, finished=5_000_000)
    server.finished_jobs(made, 1, finished=7_000_000, outcome="failed")
    server.finished_jobs(made, 1, finished=9_000_000, preview=True)
    server.connection(enabled=False)
    paused = server.connection(frequency=Frequency.DAILY, schedule="0 6 * * mon-fri")
    found = told(server)
    assert found[f'runner_connection_last_success_timestamp_seconds{{connection="{made}"}}'] == 5
    assert found[f'runner_connection_last_run_succeeded{{connection="{made}"}}'] == 0
    assert found[f'runner_connection_period_seconds{{connection="{made}"}}'] == 3600
    assert found[f'runner_connection_period_seconds{{connection="{paused}"}}'] == 3 * 86400
    assert len([series for series in found if series.startswith("runner_connection_info{")]) == 2
    server.database.write(lambda c: pauses.set_connection(c, paused, paused=True, now=server.clock()))
    assert f'runner_connection_period_seconds{{connection="{paused}"}}' not in told(server)


def test_too_many_connections_have_none(server: Running) -> None:
    """Above [metrics] connections the number of series doesn't grow."""
    few = Settings.model_validate({"metrics": {"connections": 1}})
    server.connection()
    with serving(replace(server.services, settings_now=lambda: few)) as base:
        assert "runner_connection_info{" in requests.get(f"{base}/metrics", timeout=30).text
        server.connection()
        assert "runner_connection_info{" not in requests.get(f"{base}/metrics", timeout=30).text


def test_the_queue_is_told(server: Running) -> None:
    """How many jobs wait, since when the oldest does, whether all is paused, how late the scheduler is."""
    client, made = server.admin(), server.connection(frequency=Frequency.HOURLY)
    assert told(server)["runner_jobs_pending"] == 0
    asked = server.clock()
    for _ in range(3):
        body = {"connection": made, "automatic": False, "ready": False}
        assert client.post("jobs/alm/", json=body).status_code == 201
    found = told(server)
    assert found["runner_jobs_pending"] == 3
    assert found["runner_jobs_oldest_pending_timestamp_seconds"] == pytest.approx(asked.timestamp(), abs=1)
    assert (found["runner_paused"], found["runner_schedule_lag_seconds"]) == (0, 0)
    server.database.write(lambda c: pauses.pause(c, why="Tests.", now=server.clock()))
    due = server.clock() - timedelta(seconds=90)
    server.database.write(lambda c: schedule.set_next(c, [(made, due)]))
    found = told(server)
    assert (found["runner_paused"], found["runner_ready"]) == (1, 0)
    assert found["runner_schedule_lag_seconds"] == pytest.approx(90, abs=1)


def test_it_is_told_while_the_store_is_away(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store knows is left out; the rest is told, and that it isn't ready."""

    def away() -> None:
        raise StoreAway("The database can't be reached.")

    monkeypatch.setattr(server.database, "read", away)
    found = told(server)
    assert found["runner_ready"] == 0
    assert "runner_jobs_pending" not in found
