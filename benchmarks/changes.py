"""Long plans: how long 100,000 changes take, and what memory."""

import statistics
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.child import call
from benchmarks.options import Options
from benchmarks.report import Bar, Report, spread

_CHANGES = 100_000
_TASKS = 5_000
_SHORT = 2_000
_ROUNDS = 3
_CASES = {
    "bench_notes": "notes written on the platform",
    "bench_statuses": "statuses set on the platform",
    "bench_outside": "items created outside",
}

_HOW = (
    f"One job with {_CHANGES:,} changes, from its enqueueing until it is finished: planned in a worker, "
    f"stored, judged, made and settled. On the platform they are spread over {_TASKS:,} tasks, and the "
    "daemon writes them itself. Outside a worker takes them in batches of 500, and says at once that they "
    "are done. Memory is how much main and the worker grew at the most. Shown are medians, and in brackets "
    f"the extremes, of {_ROUNDS} interleaved rounds, each in fresh processes that have run eight jobs of "
    f"{_SHORT:,} changes before."
)


def run(options: Options) -> Report:
    """Measure each sort of change in fresh processes."""
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(_ROUNDS):
        for system, title in _CASES.items():
            options.say(f"changes: round {number + 1} of {_ROUNDS}, {title}")
            one = call(
                "benchmarks.changes:measure",
                timeout=180,
                connectors=options.connectors,
                system=system,
                changes=_CHANGES,
            )
            found.setdefault(title, []).append(one)
    return Report(
        name="changes",
        title="Long plans",
        how=_HOW,
        columns=("changes", "seconds", "CPU-s", "main grew, MiB", "worker grew, MiB", "commits"),
        rows=[
            [
                title,
                spread([one["seconds"] for one in rounds], ".2f"),
                spread([one["cpu_seconds"] for one in rounds], ".2f"),
                spread([one["main"] for one in rounds], ".1f"),
                spread([one["worker"] for one in rounds], ".1f"),
                spread([one["commits"] for one in rounds]),
            ]
            for title, rounds in found.items()
        ],
        bars=[bar for title, rounds in found.items() for bar in _bars(title, rounds)],
    )


def _bars(title: str, rounds: list[dict[str, float]]) -> list[Bar]:
    seconds = statistics.median(one["seconds"] for one in rounds)
    memory = statistics.median(one["main"] + one["worker"] for one in rounds)
    return [
        Bar(promise=f"{title}: time", value=seconds, limit=3, unit="s"),
        Bar(promise=f"{title}: memory", value=memory, limit=50, unit="MiB"),
    ]


def measure(*, connectors: str, system: str, changes: int) -> dict[str, float]:
    """Run one long job; seconds, CPU, growth in MiB, commits."""
    import os

    from benchmarks import own, processes

    with own.daemon(connectors) as daemon:
        project = own.add_project(daemon.database, _TASKS)
        [short, long] = [
            own.add_connections(daemon.database, system, 1, project_id=project, changes=number)[0]
            for number in (_SHORT, changes)
        ]
        # Enough of them that whichever worker gets the long one knows its connector.
        for _ in range(8):
            own.enqueue(daemon.engine, short)
            own.wait_until(daemon.engine.idle, timeout=30)
        everyone = processes.tree(os.getpid())
        for pid in everyone:
            processes.forget_peak(pid)
        before = {pid: processes.resident(pid) for pid in everyone}
        commits, cpu, began = daemon.database.commits, processes.cpu_seconds(os.getpid()), time.monotonic()
        job_id = own.enqueue(daemon.engine, long)
        own.wait_until(daemon.engine.idle, timeout=120, every=0.05)
        seconds = time.monotonic() - began
        cpu = processes.cpu_seconds(os.getpid()) - cpu
        grown = {pid: (processes.peak(pid) - before[pid]) / 2**20 for pid in everyone}
        main = grown.pop(os.getpid())
        _assert_all_done(daemon.database, job_id, changes)
        return {
            "seconds": seconds,
            "cpu_seconds": cpu,
            "main": main,
            "worker": max(grown.values()),
            "commits": daemon.database.commits - commits,
        }


def _assert_all_done(database: Any, job_id: int, changes: int) -> None:
    from runner.store.schema import changes as table

    number = sa.func.count().label("number")
    query = sa.select(table.c.state, number).where(table.c.job_id == job_id).group_by(table.c.state)
    with database.read() as c:
        found = {row.state: row.number for row in c.execute(query)}
    assert found == {"done": changes}, f"not all were done: {found}"
