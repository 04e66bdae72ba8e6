"""Several daemons on one PostgreSQL share its jobs, and outlive one another."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from runner.model.jobs import Kind
from runner.store import connections, queue
from runner.store.database import Database, open_database
from tests.servers.machine import Machine, install_acme
from tests.servers.processes import assert_none_left
from tests.servers.waiting import PATIENCE, until

CONNECTIONS = 50
JOBS_OF_EACH = 20
JOBS = CONNECTIONS * JOBS_OF_EACH
NAPS = (0.0, 0.01, 0.03)  # seconds, in turn
LEASE = 6  # seconds

WATCH = """
CREATE TABLE moves (
    number BIGINT GENERATED ALWAYS AS IDENTITY, job BIGINT, connection BIGINT,
    was TEXT, state TEXT, owner TEXT, outcome TEXT
);
CREATE FUNCTION note_move() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO moves (job, connection, was, state, owner, outcome)
    VALUES (NEW.id, NEW.connection_id, OLD.state, NEW.state, NEW.owner, NEW.outcome);
    RETURN NULL;
END $$;
CREATE TRIGGER note_move AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION note_move();
"""
"""Has the database itself write down each change of a job's state."""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which somebody else's connectors are installed."""
    folder = tmp_path_factory.mktemp("plugins")
    install_acme(folder)
    return folder


@pytest.fixture
def new_machine(tmp_path: Path, postgres_url: str, plugins: Path) -> Callable[[str], Machine]:
    """Give a function that makes one of the machines that share the database."""

    def make(name: str) -> Machine:
        (tmp_path / name).mkdir()
        return Machine(
            tmp_path / name / "state",
            {
                "RUNNER__SERVER__LISTEN": "",
                "RUNNER__STORE__URL": postgres_url,
                "RUNNER__ENGINE__LEASE": f"{LEASE}s",
                "RUNNER__PLUGINS__PATH": str(plugins),
                "RUNNER__PLUGINS__ALLOW": '["acme_nap"]',
            },
        )

    return make


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Give the database that the daemons share."""
    with closing(open_database(postgres_url)) as database:
        yield database


def furnish(database: Database, beds: Path) -> list[int]:
    """Add the connections, each with a bed of its own."""
    database.write(lambda c: c.exec_driver_sql(WATCH))
    made = []
    for number in range(CONNECTIONS):
        bed = beds / f"{number}"
        bed.touch()
        params = {"bed": str(bed), "seconds": NAPS[number % len(NAPS)]}
        made.append(database.write(lambda c, params=params: add_connection(c, params)))  # type: ignore[misc]  # bound early
    return made


def add_connection(c: sa.Connection, params: dict[str, object]) -> int:
    """Add a connection that naps."""
    return connections.create(
        c,
        kind=Kind.ALM,
        system="acme_nap",
        alias="Nap",
        command="sync_acme_nap",
        project_id=None,
        params=params,
        now=datetime.now(UTC),
    )


def ask(database: Database, places: list[int], times: int) -> None:
    """Enqueue ``times`` jobs at each connection, all at one moment: so all daemons begin together."""

    def enqueue(c: sa.Connection) -> None:
        for _ in range(times):
            for place in places:
                queue.enqueue(c, connection_id=place, kind=Kind.ALM, now=datetime.now(UTC))

    database.write(enqueue)


def finished(database: Database) -> int:
    """How many jobs have an outcome."""
    with database.read() as c:
        return int(c.exec_driver_sql("SELECT count(*) FROM jobs WHERE state = 'finished'").scalar_one())


@pytest.mark.slow
def test_a_killed_daemons_jobs_are_done_by_the_other(
    new_machine: Callable[[str], Machine], database: Database, tmp_path: Path
) -> None:
    """Of a thousand jobs each is finished once, and no connection ever runs twice at a time."""
    with ExitStack() as stack:
        doomed = stack.enter_context(new_machine("doomed").daemon())
        survivor = stack.enter_context(new_machine("survivor").daemon())
        places = furnish(database, tmp_path)
        ask(database, places, JOBS_OF_EACH - 2)
        until("a quarter of the jobs done", lambda: finished(database) > JOBS // 4)
        doomed.kill()
        doomed.wait()
        assert_none_left(doomed.pid, seconds=LEASE)  # before its jobs may be taken back
        ask(database, places, 2)
        until("all jobs done", lambda: finished(database) == JOBS)
        assert survivor.poll() is None

    with database.read() as c:
        moves = c.exec_driver_sql("SELECT * FROM moves ORDER BY number").all()
    ends = [move for move in moves if move.state == "finished"]
    assert Counter(move.outcome for move in ends) == {"succeeded": JOBS}
    assert max(Counter(move.job for move in ends).values()) == 1
    assert [move for move in moves if (move.was, move.state) == ("running", "pending")], "nothing was rescued"
    claims = Counter(move.owner for move in moves if move.state == "running")
    assert len(claims) == 2
    assert min(claims.values()) > JOBS // 50

    runs: defaultdict[int, set[int]] = defaultdict(set)
    order: defaultdict[int, list[int]] = defaultdict(list)
    for move in moves:
        if move.state == "running":
            runs[move.connection].add(move.job)
            assert len(runs[move.connection]) == 1, move
        elif move.was == "running":
            runs[move.connection].remove(move.job)
        if move.state == "finished":
            order[move.connection].append(move.job)
    assert all(jobs == sorted(jobs) for jobs in order.values())


@pytest.mark.slow
def test_daemons_can_start_on_an_empty_database_together(
    new_machine: Callable[[str], Machine], database: Database
) -> None:
    """Whoever comes first makes the tables; the other finds them; each has one service account."""
    both_answer = Barrier(2)

    def live(machine: Machine) -> None:
        with machine.daemon():
            both_answer.wait(PATIENCE)

    with ThreadPoolExecutor(2) as threads:
        for life in [threads.submit(live, new_machine(name)) for name in ("one", "two")]:
            life.result()
    with database.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 1
