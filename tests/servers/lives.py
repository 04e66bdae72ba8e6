"""Lives of a daemon: each begins, does what is pending, and ends or is killed."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from runner.cli.sockets import connect
from tests.servers.machine import COMMAND, Machine
from tests.servers.processes import assert_none_left
from tests.servers.waiting import PATIENCE, until

KILLED = -signal.SIGKILL
"""The exit code of a daemon that was killed, as by its fault point."""


@contextlib.contextmanager
def begun(machine: Machine, *flags: str, faultpoint: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that was started just now; with the block ends its life, and every process of it."""
    environment = machine.environment()
    if faultpoint is not None:
        environment["RUNNER_FAULTPOINT"] = faultpoint
    with log_of(machine).open("ab") as log:
        process = subprocess.Popen(
            [COMMAND, "run", *flags], env=environment, stdout=log, stderr=log, process_group=0
        )
    try:
        yield process
    finally:
        kill(process)
        assert_none_left(process.pid)


@contextlib.contextmanager
def alive(machine: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that answers; with the block ends its life, and every process of it."""
    with begun(machine) as process:
        until("the daemon answers", lambda: answers(machine))
        yield process


def answers(machine: Machine) -> bool:
    """Whether there is a daemon on the machine's socket."""
    with contextlib.suppress(OSError):
        connect(machine.state / "runner.sock", timeout=1).close()
        return True
    return False


def live(machine: Machine, faultpoint: str | None = None) -> int:
    """Run a daemon until nothing is left to do, or it dies; its exit code."""
    with begun(machine, "--once", faultpoint=faultpoint) as process:
        return process.wait(PATIENCE)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a daemon as a power cut would."""
    process.kill()
    process.wait(PATIENCE)


def kill_worker(pid: int) -> None:
    """End a worker, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def log_of(machine: Machine) -> Path:
    """Where the daemon's log is kept."""
    return machine.state.with_name("daemon.log")


def ends_told(machine: Machine) -> Counter[int]:
    """How often the log tells the end of each job."""
    found: Counter[int] = Counter()
    for line in log_of(machine).read_text(encoding="utf-8", errors="replace").splitlines():
        # A line that the killed daemon didn't finish has the next one's beginning in it.
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and event.get("event") == "job_finished" and event["recorded"]:
                found[event["job"]] += 1
    return found


def get(machine: Machine, path: str) -> int:
    """The HTTP status with which the daemon answers at ``path``."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connect(machine.state / "runner.sock", timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
