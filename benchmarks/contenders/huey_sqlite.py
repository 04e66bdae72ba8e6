"""huey on SQLite, with fsync and process workers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contenders.measure import measure

# It polls: at its default it may sleep for 10 s before it sees a job. Nothing is periodic here.
OPTIONS = ("-k", "process", "-w", "4", "-n", "-q", "-d", "0.01", "-m", "0.1")


def run(*, jobs: int) -> dict[str, Any]:
    """Run no-op jobs; one call per job, the results stored."""
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        os.environ["BENCH_HUEY_FILE"] = str(Path(folder, "huey.db"))
        from benchmarks.contenders import huey_tasks

        consumer = Path(sys.executable).with_name("huey_consumer")
        command = [sys.executable, str(consumer), "benchmarks.contenders.huey_tasks.huey", *OPTIONS]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            return measure(
                enqueue_all=lambda number: _enqueue(huey_tasks.noop, number),
                all_done=lambda number: huey_tasks.huey.storage.result_store_size() >= number,
                jobs=jobs,
            )
        finally:
            process.kill()
            process.wait()


def _enqueue(noop: Any, number: int) -> None:
    for n in range(number):
        noop(n)
