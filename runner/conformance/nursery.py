"""A process that bears daemons: each a fork of it that knows all code and has all to do.

A daemon that starts from nothing takes most of a second; one that is forked here takes a
twentieth of that, and is a process like any other: its death by SIGKILL at a fault point is
the real thing, and so are its workers, which come from one fork server for all.

Orders come on standard input, a JSON object a line, and each is answered by one.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from runner import faultpoint, log
from runner.engine.attempt import Result
from runner.engine.engine import Engine
from runner.engine.workers import start_fork_server
from runner.model.jobs import Claim
from runner.settings import Settings
from runner.store.database import open_database
from runner.store.lock import StateLock

_PR_SET_PDEATHSIG = 1
_DRAIN = 10.0  # seconds


def main() -> None:
    """Answer orders until there are no more; then end what still lives."""
    for line in iter(sys.stdin.buffer.readline, b""):
        # Each time: a daemon that dies in the middle of asking for a worker takes its fork server along.
        start_fork_server()
        order = json.loads(line)
        if "command" in order:
            _learn_commands()
        sys.stdout.write(json.dumps({"ended": _bear(order)}) + "\n")
        sys.stdout.flush()


def _bear(order: dict[str, Any]) -> str:
    """Fork, let the child do what it is told, and tell how it ended."""
    pid = os.fork()
    if pid == 0:
        _become(order)
    code = _outcome(pid, float(order["deadline"]))
    return {0: "idle", -signal.SIGKILL: "killed", None: "hung"}.get(code, f"broken: {code}")


def _outcome(pid: int, seconds: float) -> int | None:
    """The child's exit code; None if it had to be ended after ``seconds``, or nobody waits any more."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(sys.stdin.fileno(), select.POLLHUP)  # who gave the order is gone
    try:
        ended = any(found == descriptor for found, _ in poll.poll(seconds * 1000))
        if not ended:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(order: dict[str, Any]) -> None:
    """Do the order in this process, the child, and end it."""
    code = 70
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _speak_to(Path(order["log"]), Path(order.get("output", order["log"])))
        _share_fork_server()
        code = _command(order) if "command" in order else _live(order)
    except BaseException:  # noqa: BLE001 - this process ends here, whatever it was
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _share_fork_server() -> None:
    """Use the parent's fork server: it isn't our child, so whether it runs isn't ours to ask."""
    vars(forkserver)["ensure_running"] = lambda: None
    # No public way: it is a method of the one object behind the module.
    vars(forkserver._forkserver)["ensure_running"] = lambda: None  # noqa: SLF001 - see above


def _speak_to(log_file: Path, output: Path) -> None:
    """Let the standard streams be files, with nothing to read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path in ((1, output), (2, log_file)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _learn_commands() -> None:
    """Import, once for all children, what the command line imports when it is used."""
    import runner.cli.app
    import runner.daemon  # noqa: F401 - to have it is all that is wanted


def _command(order: dict[str, Any]) -> int:
    """Run a command line."""
    from runner.cli.app import run

    os.environ.update(order["environment"])
    return run(order["command"])


class _Told(Engine):
    """An engine that tells when a job has ended."""

    ended = threading.Event()

    def job_ended(self, claim: Claim, result: Result | None, *, recorded: bool) -> None:
        super().job_ended(claim, result, recorded=recorded)
        self.ended.set()


def _live(order: dict[str, Any]) -> int:
    """Be a daemon until nothing waits and nothing runs."""
    os.environ["RUNNER_FAULTPOINT"] = order["faultpoint"]
    faultpoint.arm("main", order["faultpoint"])
    settings = Settings.model_validate(order["settings"])
    log.configure(level=settings.log.level, style=settings.log.format)
    with _engine(settings) as engine:
        while not engine.idle():
            engine.ended.wait(1)
            engine.ended.clear()
        engine.stop(deadline=_DRAIN)
    return 0


@contextlib.contextmanager
def _engine(settings: Settings) -> Iterator[_Told]:
    with StateLock(settings.state_dir):
        database = open_database(settings.store_url)
        try:
            engine = _Told(settings, database, clock=lambda: datetime.now(UTC))
            engine.start()
            yield engine
        finally:
            database.close()
