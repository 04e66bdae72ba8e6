"""What every contender's run measures, in the same way."""

import os
import time
from collections.abc import Callable
from typing import Any

from benchmarks.processes import cpu_seconds

WARM_UP = 200
"""Jobs before the clock runs: connections are open then, and all code is loaded."""

LOOK_EVERY = 0.05
"""Seconds between looks whether all jobs are finished; each contender is asked its cheapest question."""

PATIENCE = 120.0


def measure(
    *, enqueue_all: Callable[[int], None], all_done: Callable[[int], bool], jobs: int
) -> dict[str, Any]:
    """Run ``jobs`` jobs from the first enqueue to the last durable result; seconds and CPU.

    ``all_done`` tells whether so many jobs in all have a result. The CPU is that of this process
    (the client) and of all below it: workers and broker.
    """
    enqueue_all(WARM_UP)
    _await(all_done, WARM_UP)
    cpu, began = cpu_seconds(os.getpid()), time.monotonic()
    enqueue_all(jobs)
    enqueued = time.monotonic() - began
    _await(all_done, WARM_UP + jobs)
    seconds = time.monotonic() - began
    return {
        "jobs": jobs,
        "seconds": seconds,
        "enqueue_seconds": enqueued,
        "cpu_seconds": cpu_seconds(os.getpid()) - cpu,
    }


def _await(all_done: Callable[[int], bool], wanted: int) -> None:
    end = time.monotonic() + PATIENCE
    while not all_done(wanted):
        if time.monotonic() > end:
            msg = f"{wanted} jobs were not finished after {PATIENCE:g} s"
            raise TimeoutError(msg)
        time.sleep(LOOK_EVERY)
