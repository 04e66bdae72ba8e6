"""Delivery of results that wait, beside a bare loop of ``requests`` at the same server.

    python -m benchmarks.delivery [RESULTS]

A daemon's server on this machine, and results in the outbox of another store; nothing else
runs. Both post the same rows, in turns; the figures are medians of their requests per second.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import requests
import sqlalchemy as sa

from runner.daemon import Daemon
from runner.delivery import Deliverer
from runner.model.jobs import Kind
from runner.model.network import Network
from runner.sdelements.server import Presence
from runner.settings import Remote, Settings
from runner.store import accounts, connections, intake, migrate, queue
from runner.store.accounts import Role, Scope
from runner.store.database import Database, open_database
from runner.store.intake import RemoteConnection
from runner.store.schema import jobs
from runner.store.vault import Vault

ROUNDS = 5
TARGET = 0.8  # of the bare loop's requests per second
CONNECTIONS = 50


def now() -> datetime:
    return datetime.now(UTC)


def token(c: sa.Connection) -> str:
    user = accounts.create_user(c, email="bench@example.com", role=Role.ADMINISTRATOR, now=now())
    return accounts.create_token(c, user_id=user, scopes=[Scope.ADMIN], expires=None, now=now())[1]


def place(c: sa.Connection, number: int) -> int:
    """A connection over there."""
    return connections.create(
        c,
        kind=Kind.ALM,
        system="bench",
        alias=f"Far {number}",
        command="",
        project_id=None,
        params={},
        inaccessible=True,
        now=now(),
    )


def owe(c: sa.Connection, places: list[int], number: int) -> None:
    """Finished jobs here whose results the server hasn't got."""
    kept = [
        intake.keep_connection(
            c,
            RemoteConnection(
                remote="sde",
                remote_id=remote_id,
                kind=Kind.ALM,
                system="bench",
                alias=f"Far {remote_id}",
                command="",
                params={},
                project=None,
            ),
            now=now(),
            vault=Vault(Path("key")),  # nothing of theirs is secret
        )
        for remote_id in places
    ]
    made = [
        queue.enqueue(c, connection_id=kept[count % len(kept)], kind=Kind.ALM, now=now(), automatic=True)[0]
        for count in range(number)
    ]
    c.execute(
        sa.update(jobs)
        .where(jobs.c.id.in_(made))
        .values(state="finished", outcome="succeeded", result_message="Nothing to change.")
    )


def bare(base: str, secret: str, places: list[int], number: int) -> float:
    """Requests per second of the loop that anybody would write."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Token {secret}"
        begun = time.perf_counter()
        for count in range(number):
            body = {
                "connection": places[count % len(places)],
                "automatic": True,
                "succeeded": True,
                "result_message": "Nothing to change.",
            }
            session.post(f"{base}/api/v2/jobs/alm/", json=body, timeout=30).raise_for_status()
        return number / (time.perf_counter() - begun)


def delivered(store: Database, settings: Remote, number: int) -> float:
    """Requests per second of the delivery, the few reads among its writes not counted."""
    deliverer = Deliverer("sde", settings, store, presence=Presence("sde"), network=Network(), clock=now)
    begun = time.perf_counter()
    while deliverer.delivered < number:
        deliverer.round()
    return number / (time.perf_counter() - begun)


def main(results: int) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        there, here = Path(folder) / "there", Path(folder) / "here"
        there.mkdir()
        here.mkdir()
        options = {"state_dir": str(there), "server": {"listen": "127.0.0.1:0"}}
        daemon = stack.enter_context(Daemon(Settings.model_validate(options)))
        base = f"http://127.0.0.1:{daemon.port}"
        secret = daemon.database.write(token)
        places = [daemon.database.write(lambda c, n=n: place(c, n)) for n in range(CONNECTIONS)]  # type: ignore[misc]  # bound early
        store = open_database(f"sqlite:///{here / 'runner.db'}")
        stack.callback(store.close)
        migrate.upgrade(store)
        settings = Remote(url=base, token=secret)
        share = results // ROUNDS
        loops, ours = [], []
        for _ in range(ROUNDS):
            loops.append(bare(base, secret, places, share))
            store.write(lambda c: owe(c, places, share))
            ours.append(delivered(store, settings, share))
        ratios = [mine / other for mine, other in zip(ours, loops, strict=True)]
        print(f"{results} results in {ROUNDS} rounds, in turns with the bare loop")
        print(f"bare loop: {statistics.median(loops):6.0f} requests/s")
        print(f"delivery:  {statistics.median(ours):6.0f} results/s")
        ratio = statistics.median(ratios)
        print(f"ratio:     {ratio:6.2f} (target {TARGET}: {'met' if ratio >= TARGET else 'missed'})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
