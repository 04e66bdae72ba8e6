"""Scheduler: a million connections, beside APScheduler with a hundred thousand jobs of its own."""

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.options import Options
from benchmarks.report import Bar, Report

CONNECTIONS = 1_000_000
THEIRS = 100_000
_DUE, _STORM = 10_000, 100_000
_TIMEOUT = 900.0
_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

_HOW = (
    f"A store with {CONNECTIONS:,} daily connections. Start = open it and tick once. An idle tick finds "
    f"nothing due. Then {_DUE:,}, and {_STORM:,}, are due at the same second: each gets a job and its next "
    f"slot, two thousand in a commit. APScheduler holds {THEIRS:,} daily jobs (CronTrigger, New York) "
    "in its memory store, with an executor that does nothing, and has them all due at once. Each in a "
    "process of its own."
)


def run(options: Options) -> Report:
    """Measure ours, then theirs."""
    options.say(f"scheduler: {CONNECTIONS:,} connections")
    ours = child.call("benchmarks.scheduler:own", timeout=_TIMEOUT, connections=CONNECTIONS)
    options.say(f"scheduler: APScheduler with {THEIRS:,} jobs")
    theirs = child.call("benchmarks.scheduler:apscheduler", timeout=_TIMEOUT, jobs=THEIRS)
    rows = [
        ["held", f"{CONNECTIONS:,} connections", f"{THEIRS:,} jobs"],
        ["start", f"{ours['start']:.2f} s", f"{theirs['add']:.1f} s (adds them again)"],
        ["idle tick, median and worst", f"{ours['idle']:.2f}, {ours['idle_worst']:.2f} ms", "-"],
        [f"{_DUE:,} due at once", f"{ours['due']:.2f} s, {ours['due_cpu']:.2f} CPU-s", "-"],
        [
            f"{_STORM:,} due at once",
            f"{ours['storm']:.1f} s, {ours['storm_cpu']:.1f} CPU-s",
            f"{theirs['storm']:.1f} s, {theirs['storm_cpu']:.1f} CPU-s",
        ],
        ["memory for them", f"{ours['memory']:.1f} MiB", f"{theirs['memory']:.0f} MiB"],
    ]
    return Report(
        name="scheduler",
        title="Scheduler",
        how=_HOW,
        columns=("", "runner", "APScheduler"),
        rows=rows,
        bars=[
            Bar(promise="start", value=ours["start"], limit=2, unit="s"),
            Bar(promise="idle tick, median", value=ours["idle"], limit=5, unit="ms"),
            Bar(promise=f"{_DUE:,} enqueued", value=ours["due"], limit=0.5, unit="s"),
            Bar(promise=f"jobs of {_STORM:,} slots", value=ours["jobs"], limit=_STORM, at_least=True),
            Bar(promise="slots with two jobs", value=ours["twice"], limit=0),
            Bar(promise="memory for a million connections", value=ours["memory"], limit=32, unit="MiB"),
        ],
    )


def _resident() -> float:
    """MiB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def own(connections: int) -> dict[str, Any]:
    """Fill a store, and measure ticks."""
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        url = f"sqlite:///{folder}/runner.db"
        _fill(url, connections)
        return _measure(url)


def _fill(url: str, connections: int) -> None:
    import sqlalchemy as sa

    from runner.store import accounts, migrate
    from runner.store.database import open_database
    from runner.store.values import to_micros

    database = open_database(url)
    migrate.upgrade(database)
    database.write(lambda c: accounts.service_account(c, now=_NOON))
    fill = sa.text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number) "
        "INSERT INTO connections (kind, system, alias, command, frequency, next_run, created, updated) "
        "SELECT 'alm', 'rally', 'Acme ' || i, 'sync_rally', 'daily', :next + i % 3600 * 1000000, 0, 0 FROM n"
    )
    following = to_micros(_NOON + timedelta(hours=13))
    database.write(lambda c: c.execute(fill, {"number": connections, "next": following}))
    database.close()


def _measure(url: str) -> dict[str, Any]:
    import sqlalchemy as sa

    from runner.scheduler import Scheduler
    from runner.settings import Scheduler as Settings
    from runner.store import migrate
    from runner.store.database import open_database
    from runner.store.schema import connections, jobs
    from runner.store.values import to_micros

    timetable, now = Settings(spread=timedelta(hours=1)).timetable(), [_NOON]
    before, began = _resident(), time.perf_counter()
    database = open_database(url)
    migrate.upgrade(database)
    scheduler = Scheduler(timetable, database, clock=lambda: now[0], wake=lambda: None)
    scheduler.tick()
    found: dict[str, Any] = {"start": time.perf_counter() - began}
    idle = []
    for _ in range(300):
        began = time.perf_counter()
        scheduler.tick()
        idle.append((time.perf_counter() - began) * 1000)
    found |= {"idle": statistics.median(idle), "idle_worst": max(idle), "memory": _resident() - before}
    first = 1
    for name, number in (("due", _DUE), ("storm", _STORM)):
        last = first + number - 1
        due = sa.update(connections).where(connections.c.id.between(first, last))
        database.write(lambda c, due=due: c.execute(due.values(next_run=to_micros(now[0]))))  # type: ignore[misc]  # bound early
        began, cpu = time.perf_counter(), time.process_time()
        scheduler.tick()
        found |= {name: time.perf_counter() - began, f"{name}_cpu": time.process_time() - cpu}
        first = last + 1
    with database.read() as c:
        made, distinct = c.execute(
            sa.select(sa.func.count(), sa.func.count(sa.distinct(jobs.c.connection_id))).where(
                jobs.c.connection_id > _DUE
            )
        ).one()
    database.close()
    return found | {"jobs": made, "twice": made - distinct}


def apscheduler(jobs: int) -> dict[str, Any]:
    """Give APScheduler its jobs, and have them all due at once."""
    import logging

    from apscheduler.executors.base import BaseExecutor
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.cron import CronTrigger

    class Nothing(BaseExecutor):  # type: ignore[misc]  # it has no types
        """Runs nothing."""

        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            self._run_job_success(job.id, [])

    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    scheduler = BackgroundScheduler(
        executors={"default": Nothing()}, job_defaults={"misfire_grace_time": None, "coalesce": True}
    )
    scheduler.start(paused=True)
    due = datetime.now(UTC) - timedelta(seconds=1)
    before, began = _resident(), time.perf_counter()
    for number in range(jobs):
        trigger = CronTrigger(hour=2, minute=0, timezone="America/New_York")
        scheduler.add_job(_nothing, trigger, args=[number], id=str(number), next_run_time=due)
    found = {"add": time.perf_counter() - began, "memory": _resident() - before}
    began, cpu = time.perf_counter(), time.process_time()
    scheduler.state = 1  # it runs, so that a pass processes
    scheduler._process_jobs()  # noqa: SLF001 - one pass, as its thread makes
    found |= {"storm": time.perf_counter() - began, "storm_cpu": time.process_time() - cpu}
    scheduler.shutdown(wait=False)
    return found


def _nothing(number: int) -> int:
    return number
