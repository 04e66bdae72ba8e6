"""Connections to SQLite or PostgreSQL, and the one way to write.

A write is a function of a connection. On SQLite one runs at a time, up to 200 in one
``BEGIN IMMEDIATE`` (its busy handler isn't fair: two writers starve each other), and who
asked for them goes on after the commit; so a commit to disk is shared by all who wait for one. On
PostgreSQL each has a transaction of its own, repeated when the server asks for that.

A write may run more than once before its future resolves: it must change nothing but the
database.
"""

import contextlib
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from runner import faultpoint
from runner.errors import StoreAway, StoreError, StoreFull
from runner.store.prepared import Prepared

T = TypeVar("T")
Write = Callable[[sa.Connection], T]

GROUP = 200
"""Writes that share one commit at the most."""

_GATHER = 0.0002
"""Seconds that a writer waits for company, if the last one had some: the commit costs more."""

_CLOSED = "The store is closed."

_STUCK = 300.0
"""Seconds without a commit, while something waits for one, after which the writer makes no progress."""

_log = structlog.get_logger(part="store")

_REPEATS = 6
_REPEATABLE = {"40P01", "40001", "23505"}  # deadlock, serialization, unique (a lost race)


class _Asked(Generic[T]):
    """A write, and its outcome for whoever waits for it."""

    __slots__ = ("done", "error", "future", "result", "write")

    def __init__(self, write: Write[T], future: Future[T] | None = None) -> None:
        self.write = write
        self.future = future
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None

    def settle(self, result: T | None, error: Exception | None = None) -> None:
        self.result, self.error, self.done = result, error, True
        if self.future is None or self.future.done() or not self._begin(self.future):
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(cast("T", result))

    @staticmethod
    def _begin(future: Future[T]) -> bool:
        """Whether the future is still to be answered, by us: a trouble with one must not reach others."""
        try:
            return future.set_running_or_notify_cancel()
        except RuntimeError:
            _log.exception("store_answer_was_lost")
            return False


_AWAY = re.compile(r"\b(connect|connection)\b|unable to open")
"""What drivers say when nobody is there. (A lock on the table ``connections`` is another matter.)"""


def translate(error: DBAPIError) -> Exception:
    """Turn the database's error into the operator's sentence, where there is one."""
    text = str(error.orig)
    if "disk is full" in text or "disk I/O error" in text or "No space left" in text:
        return StoreFull("The disk with the store is full; free some space. Nothing is lost.", detail=text)
    if "file is not a database" in text or "disk image is malformed" in text:
        return StoreError("The store is damaged, or isn't one; restore a backup.", detail=text)
    if isinstance(error, OperationalError) and (error.connection_invalidated or _AWAY.search(text)):
        return StoreAway("The database can't be reached.", detail=text)
    return error


