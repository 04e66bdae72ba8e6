"""What every write to the store may rely on, whichever database it stands on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.errors import StoreAway, StoreError, StoreFull
from runner.store.database import GROUP, Database, SQLite, open_database, translate
from runner.store.prepared import Prepared
from runner.store.schema import facts
from tests.servers.waiting import PATIENCE


def put(c: sa.Connection, name: str, value: str = "") -> str:
    """Add a fact; there may be one of a name."""
    c.execute(sa.insert(facts).values(name=name, value=value))
    return name


def names(database: Database) -> list[str]:
    """The facts that are committed."""
    with database.read() as c:
        return list(c.scalars(sa.select(facts.c.name).order_by(facts.c.name)))


@contextmanager
def held_up(database: Database) -> Iterator[None]:
    """Keep the store busy with one write, so that others gather behind it."""
    begun, go = threading.Event(), threading.Event()

    def hold(c: sa.Connection) -> None:
        put(c, "held up")
        begun.set()
        assert go.wait(PATIENCE)

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(database.write, hold)
        assert begun.wait(PATIENCE)
        try:
            yield
        finally:
            go.set()
            holding.result(PATIENCE)


def test_a_write_is_committed_when_its_call_returns(database: Database, store_url: str) -> None:
    """Whoever wrote may promise it to others: another process sees it at once."""
    assert database.write(lambda c: put(c, "kept")) == "kept"
    with closing(open_database(store_url)) as other:
        assert names(other) == ["kept"]


def test_a_future_resolves_after_the_commit(database: Database) -> None:
    """A submitted write is visible to all as soon as its future says so."""
    seen: Future[list[str]] = Future()
    future = database.submit(lambda c: put(c, "kept"))
    future.add_done_callback(lambda _: seen.set_result(names(database)))
    assert future.result(PATIENCE) == "kept"
    assert seen.result(PATIENCE) == ["kept"]


def test_a_write_that_fails_writes_nothing(database: Database) -> None:
    """Half a write is never committed."""

    def half(c: sa.Connection) -> None:
        put(c, "first half")
        raise LookupError

    with pytest.raises(LookupError):
        database.write(half)
    assert names(database) == []


def test_a_failing_write_fails_its_own_caller_only(database: Database) -> None:
    """Of writes that share a commit, the bad ones raise where they were asked for; the others are kept."""

    def fail(_: sa.Connection) -> None:
        raise LookupError

    futures: list[Future[object]] = []
    with held_up(database):
        for number in range(20):
            futures.append(database.submit(partial(put, name=f"good {number:02}")))
            futures.append(database.submit(fail))
            futures.append(database.submit(lambda c: put(c, "held up")))  # there is one before it
    for good, failing, second in zip(futures[::3], futures[1::3], futures[2::3], strict=True):
        assert good.exception(PATIENCE) is None
        assert isinstance(failing.exception(PATIENCE), LookupError)
        assert isinstance(second.exception(PATIENCE), sa.exc.IntegrityError)
    assert names(database) == [*(f"good {number:02}" for number in range(20)), "held up"]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_writes_that_wait_share_a_commit(database: Database) -> None:
    """On SQLite a burst of writes costs a few commits, not one each."""
    with held_up(database):
        before = database.commits
        futures = [database.submit(partial(put, name=f"{number}")) for number in range(2 * GROUP)]
    for future in futures:
        future.result(PATIENCE)
    assert database.commits - before <= 6
    assert len(names(database)) == 2 * GROUP + 1


def test_writers_on_many_threads_lose_nothing(database: Database) -> None:
    """Sixteen threads that add to the same row at once end at the sum."""
    database.write(lambda c: put(c, "sum", "0"))
    together = threading.Barrier(16)

    def add(c: sa.Connection) -> None:
        of_sum = facts.c.name == "sum"
        value = c.scalar(sa.select(facts.c.value).where(of_sum).with_for_update())
        c.execute(sa.update(facts).where(of_sum).values(value=str(int(value or 0) + 1)))

    def run() -> None:
        together.wait(PATIENCE)
        for _ in range(10):
            database.write(add)
            database.submit(add).result(PATIENCE)

    with ThreadPoolExecutor(16) as threads:
        for future in [threads.submit(run) for _ in range(16)]:
            future.result(PATIENCE)
    with database.read() as c:
        assert c.scalar(sa.select(facts.c.value)) == "320"


def test_a_reader_is_not_kept_waiting_by_a_writer(database: Database) -> None:
    """While a write is under way, reading goes on and sees what was committed before it."""
    database.write(lambda c: put(c, "before"))
    with held_up(database):
        assert names(database) == ["before"]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_reader_sees_one_moment(database: Database) -> None:
    """What is written while somebody reads isn't there for them, by prepared statements neither."""
    every = Prepared(sa.select(facts.c.name))
    database.write(lambda c: put(c, "before"))
    with database.read() as c:
        assert [row.name for row in every.rows(c, {})] == ["before"]
        database.write(lambda c: put(c, "meanwhile"))
        assert [row.name for row in every.rows(c, {})] == ["before"]
    assert len(names(database)) == 2


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_reader_cannot_write(database: Database) -> None:
    """All that is written on SQLite goes through the one writer."""
    with pytest.raises(sa.exc.OperationalError, match="readonly"), database.read() as c:
        put(c, "by the way")


