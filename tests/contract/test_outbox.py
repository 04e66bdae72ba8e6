"""Results on their way to a remote server, as deliveries read them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from runner.model.jobs import Kind
from runner.store import connections, intake, outbox
from runner.store.intake import RemoteConnection, RemoteJob
from runner.store.queue import Origin
from runner.store.vault import Vault, is_sealed
from tests.contract.desk import NOW, Desk, at

VAULT = Vault(Path("/nowhere/key"))  # nothing here is secret


def finished(desk: Desk, remote_id: int, *, connection: int = 1) -> int:
    """A job of a remote server that has ended here; its number."""
    where = RemoteConnection(
        remote="far",
        remote_id=connection,
        kind=Kind.ALM,
        system="acme_noop",
        alias=f"Far {connection}",
        command="",
        params={},
        project=None,
    )
    origin = Origin(remote_id=remote_id, seen="2026-03-01T11:00:00.000000+00:00")
    made = desk.do(
        intake.take, RemoteJob(connection=where, origin=origin, automatic=False), now=NOW, vault=VAULT
    )
    assert made is not None
    desk.finish(desk.claim().job)
    return made


def waiting(desk: Desk, seconds: float) -> dict[int, bool]:
    """The results that are owed at an instant, and whether each was put off."""
    found = desk.ask(outbox.due, "far", now=at(seconds), after=0, limit=100)
    return {letter.job_id: letter.waits for letter in found}


def test_a_result_that_was_put_off_is_told_as_waiting(desk: Desk) -> None:
    """It stays in its place, so that nothing of its connection goes before it, until its time has come."""
    first, second = finished(desk, 1), finished(desk, 2)
    desk.do(outbox.put_off, first, until=at(5), why="Not now.")
    assert waiting(desk, 1) == {first: True, second: False}
    assert waiting(desk, 5) == {first: False, second: False}


def test_a_clock_that_is_put_back_delays_no_result(desk: Desk) -> None:
    """What was put off for seconds by a clock that ran a day ahead goes when the clock is right again."""
    job = finished(desk, 1)
    desk.do(outbox.put_off, job, until=at(5) + timedelta(days=1), why="Not now.")
    assert waiting(desk, 1) == {job: False}


def test_a_secret_that_was_stored_as_it_is_is_sealed_when_it_is_seen_again(
    desk: Desk, tmp_path: Path
) -> None:
    """What was kept before it was known for a secret doesn't stay readable until the server changes it."""
    vault = Vault(tmp_path / "key")
    where = RemoteConnection(
        remote="far",
        remote_id=1,
        kind=Kind.ALM,
        system="acme_noop",
        alias="Far",
        command="",
        params={"password": "opensesame", "lock": "/door"},
        project=None,
    )
    made = desk.do(intake.keep_connection, where, now=NOW, vault=vault)
    entry = desk.ask(connections.get, made)
    assert entry is not None
    assert entry.connection.params["password"] == "opensesame"
    known = replace(where, secret=frozenset({"password"}))
    desk.do(intake.keep_connection, known, now=NOW, vault=vault)
    entry = desk.ask(connections.get, made)
    assert entry is not None
    assert is_sealed(entry.connection.params["password"])
    assert vault.open(entry.connection.params) == where.params
    before = entry.connection.params
    desk.do(intake.keep_connection, known, now=NOW, vault=vault)
    entry = desk.ask(connections.get, made)
    assert entry is not None
    assert entry.connection.params == before
