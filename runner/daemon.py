"""The daemon as an object: it puts the parts together and gives them a life.

The only module that knows concrete adapters. A test, or the command line, can start and
stop one in its own process.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import structlog
from starlette.applications import Starlette

from runner import faultpoint, log, sample
from runner.engine import declared
from runner.engine.catalogue import is_secret
from runner.engine.engine import Engine
from runner.engine.workers import start_fork_server
from runner.errors import RunnerError
from runner.metrics import Metrics
from runner.model.jobs import Outcome
from runner.notify import Notifier
from runner.remotes import Remotes
from runner.scheduler import Scheduler
from runner.server.app import create_app, create_metrics_app
from runner.server.local import as_local_administrator
from runner.server.serve import HttpServer, Tls
from runner.server.services import Services
from runner.server.sweep import remove_orphans
from runner.settings import Settings, reloaded, secrets_of
from runner.store import accounts, backup, listing, migrate
from runner.store.database import Database, open_database
from runner.store.lock import StateLock

STOPPED_EARLY = 75  # exit code: jobs were handed back before the drain was through
_CLAIMED_PER_SLOT = 2  # jobs of a remote server that are held ahead: the rest is for other daemons
_POLL = 0.05  # seconds between looks at what runs, while it ends
_PULSE = 1.0  # seconds between looks at the loops
_DELIVER = 10.0  # seconds for results that wait to be delivered when it ends; they keep if it takes longer
_EXTENSION = 30.0  # seconds that systemd is asked to wait for the next word, while jobs end


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def socket_path(settings: Settings) -> Path:
    """Where the daemon's Unix socket is."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return (Path(folder) if folder else settings.state_dir) / "runner.sock"


def _configured(restart: Sequence[str] = ()) -> dict[str, Any]:
    """What a person wants to know of the configuration that was read just now, and is in force."""
    return {"refused": None, "restart_needed": list(restart), "loaded": utc_now().isoformat()}


@contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """What is started inside ignores SIGHUP: a terminal that closes tells all its processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class Daemon:
    """One daemon on one state directory; use it with ``with``.

    Without ``loops`` it serves its socket only: no job runs and no port is opened. That is
    what the command line uses while no daemon runs. Without ``listen`` it opens no port. With
    ``with_sample`` the sample is there before anybody can ask for it. ``load`` reads the
    configuration again, on SIGHUP.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        loops: bool = True,
        listen: bool = True,
        with_sample: bool = False,
        load: Callable[[], Settings] | None = None,
    ) -> None:
        self.settings = settings
        self.state = "starting"  # then running, then draining
        self._load = load
        self._configuration = _configured()
        self._notifier = Notifier(os.environ)
        # Without loops it is nobody's daemon: others must not find it where they look for one.
        self.socket_path = socket_path(settings)
        if not loops:
            self.socket_path = self.socket_path.with_name(f"runner.{os.getpid()}.sock")
        self.port: int | None = None  # where TCP listens
        self.metrics_port: int | None = None  # where [metrics] listen does
        self.stopped_early = False  # whether drain_once was ended by signals, with jobs left running
        self.notes: list[str] = []  # what its user must see at the start
        self._with_sample = with_sample
        self.started = utc_now()
        self._loops = loops
        self._listens = loops and listen
        self._listen = settings.server.listen if self._listens else ""
        self._stack = ExitStack()
        self._signals = 0
        self._reload_asked = False
        self._signalled = threading.Event()
        self._log = structlog.get_logger(part="daemon")
        self.database: Database
        self.engine: Engine
        self.scheduler: Scheduler
        self.remotes: Remotes

    # --- life ----------------------------------------------------------------------------

    def __enter__(self) -> "Daemon":
        faultpoint.arm("main", os.environ.get("RUNNER_FAULTPOINT"))
        with ExitStack() as stack:
            stack.callback(os.umask, os.umask(0o077))
            if self._loops and threading.current_thread() is threading.main_thread():
                # Before anybody can see that it runs, and so may ask it to stop.
                for number in (signal.SIGTERM, signal.SIGINT):
                    stack.callback(signal.signal, number, signal.signal(number, self._on_signal))
                stack.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, self._on_hangup))
            stack.enter_context(StateLock(self.settings.state_dir))
            # Before any thread, the store or a secret is open.
            with _deaf_to_hangups():
                start_fork_server()
            uploads = self.settings.state_dir / "uploads"
            uploads.mkdir(mode=0o700, exist_ok=True)
            self.database = open_database(self.settings.store_url)
            stack.callback(self.database.close)
            migrate.upgrade(self.database)
            self.database.write(partial(accounts.service_account, now=utc_now()))
            remove_orphans(uploads, self.database)
            metrics = Metrics()
            self.engine = Engine(self.settings, self.database, clock=utc_now, metrics=metrics)
            stack.callback(self._stop_engine)
            self.scheduler = Scheduler(
                self.settings.scheduler.timetable(),
                self.database,
                clock=utc_now,
                wake=self.engine.wake,
                metrics=metrics,
            )
            stack.callback(self.scheduler.stop)
            self.remotes = Remotes(
                self.settings.remote if self._loops else {},
                self.database,
                network=self.settings.safety.network(),
                systems=self.engine.systems,
                clock=utc_now,
                wake=self.engine.wake,
                vault=self.engine.vault,
                secret=lambda system, name: is_secret(name, self.engine.systems().get(system)),
                room=_CLAIMED_PER_SLOT * self.settings.engine.concurrency,
                refusing=self._refusing,
                hand_back=self.engine.hand_back,
                metrics=metrics,
            )
            self.engine.on_ended = self.remotes.wake
            stack.callback(self.remotes.stop)
            services = Services(
                settings_now=lambda: self.settings,
                database=self.database,
                engine=self.engine,
                vault=self.engine.vault,
                uploads=uploads,
                clock=utc_now,
                about=self._about if self._loops else dict,
                ticking=self.scheduler.healthy,
                reconcile=self.remotes.reconcile,
                metrics=metrics,
                store_refused=self.engine.store_refused if self._loops else lambda _error: None,
            )
            if self._with_sample:
                self._fill_sample(uploads)
            if self._loops:
                if (why := backup.settle(self.database, self.settings.state_dir, now=utc_now())) is not None:
                    self._log.warning("state_was_copied", why=why)
                    self.notes.append(why)
                self._declare(self.settings)
            app = create_app(services)
            server = HttpServer(
                listen=self._listen,
                app=app,
                socket_path=self.socket_path,
                socket_app=as_local_administrator(app),
                further=self._further(services),
                tls=_tls(self.settings),
            )
            server.start()
            self.port = server.port
            self.metrics_port = next(iter(server.further_ports), None)
            stack.callback(server.stop)
            if self._loops:
                self.engine.start()
                self.state = "running"
            self._stack = stack.pop_all()
        self._log.info("daemon_started", state_dir=str(self.settings.state_dir), loops=self._loops)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._log.info("daemon_stopped")

    def _further(self, services: Services) -> list[tuple[str, str, Starlette]]:
        """The listener of the metrics, if they have one of their own."""
        listen = self.settings.metrics.listen
        if not (self._listens and listen):
            return []
        return [("[metrics] listen", listen, create_metrics_app(services))]

    def _stop_engine(self) -> None:
        if not self.engine.stopped:
            self.engine.stop(deadline=0)

    def _fill_sample(self, uploads: Path) -> None:
        state_dir, now = self.settings.state_dir, utc_now()
        rally = os.environ.get(sample.RALLY, "")
        self.notes += sample.fill(self.database, uploads_folder=uploads, now=now, rally=rally)
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
        second hands them back to the queue; the third ends the process at once. SIGHUP reads
        the configuration again.
        """
        self.scheduler.start()
        self.remotes.start()
        self._notifier.ready()
        while not self._signals:
            self._tell_manager()
            self._signalled.wait(_PULSE)
            self._signalled.clear()
            if self._reload_asked:
                self._reload_asked = False
                self.reload()
        return self._drain()

    def _drain(self) -> int:
        self.state = "draining"
        self._notifier.stopping()
        self._log.info("daemon_drains", running=self.engine.status()["running"])
        self.engine.stop_claiming()
        self.scheduler.stop()
        self.remotes.stop_polling()
        end, told = time.monotonic() + self.settings.engine.drain_deadline.total_seconds(), 0.0
        while self.engine.running() and self._signals == 1 and time.monotonic() < end:
            if time.monotonic() - told > _PULSE:
                told = time.monotonic()
                self._notifier.extend(_EXTENSION)
                self._tell_manager()
            self._signalled.wait(_POLL)
            self._signalled.clear()
        drained = not self.engine.running()
        self._notifier.extend(_EXTENSION)
        self.engine.stop(deadline=0)
        self._notifier.extend(_EXTENSION)
        self.remotes.stop(deadline=_DELIVER if self._signals == 1 else 0)
        return 0 if drained else STOPPED_EARLY

    def _tell_manager(self) -> None:
        """Tell systemd how it is; and that all is well only if every loop makes progress."""
        self.scheduler.watch()
        status = self.engine.status()
        running, refused = len(status["running"]), self._configuration["refused"]
        parts = [f"{self.state}: {running} of {status['slots']} slots busy"]
        parts += [f"{name} is away" for name, one in self.remotes.presences.items() if one.why]
        if status["trouble"]:
            parts.append(str(status["trouble"]))
        if refused:
            parts.append(f"the changed configuration was refused: {refused}")
        self._notifier.status("; ".join(parts))
        if self.engine.healthy() and self.scheduler.healthy() and self.remotes.healthy():
            self._notifier.alive()

    def _about(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "scheduler": self.scheduler.status(),
            "remotes": self.remotes.status(),
            "configuration": dict(self._configuration),
        }

    def _refusing(self) -> str:
        """Why no job is begun now; "" = one is."""
        if self.engine.frozen_until() is not None:
            return "nothing may be written now ([scheduler] freeze)"
        if not self.engine.claiming:
            return "the daemon stops" if self.state == "draining" else "the daemon takes no jobs now"
        return ""

    def reload(self) -> None:
        """Read the configuration again and go by it; one that is wrong changes nothing."""
        if self._load is None:
            return
        self._notifier.reloading()
        try:
            new, restart = reloaded(self.settings, self._load())
            self._declare(new)
        except RunnerError as error:
            self._log.error("configuration_was_refused", why=error.message)
            self._configuration = {**self._configuration, "refused": error.message}
        else:
            # From here on nothing can fail: so it is either the old settings or the new.
            self.settings = new
            log.redactor.learn(secrets_of(new))
            self.engine.swap(self.settings)
            self.scheduler.swap(self.settings.scheduler.timetable())
            log.set_level(self.settings.log.level)
            if restart:
                self._log.warning("settings_want_a_restart", names=restart)
            self._log.info("configuration_was_reloaded")
            self._configuration = _configured(restart)
        self._notifier.ready()

    def _declare(self, settings: Settings) -> None:
        """Store the connections that the files declare, if all of them are good."""
        wanted = declared.wishes(settings, self.database, self.engine)
        if literals := declared.literal_secrets(
            settings, self.engine.systems() if wanted.connections or wanted.connectors else {}
        ):
            self._log.warning("secrets_stand_in_files", names=literals)
        declared.put_in_force(self.database, wanted, seal=self.engine.sealed, now=utc_now())

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_asked = True
        self._signalled.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 2:  # noqa: PLR2004 - the third
            os._exit(STOPPED_EARLY)
        self._signalled.set()

    def drain_once(self, on_finished: Callable[[int], None] | None = None) -> int:
        """Run all that is pending or due until nothing is left; how many jobs didn't succeed.

        What is paused or frozen stays. A signal ends it as it ends ``serve_forever``.
        """
        self.scheduler.tick()
        self.remotes.hold()
        patience = self.settings.engine.drain_deadline.total_seconds()
        while True:
            taken = self.remotes.poll_once()
            while not self._signals and (not self.engine.idle() or self.scheduler.go_on()):
                self._signalled.wait(_POLL)
            # A server that gives its jobs by claims may have more of them now.
            if self._signals or not self.remotes.deliver(patience) or not taken:
                break
        if not self._signals:
            self.remotes.stop(deadline=patience)
        if self._signals:
            self._signalled.clear()
            self.stopped_early = self._drain() != 0
        with self.database.read() as c:
            ended = listing.finished_since(c, self.started)
        for job_id, _ in ended:
            if on_finished is not None:
                on_finished(job_id)
        return sum(outcome is not Outcome.SUCCEEDED for _, outcome in ended)


def configure_logging(settings: Settings) -> None:
    """Log as the settings say."""
    log.redactor.learn(secrets_of(settings))
    log.configure(level=settings.log.level, style=settings.log.format)
    log.take_over()


def _tls(settings: Settings) -> Tls | None:
    server = settings.server
    return Tls(server.tls_cert, server.tls_key or None) if server.tls_cert else None
