"""Idle: what a daemon without work costs."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import own, processes
from benchmarks.options import Options
from benchmarks.report import Bar, Report

_SECONDS = 20
_SETTLE = 5  # seconds after the request, for what it has set in motion

_HOW = (
    "`runner run` with four workers and an empty store. After one request to the API it is left alone; then "
    f"CPU is counted for {_SECONDS} s over all its processes, and their memory read, shared pages divided "
    "(PSS)."
)


def run(options: Options) -> Report:
    """Start a daemon and watch it."""
    options.say(f"idle: {_SECONDS + _SETTLE} s")
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder, _daemon(Path(folder)) as root:
        time.sleep(_SETTLE)
        cpu, began = processes.cpu_seconds(root), time.monotonic()
        time.sleep(_SECONDS)
        percent = (processes.cpu_seconds(root) - cpu) / (time.monotonic() - began) * 100
        members = [
            (_role(pid, root), processes.proportional(pid), processes.resident(pid))
            for pid in processes.tree(root)
        ]
    total = sum(pss for _, pss, _ in members) / 2**20
    rows = [[role, f"{pss / 2**20:.1f}", f"{rss / 2**20:.1f}"] for role, pss, rss in members]
    rows.append(["all", f"{total:.1f}", ""])
    return Report(
        name="idle",
        title="Idle",
        how=_HOW,
        columns=("process", "PSS, MiB", "RSS, MiB"),
        rows=rows,
        bars=[
            Bar(promise="CPU of all processes", value=percent, limit=0.5, unit="%"),
            Bar(promise="memory of all processes", value=total, limit=220, unit="MiB PSS"),
        ],
    )


def _role(pid: int, root: int) -> str:
    if pid == root:
        return "main"
    words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    if "resource_tracker" in words:
        return "resource tracker"
    parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return "fork server" if parent == root else "worker"


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[int]:
    """A daemon as a user starts it; gives its process id once it has answered a request."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER")}
    environment |= {"RUNNER__STATE_DIR": str(folder), "RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "run"],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        own.wait_until(lambda: _answers(folder / "runner.sock"), timeout=20, every=0.1)
        yield process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(str(self._path))


def _answers(path: Path) -> bool:
    """Whether a listing of jobs is answered."""
    connection = _OverSocket(path)
    try:
        connection.request("GET", "/api/v2/jobs/analysis/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
