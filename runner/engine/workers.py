"""Worker processes, seen from main: forked, spoken with, watched, ended.

They come from a fork server that is started before any thread, the store or a secret is
open, so that nothing of those is in their memory.
"""

import contextlib
import json
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner import faultpoint
from runner.errors import Internal, OutOfMemory, RunStopped, TimedOut, WorkerCrashed
from runner.messages import LONGEST, FromWorker, parse_from_worker
from runner.worker import plugins

_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_EVERY = 1.0  # seconds between looks at a worker's size and the clock
_JOBS_PER_WORKER = 1000
_GROWTH = 64 * 1024 * 1024  # bytes by which a worker may have grown before it is replaced


def start_fork_server() -> None:
    """Start the fork server if none runs, with an environment of its own that holds nothing of ours.

    One that was killed would else be started again, with all of ours, by whoever forks next.
    """
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
    if pid is not None and _start_time(pid) is not None:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runner.worker.preload"])
    before = dict(os.environ)
    kept = {name: before[name] for name in _KEPT_ENVIRONMENT if name in before}
    try:
        os.environ.clear()
        os.environ.update(kept, PYTHONSAFEPATH="1")
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


class Wake:
    """Ends a slot's wait for its worker: the run is cancelled, or the daemon gives it back."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.why: RunStopped | None = None

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._event

    def call(self, why: RunStopped) -> None:
        """End the wait; whoever waits raises ``why``."""
        self.why = why
        os.eventfd_write(self._event, 1)

    def clear(self) -> None:
        """Be ready for the next run."""
        if self.why is not None:
            self.why = None
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one run may use."""

    deadline: float  # on the monotonic clock
    memory: int  # bytes beyond the worker's size at its start
    timeout_text: str  # for the message
    memory_text: str


class Worker:
    """One worker process and the pipe to it. Used by one thread."""

    def __init__(self, factory: "WorkerFactory", name: str) -> None:
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        self._factory = factory
        self.process = context.Process(
            target=_child, args=(theirs, json.dumps(factory.setup)), name=name, daemon=True
        )
        self.process.start()
        theirs.close()
        # The fork server buries it at once, and then its number may be anybody's.
        self._handle = _handle(self.pid)
        self._poll = select.poll()
        self._poll.register(self._pipe.fileno(), select.POLLIN)
        # Its death is told apart: a child of its own may hold the pipe open.
        self._poll.register(self.process.sentinel, select.POLLIN)
        self._wakeable = False
        self._jobs = 0
        self._size = 0
        self._next_sample = 0.0  # on the monotonic clock
        factory.record(self.pid)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process.pid is not None
        return self.process.pid

    def send(self, message: bytes) -> None:
        """Send one message; a dead worker raises ``WorkerCrashed``."""
        faultpoint.reach("message")
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise self.crashed() from error

    def receive(self, budget: Budget, wake: Wake | None = None) -> FromWorker:
        """The next message; raises what ends the wait instead."""
        if wake is not None and not self._wakeable:
            self._poll.register(wake.fileno(), select.POLLIN)
            self._wakeable = True  # a worker has one slot, and a slot one wake, for life
        raw = self._wait(budget, wake)
        faultpoint.reach("message")
        try:
            return parse_from_worker(raw)
        except ValidationError as error:
            msg = "The connector's process sent something that can't be read."
            # Without what was sent: it may hold anything.
            raise Internal(msg, detail=str(error.errors(include_url=False, include_input=False))) from None

    def _wait(self, budget: Budget, wake: Wake | None) -> bytes:
        while True:
            # Looked at before each message: a connector that talks without end is ended too.
            left = budget.deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(
                    f"The run took longer than {budget.timeout_text} and was ended. Look at the other side, "
                    "whether it answers; if the run needs so long, raise [engine] job_timeout."
                )
            self._watch_size(budget)
            ready = self._poll.poll(min(left, _SAMPLE_EVERY) * 1000)
            if wake is not None and wake.why is not None:
                raise wake.why
            if ready:
                if self._pipe.fileno() not in dict(ready):
                    raise self.crashed()
                try:
                    return self._pipe.recv_bytes(LONGEST)
                except (EOFError, OSError) as error:
                    raise self.crashed() from error

    def _watch_size(self, budget: Budget) -> None:
        """Once a second, end a worker that outgrew its limit in ways that RLIMIT_DATA doesn't see."""
        now = time.monotonic()
        if now < self._next_sample:
            return
        self._next_sample = now + _SAMPLE_EVERY
        if self.resident() > self._size + budget.memory * 5 // 4:
            raise OutOfMemory(
                f"The run needed more than {budget.memory_text} of memory and was ended. "
                "If it may have more, raise [engine] memory_limit."
            )

    def begin_job(self) -> None:
        """Note the size from which a job's growth is counted."""
        self._size = self.resident() if self._jobs == 0 else self._size
        self._jobs += 1
        self._next_sample = time.monotonic() + _SAMPLE_EVERY

    def resident(self) -> int:
        """Bytes of memory that the process holds; 0 if it is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    @property
    def worn(self) -> bool:
        """Whether it should be replaced before the next job: many jobs, growth, or signs of life or death.

        Between jobs there is nothing to say: what can be read then is the end of the pipe, or a
        word of a plug-in's thread that would be taken for the next job's.
        """
        if self._jobs >= _JOBS_PER_WORKER or self._poll.poll(0):
            return True
        # The size is looked at now and then only: it is a file to open.
        return self._jobs % 16 == 0 and self.resident() > self._size + _GROWTH

    def crashed(self) -> WorkerCrashed:
        """The error for a worker whose pipe broke."""
        self.process.join(1)
        code = self.process.exitcode
        how = "ended"
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        elif code:
            how = f"ended with status {code}"
        return WorkerCrashed(
            f"The connector's process {how} in the middle of the run. Run it again; if it ends again, "
            "the connector or a library it uses has a defect: report it with the daemon's log."
        )

    def end(self) -> None:
        """Kill the process and forget it."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
            self._handle = None
        self.process.join(5)
        self._factory.forget(self.pid)