def test_foreign_keys_are_kept(database: Database) -> None:
    """A row never refers to one that isn't there."""
    insert = sa.text("INSERT INTO tokens (user_id, hash, scopes, created) VALUES (77, 'x', '[]', 0)")
    with pytest.raises(sa.exc.IntegrityError):
        database.write(lambda c: c.execute(insert))


def test_closing_finishes_what_was_asked(database: Database, store_url: str) -> None:
    """Writes that wait when the store is closed are made all the same."""
    futures = [database.submit(partial(put, name=f"{number:03}")) for number in range(50)]
    database.close()
    assert [future.result(0) for future in futures] == [f"{number:03}" for number in range(50)]
    with closing(open_database(store_url)) as other:
        assert len(names(other)) == 50


def test_closing_leaves_no_writer_in_doubt(database: Database, store_url: str) -> None:
    """A write that was asked for before the store was closed is either made or refused, never left."""
    together = threading.Barrier(9)

    def run(number: int) -> int:
        together.wait(PATIENCE)
        for turn in range(1000):
            try:
                database.write(lambda c, name=f"{number} {turn}": put(c, name))  # type: ignore[misc]  # bound early
            except StoreError:
                return turn
        return 1000

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(run, number) for number in range(8)]
        together.wait(PATIENCE)
        database.close()
        made = sum(future.result(PATIENCE) for future in running)
    with closing(open_database(store_url)) as other:
        assert len(names(other)) == made


@pytest.mark.parametrize("ask", [Database.write, Database.submit])
def test_a_closed_store_says_so(database: Database, ask: Callable[..., object]) -> None:
    """After the end nobody waits in vain for a write."""
    database.close()
    with pytest.raises(StoreError, match="closed"):
        getattr(database, ask.__name__)(lambda c: put(c, "late"))


def test_closing_twice_is_harmless(database: Database) -> None:
    """Whoever ends the daemon need not know who was first."""
    database.close()
    database.close()


def test_a_write_nobody_waits_for_is_made(database: Database) -> None:
    """A caller who gives up, as a request whose client left, disturbs neither its write nor others."""
    with held_up(database):
        first = database.submit(partial(put, name="first"))
        given_up = [database.submit(partial(put, name=f"given up {number}")) for number in range(20)]
        for future in given_up:
            future.cancel()
        last = database.submit(partial(put, name="last"))
    assert (first.result(PATIENCE), last.result(PATIENCE)) == ("first", "last")
    assert {"first", "last"} <= set(names(database))


