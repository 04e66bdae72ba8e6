"""A private PostgreSQL server: its own folder, a Unix socket only, gone with the process that started it."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

START_DEADLINE = 60.0  # seconds; recovery after a kill is part of a start
STOP_DEADLINE = 30.0  # seconds

_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 32MB
fsync = on
synchronous_commit = on
"""


def find_programs() -> Path | None:
    """Return the folder that holds ``initdb`` and ``postgres``, of the newest version there is."""
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),  # Debian keeps them out of PATH
        key=lambda folder: float(folder.parent.name),
        reverse=True,
    )
    on_path = shutil.which("postgres")
    if on_path:
        candidates.append(Path(on_path).parent)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def server_account() -> str:
    """Return the user to run the server as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LookupError("no unprivileged account to run PostgreSQL as")


@dataclass(kw_only=True)
class PostgresServer:
    """One server over one folder; it can be stopped, killed and started again under open clients."""

    folder: Path
    programs: Path
    account: str
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def initialise(self) -> None:
        """Create the data folder; whoever may enter it, the account and root, may connect."""
        if os.getuid() == 0:
            shutil.chown(self.folder, self.account)
        subprocess.run(
            [
                *self._as_account(),
                *(str(self.programs / "initdb"), "--pgdata", str(self._data)),
                *("--username=runner", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION.format(socket_folder=self.folder))

    def start(self) -> None:
        """Start the server and return when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                # The parent's death ends the server too, also when a test run is killed.
                [
                    *self._as_account(),
                    "--pdeathsig=QUIT",
                    str(self.programs / "postgres"),
                    "-D",
                    str(self._data),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for pytest, which stops the server in its own time
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(timeout=0.05)  # seconds
                raise RuntimeError(f"PostgreSQL ended with {status}: {self._log.read_text()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL didn't answer: {self._log.read_text()}")

    def stop(self) -> None:
        """Shut down in order; open connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server without a checkpoint, as a power loss would; the next start recovers."""
        self._end(signal.SIGQUIT)

    def create_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"test_{next(self._numbers)}"
        self._administer(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, with whatever is still connected to it."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str) -> str:
        """Return the URL as the setting ``store.url`` takes it."""
        return f"postgresql+psycopg://runner@/{database}?host={quote(str(self.folder), safe='')}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _as_account(self) -> list[str]:
        if os.getuid() != 0:
            return ["setpriv"]
        group = str(pwd.getpwnam(self.account).pw_gid)
        return ["setpriv", f"--reuid={self.account}", f"--regid={group}", "--clear-groups"]

    def _answers(self) -> bool:
        try:
            self._administer(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _administer(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(
            host=str(self.folder), user="runner", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=STOP_DEADLINE)
        finally:
            self._process.kill()  # without effect once it has ended
            self._process.wait()
            self._process = None


@contextmanager
def private_postgres(programs: Path) -> Iterator[PostgresServer]:
    """Run a server for the length of the block; its folder is removed afterwards."""
    # pytest's own temporary folders are closed to the server's account, and too long for a socket's path.
    with tempfile.TemporaryDirectory(prefix="runner-pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(folder=Path(folder), programs=programs, account=server_account())
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
