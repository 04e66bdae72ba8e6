"""The daemon as an object: it puts the parts together and gives them a life.

The only module that knows concrete adapters. A test, or the command line, can start and
stop one in its own process.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType

import structlog

from runner import faultpoint, log, sample
from runner.engine.engine import Engine
from runner.engine.workers import start_fork_server
from runner.model.jobs import Outcome
from runner.server.app import create_app
from runner.server.local import as_local_administrator
from runner.server.serve import HttpServer
from runner.server.services import Services
from runner.server.sweep import remove_orphans
from runner.settings import Settings
from runner.store import accounts, listing, migrate
from runner.store.database import Database, open_database
from runner.store.lock import StateLock

STOPPED_EARLY = 75  # exit code: jobs were handed back before the drain was through
_POLL = 0.05  # seconds between looks at the queue in drain_once


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def socket_path(settings: Settings) -> Path:
    """Where the daemon's Unix socket is."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return (Path(folder) if folder else settings.state_dir) / "runner.sock"


class Daemon:
    """One daemon on one state directory; use it with ``with``.

    Without ``loops`` it serves its socket only: no job runs and no port is opened. That is
    what the command line uses while no daemon runs. Without ``listen`` it opens no port. With
    ``with_sample`` the sample is there before anybody can ask for it.
    """

    def __init__(
        self, settings: Settings, *, loops: bool = True, listen: bool = True, with_sample: bool = False
    ) -> None:
        self.settings = settings
        # Without loops it is nobody's daemon: others must not find it where they look for one.
        self.socket_path = socket_path(settings)
        if not loops:
            self.socket_path = self.socket_path.with_name(f"runner.{os.getpid()}.sock")
        self.port: int | None = None  # where TCP listens
        self.notes: list[str] = []  # what its user must see at the start
        self._with_sample = with_sample
        self.started = utc_now()
        self._loops = loops
        self._listen = settings.server.listen if loops and listen else ""
        self._stack = ExitStack()
        self._signals = 0
        self._signalled = threading.Event()
        self._log = structlog.get_logger(part="daemon")
        self.database: Database
        self.engine: Engine

    # --- life ----------------------------------------------------------------------------

    def __enter__(self) -> "Daemon":
        faultpoint.arm("main", os.environ.get("RUNNER_FAULTPOINT"))
        with ExitStack() as stack:
            stack.callback(os.umask, os.umask(0o077))
            if self._loops and threading.current_thread() is threading.main_thread():
                # Before anybody can see that it runs, and so may ask it to stop.
                for number in (signal.SIGTERM, signal.SIGINT):
                    stack.callback(signal.signal, number, signal.signal(number, self._on_signal))
            stack.enter_context(StateLock(self.settings.state_dir))
            # Before any thread, the store or a secret is open.
            start_fork_server()
            uploads = self.settings.state_dir / "uploads"
            uploads.mkdir(mode=0o700, exist_ok=True)
            self.database = open_database(self.settings.store_url)
            stack.callback(self.database.close)
            migrate.upgrade(self.database)
            self.database.write(partial(accounts.service_account, now=utc_now()))
            remove_orphans(uploads, self.database)
            self.engine = Engine(self.settings, self.database, clock=utc_now)
            stack.callback(self._stop_engine)
            services = Services(
                settings=self.settings,
                database=self.database,
                engine=self.engine,
                uploads=uploads,
                clock=utc_now,
            )
            if self._with_sample:
                self._fill_sample(uploads)
            app = create_app(services)
            server = HttpServer(
                listen=self._listen,
                app=app,
                socket_path=self.socket_path,
                socket_app=as_local_administrator(app),
            )
            server.start()
            self.port = server.port
            stack.callback(server.stop)
            if self._loops:
                self.engine.start()
            self._stack = stack.pop_all()
        self._log.info("daemon_started", state_dir=str(self.settings.state_dir), loops=self._loops)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._log.info("daemon_stopped")

    def _stop_engine(self) -> None:
        if not self.engine.stopped:
            self.engine.stop(deadline=0)

    def _fill_sample(self, uploads: Path) -> None:
        state_dir, now = self.settings.state_dir, utc_now()
        sample.fill(self.database, uploads_folder=uploads, now=now)
        path, token = sample.token_file(self.database, state_dir=state_dir, now=now)
        self.notes.append(
            f"The administrator's token is in {path}."
            if token is None
            else f"The administrator's token, also kept in {path}: {token}"
        )

    # --- running -------------------------------------------------------------------------

    def serve_forever(self) -> int:
        """Run until a signal; the exit code.

        The first SIGTERM or SIGINT lets running jobs end, until ``drain_deadline``; the
        second hands them back to the queue; the third ends the process at once.
        """
        while not self._signalled.wait(3600):
            continue
        self._signalled.clear()
        self._log.info("daemon_drains", running=self.engine.status()["running"])
        self.engine.stop_claiming()
        end = time.monotonic() + self.settings.engine.drain_deadline.total_seconds()
        while self.engine.running() and self._signals == 1 and time.monotonic() < end:
            self._signalled.wait(_POLL)
        drained = not self.engine.running()
        self.engine.stop(deadline=0)
        return 0 if drained else STOPPED_EARLY

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 2:  # noqa: PLR2004 - the third
            os._exit(1)
        self._signalled.set()

    def drain_once(self, on_finished: Callable[[int], None] | None = None) -> int:
        """Run all that is pending or due until nothing is left; how many jobs didn't succeed."""
        while not self.engine.idle():
            time.sleep(_POLL)
        with self.database.read() as c:
            ended = listing.finished_since(c, self.started)
        for job_id, _ in ended:
            if on_finished is not None:
                on_finished(job_id)
        return sum(outcome is not Outcome.SUCCEEDED for _, outcome in ended)


def configure_logging(settings: Settings) -> None:
    """Log as the settings say."""
    log.configure(level=settings.log.level, style=settings.log.format)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger(part="daemon").error("uncaught_error", exc_info=(kind, error, trace))