@pytest.mark.parametrize("url", ["mysql://there/db", "sqlite://", "nonsense", ""])
def test_an_unknown_url_is_refused(url: str) -> None:
    """A store that can't be is refused with the setting's name."""
    with pytest.raises(StoreError, match=r"\[store\] url"):
        open_database(url)


def test_a_store_nobody_serves_is_away(tmp_path: Path) -> None:
    """A database that doesn't answer is told from a defect."""
    with closing(open_database(f"postgresql+psycopg://runner@/x?host={tmp_path}")) as database:
        with pytest.raises(StoreAway), database.read():
            pass
        with pytest.raises(StoreAway):
            database.write(lambda c: put(c, "x"))


def test_a_store_in_no_folder_is_away(tmp_path: Path) -> None:
    """An SQLite file that can't be opened is told as a store out of reach."""
    with pytest.raises(StoreAway):
        open_database(f"sqlite:///{tmp_path}/nowhere/runner.db")


def test_a_file_of_another_sort_is_not_touched(tmp_path: Path) -> None:
    """A setting that names some other file is told so, and the file stays as it was."""
    file = tmp_path / "letter"
    file.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreError, match="isn't one"):
        open_database(f"sqlite:///{file}")
    assert file.read_text() == "Dear Sir or Madam, " * 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("database or disk is full", StoreFull),
        ("disk I/O error", StoreFull),
        ('could not extend file "base/1/2": No space left on device', StoreFull),
        ("server closed the connection unexpectedly", StoreAway),
        ("terminating connection due to administrator command", StoreAway),
        ("could not connect to server", StoreAway),
        ("unable to open database file", StoreAway),
        ('deadlock detected while locking tuple (0,1) in relation "connections"', sa.exc.OperationalError),
        ("no such table: connections", sa.exc.OperationalError),
    ],
)
def test_a_drivers_error_is_translated(text: str, expected: type[Exception]) -> None:
    """The operator hears of a full disk and of a lost server in words; a defect stays a defect."""
    assert type(translate(sa.exc.OperationalError("SELECT 1", {}, Exception(text)))) is expected


def test_a_writer_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """Whoever watches the daemon hears that writes that were asked for will never be made."""
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    assert isinstance(database, SQLite)
    assert database.healthy()
    database._submitted.put(None)  # its mark for the end, though it isn't closed
    database._thread.join(60)
    assert not database.healthy()
    database.close()
    assert database.healthy()


def test_a_trouble_of_the_writer_ends_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the writer meets, whoever waits is told, and the next write is made."""
    with closing(open_database(f"sqlite:///{tmp_path / 'store.db'}")) as database:

        def fail(*_: object, **__: object) -> None:
            monkeypatch.undo()
            raise RuntimeError("Future in unexpected state")

        monkeypatch.setattr(database, "_do", fail)
        with pytest.raises(RuntimeError, match="unexpected state"):
            database.submit(lambda c: c.scalar(sa.text("SELECT 1"))).result(60)
        assert database.submit(lambda c: c.scalar(sa.text("SELECT 2"))).result(60) == 2
        assert database.healthy()


def test_an_answer_that_was_given_is_not_given_again(tmp_path: Path) -> None:
    """A write whose future came to an end elsewhere takes nobody else's work with it."""
    with closing(open_database(f"sqlite:///{tmp_path / 'store.db'}")) as database:
        begun, go_on = threading.Event(), threading.Event()

        def slow(_c: sa.Connection) -> int:
            begun.set()
            assert go_on.wait(60)
            return 1

        first = database.submit(slow)
        assert begun.wait(60)
        second = database.submit(lambda _c: 2)
        assert first.set_running_or_notify_cancel()  # somebody else's doing, at the worst moment
        go_on.set()
        assert second.result(60) == 2
