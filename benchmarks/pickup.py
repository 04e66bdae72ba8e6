"""Pick-up: how soon a job on an idle daemon begins."""

import random
import statistics
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.child import call
from benchmarks.options import Options
from benchmarks.report import Bar, Report

_JOBS = 300

_HOW = (
    f"{_JOBS} jobs, one every 50 to 150 ms, on a daemon with nothing else to do: from the call that enqueues "
    "a job to the first line of its connector's plan, in a worker process. The call commits the job with "
    "synchronous=FULL, and its claim is committed in the same way before the worker hears of it."
)


def run(options: Options) -> Report:
    """Measure in a fresh process."""
    options.say("pickup: half a minute")
    found = call("benchmarks.pickup:measure", timeout=120, connectors=options.connectors, jobs=_JOBS)
    times = sorted(found)
    median, last = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return Report(
        name="pickup",
        title="Pick-up",
        how=_HOW,
        columns=("jobs", "fastest", "median", "90 %", "99 %", "slowest"),
        rows=[
            [
                str(len(times)),
                *(f"{ms:.1f} ms" for ms in (times[0], median, times[len(times) * 9 // 10], last, times[-1])),
            ]
        ],
        bars=[
            Bar(promise="median", value=median, limit=10, unit="ms"),
            Bar(promise="99 %", value=last, limit=30, unit="ms"),
        ],
    )


def measure(*, connectors: str, jobs: int) -> list[float]:
    """Milliseconds that each job waited."""
    from benchmarks import own
    from runner.store.schema import jobs as table
    from runner.store.values import from_json

    pause = random.Random(1)  # noqa: S311 - the pauses are no secret
    asked: dict[int, int] = {}
    with own.daemon(connectors) as daemon:
        [connection] = own.add_connections(daemon.database, "bench_clock", 1)
        own.enqueue(daemon.engine, connection)  # the first loads the code
        for _ in range(jobs):
            time.sleep(pause.uniform(0.05, 0.15))
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            asked[own.enqueue(daemon.engine, connection)] = before
        own.wait_until(daemon.engine.idle, timeout=20)
        with daemon.database.read() as c:
            rows: Any = c.execute(sa.select(table.c.id, table.c.totals)).all()
        began = {row.id: from_json(row.totals)["began"] for row in rows}
    return [(began[job_id] - before) / 1e6 for job_id, before in asked.items()]