class Database:
    """One database; open it with ``open_database``."""

    dialect: str

    def __init__(self, reader: sa.Engine) -> None:
        self._reader = reader
        self._closed = False
        self.commits = 0  # since the start, for benchmarks

    def submit(self, write: Write[T]) -> Future[T]:
        """Have ``write`` run and committed; the future resolves after the commit."""
        raise NotImplementedError

    def write(self, write: Write[T]) -> T:
        """Run and commit ``write``, and wait for it."""
        return self.submit(write).result()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A short reading transaction; keep no cursor open across a message."""
        try:
            # Begun here: a prepared statement alone would begin none, and see what came after the one before.
            with self._reader.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise translate(error) from error

    def healthy(self) -> bool:
        """Whether what was asked for gets written, or is told why not."""
        return True

    def close(self) -> None:
        """Finish what was asked for and let go of all connections."""
        self._reader.dispose()


def _sqlite_engine(path: Path, *, writer: bool) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.pool.StaticPool if writer else sa.pool.QueuePool,
        hide_parameters=True,  # an error's text goes to the log, and values may be secrets
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": 256},
        **({} if writer else {"pool_size": 8, "max_overflow": 32}),
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(driver: Any, _record: object) -> None:
        driver.isolation_level = None  # transactions are begun below, not guessed by the driver
        cursor = driver.cursor()
        if writer:
            # Only a database without tables takes this; it lets retention give space back.
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA journal_size_limit=67108864")
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    statement = Prepared(sa.text("BEGIN IMMEDIATE" if writer else "BEGIN"))

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        statement.count(connection, {})

    return engine


class SQLite(Database):
    """A file, one writer at a time, any number of readers.

    Whoever asks for a write while nobody writes does it on its own thread, together with all
    that others asked for meanwhile; so no thread is woken only to write, and a commit is
    shared as soon as there is more than one who wants it.
    """

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._writing = _sqlite_engine(path, writer=True)
        # The writer opens first: it creates the file and switches it to WAL.
        try:
            self._connection = self._writing.connect()
        except DBAPIError as error:
            raise translate(error) from error
        super().__init__(_sqlite_engine(path, writer=False))
        self._asked: deque[_Asked[Any]] = deque()
        self._turn = threading.Lock()  # held by the one who writes
        self._company = 1  # writes in the last commit
        self._beat = time.monotonic()  # when the last commit came to an end
        self._submitted: queue.SimpleQueue[_Asked[Any] | None] = queue.SimpleQueue()
        self._door = threading.Lock()  # nothing is submitted after the end mark
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, write: Write[T]) -> T:
        asked = _Asked(write)
        self._do(asked)
        if asked.error is not None:
            raise asked.error
        return cast("T", asked.result)

    def submit(self, write: Write[T]) -> Future[T]:
        future: Future[T] = Future()
        with self._door:
            if self._closed:
                raise StoreError(_CLOSED)
            self._submitted.put(_Asked(write, future))
        return future

    def _serve(self) -> None:
        """Do what was submitted without waiting, in groups."""
        while (asked := self._submitted.get()) is not None:
            try:
                self._serve_group(asked)
            except Exception as error:  # noqa: BLE001 - a dead writer would keep everybody waiting for ever
                _log.exception("store_writer_failed")
                asked.settle(None, error)

    def _serve_group(self, asked: _Asked[Any]) -> None:
        self._asked.append(asked)
        while not self._submitted.empty() and len(self._asked) < GROUP:
            following = self._submitted.get()
            if following is None:
                self._submitted.put(None)  # the end; for the loop above, after this group
                break
            self._asked.append(following)
            asked = following
        self._do(asked, queued=True)

    def _do(self, asked: _Asked[Any], *, queued: bool = False) -> None:
        """Have ``asked`` written, by this thread or by one that came first."""
        if not queued:
            self._asked.append(asked)
        while not asked.done:
            with self._turn:
                self._take_turn(asked)

    def _take_turn(self, asked: _Asked[Any]) -> None:
        """Write what waits, unless another did so meanwhile."""
        if asked.done:
            return
        if self._connection.closed:
            asked.settle(None, StoreError(_CLOSED))
            return
        if self._company > 1 and len(self._asked) <= self._company:
            time.sleep(_GATHER)
        self._commit_group()

    def _commit_group(self) -> None:
        group = [self._asked.popleft() for _ in range(min(GROUP, len(self._asked)))]
        self._company = len(group)
        self._commit(group)
        self._beat = time.monotonic()

    def _commit(self, group: list[_Asked[Any]]) -> None:
        try:
            with self._connection.begin():
                results = [asked.write(self._connection) for asked in group]
                faultpoint.reach("commit")
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            if len(group) > 1:
                # One of them failed and took the others' work with it: each by itself.
                for asked in group:
                    self._commit([asked])
            else:
                group[0].settle(None, translate(error) if isinstance(error, DBAPIError) else error)
            return
        self.commits += 1
        faultpoint.reach("committed")
        for asked, result in zip(group, results, strict=True):
            asked.settle(result)

    def healthy(self) -> bool:
        """Whether the writer lives, and comes round while there is something to write."""
        if self._closed:
            return True
        waiting = bool(self._asked) or not self._submitted.empty()
        return self._thread.is_alive() and not (waiting and time.monotonic() - self._beat > _STUCK)

    def close(self) -> None:
        with self._door:
            if not self._closed:
                self._closed = True
                self._submitted.put(None)
        self._thread.join()
        with self._turn:
            while self._asked:
                self._commit_group()
            self._connection.close()
        super().close()
        self._writing.dispose()


class PostgreSQL(Database):
    """A server, shared by any number of daemons."""

    dialect = "postgresql"

    def __init__(self, url: sa.URL) -> None:
        super().__init__(
            sa.create_engine(
                url,
                pool_size=8,
                max_overflow=32,
                pool_pre_ping=True,
                hide_parameters=True,  # an error's text goes to the log, and values may be secrets
                connect_args={"connect_timeout": 10},
            )
        )
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="store-writer")

    def submit(self, write: Write[T]) -> Future[T]:
        if self._closed:
            raise StoreError(_CLOSED)
        return self._threads.submit(self._write, write)

    def write(self, write: Write[T]) -> T:
        if self._closed:
            raise StoreError(_CLOSED)
        return self._write(write)

    def _write(self, write: Write[T]) -> T:
        repeat = 0
        while True:
            try:
                with self._reader.begin() as connection:
                    result = write(connection)
                    faultpoint.reach("commit")
            except DBAPIError as error:
                repeat += 1
                if getattr(error.orig, "sqlstate", None) not in _REPEATABLE or repeat > _REPEATS:
                    raise translate(error) from error
                time.sleep(0.002 * 2**repeat)
            else:
                self.commits += 1
                faultpoint.reach("committed")
                return result

    def close(self) -> None:
        self._closed = True
        self._threads.shutdown()
        super().close()


def open_database(url: str) -> Database:
    """Open the database that ``url`` names: ``sqlite:///path`` or ``postgresql+psycopg://…``."""
    try:
        parsed = sa.engine.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError("[store] url is not a database URL.", detail=str(error)) from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database:
            return SQLite(Path(parsed.database))
        case "postgresql":
            try:
                return PostgreSQL(parsed.set(drivername="postgresql+psycopg"))
            except ModuleNotFoundError as error:
                msg = "PostgreSQL wants the package's extra: install integration-runner[postgresql]."
                raise StoreError(msg) from error
    msg = "[store] url begins with neither sqlite:/// nor postgresql+psycopg://."
    raise StoreError(msg)