def _child(pipe: "Connection[bytes, bytes]", setup: str) -> None:
    from runner.worker.process import main

    main(pipe, json.loads(setup))


class WorkerFactory:
    """Makes workers, and remembers on disk which it made, so that a new main can end them."""

    def __init__(self, *, state_dir: Path, allow: list[str], path: str) -> None:
        self._folder = state_dir / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = state_dir / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        # Looked up before any of ours is there: a probe may be asked for before the engine starts.
        self._leftovers = list(self._recorded())
        self._lock = threading.Lock()
        self.setup: Mapping[str, Any] = {
            "places": dict(plugins.find(allow, path)),
            "path": path,
            "scratch": str(scratch),
            "faultpoint": os.environ.get("RUNNER_FAULTPOINT"),
        }

    def make(self, name: str) -> Worker:
        """Fork a worker."""
        with self._lock:  # the fork server takes one request at a time
            start_fork_server()
            return Worker(self, name)

    def record(self, pid: int) -> None:
        """Remember a worker."""
        started = _start_time(pid)
        if started is not None:
            (self._folder / str(pid)).write_text(started)

    def forget(self, pid: int) -> None:
        """Forget a worker that is gone."""
        (self._folder / str(pid)).unlink(missing_ok=True)

    def end_leftovers(self) -> int:
        """End the workers of a daemon that died; how many there were."""
        ended = 0
        for pid, started in self._leftovers:
            handle = _handle(pid)
            if handle is not None:
                if _start_time(pid) == started:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        ended += 1
                os.close(handle)
            self.forget(pid)
        return ended

    def _recorded(self) -> Iterator[tuple[int, str]]:
        for file in self._folder.iterdir():
            if file.name.isdecimal():
                yield int(file.name), file.read_text()


def _handle(pid: int) -> int | None:
    """A descriptor of a process, by which no other one can be meant; None = it is gone."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _start_time(pid: int) -> str | None:
    """When a process started, in ticks since boot: with its id it names one process only; None = dead."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in {"Z", "X"} else fields[18]
