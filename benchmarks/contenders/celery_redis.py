"""Celery on Redis, with the prefork pool."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contenders.measure import measure

# The messages that workers send each other serve nothing here, and would cost it a little.
_OPTIONS = ("-P", "prefork", "-c", "4", "-l", "warning")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def run(*, jobs: int) -> dict[str, Any]:
    """Run no-op jobs; one call per job, the results stored."""
    import redis

    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder, _redis(Path(folder)) as port:
        os.environ["BENCH_REDIS_URL"] = f"redis://127.0.0.1:{port}"
        from benchmarks.contenders import celery_tasks

        command = [sys.executable, "-m", "celery", "-A", "benchmarks.contenders.celery_tasks", "worker"]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen([*command, *_OPTIONS, *_QUIET], stdout=log, stderr=log)
        try:
            results = redis.Redis(port=port, db=1)
            return measure(
                enqueue_all=lambda number: _enqueue(celery_tasks.noop, number),
                all_done=lambda number: int(str(results.dbsize())) >= number,
                jobs=jobs,
            )
        finally:
            process.terminate()  # a killed one would leave its pool behind
            process.wait(30)


def _enqueue(noop: Any, number: int) -> None:
    for n in range(number):
        noop.delay(n)


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[int]:
    """A private Redis with the usual persistence: its log is synced each second. Gives the port."""
    program = shutil.which("redis-server")
    assert program is not None  # whoever starts this has looked
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    with (folder / "redis.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


def _await_port(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
