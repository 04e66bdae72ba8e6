"""No-op jobs: how many a second, and what one costs, beside other queues."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.child import call
from benchmarks.contenders import huey_sqlite
from benchmarks.options import Options
from benchmarks.report import Bar, Report, spread

_IN_FLIGHT = 64
_TIMEOUT = 300.0

_HOW = (
    "{jobs:,} no-op jobs over 1,000 connections are created by one client, one call per job, and run in four "
    "worker processes. The clock runs from the first call until the last result is durable. The CPU is user "
    "and system time of client, workers and broker, with all processes that ended on the way. In each of the "
    "{rounds} rounds every queue runs once, in fresh processes and folders, after a warm-up of 200 jobs. "
    "Shown are medians, and in brackets the extremes; a ratio is the median of the rounds' ratios. All log "
    "warnings only."
)
_NOTES = (
    "ours: the whole daemon, on SQLite with synchronous=FULL. The client is a thread in it that submits one "
    f"write per job and has up to {_IN_FLIGHT} waiting for their commit, as the embedded server has requests "
    "under way.",
    "ours, one at a time: the same, but the client waits for each job's commit before it creates the next.",
    "huey: SqliteHuey with fsync=True and timeout=60, its results stored; "
    f"`huey_consumer {' '.join(huey_sqlite.OPTIONS)}`.",
    "Celery: a prefork pool of 4, its results stored; Redis on loopback with an append-only file that is "
    "synced each second. So a power cut may cost it a second of jobs and results; ours and huey lose none.",
)


OURS, HUEY, CELERY = "ours", "huey on SQLite", "Celery on Redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one queue did in one round."""

    jobs: int
    seconds: float
    enqueue_seconds: float
    cpu_seconds: float
    commits: int | None = None  # of ours only

    @property
    def per_second(self) -> float:
        """Jobs per second, end to end."""
        return self.jobs / self.seconds

    @property
    def cpu(self) -> float:
        """CPU-seconds per 1,000 jobs."""
        return self.cpu_seconds / self.jobs * 1000


Rounds = Mapping[str, list[Run | None]]
"""The rounds of each queue; None = it didn't finish."""


def run(options: Options) -> Report:
    """Measure all queues, interleaved."""
    queues = _queues(options)
    found: dict[str, list[Run | None]] = {name: [] for name in queues}
    notes = list(_NOTES)
    if CELERY not in queues:
        notes.append("Celery was left out: there is no redis-server here.")
    for number in range(options.rounds):
        for name, measure in queues.items():
            options.say(f"jobs: round {number + 1} of {options.rounds}, {name}")
            try:
                found[name].append(Run(**measure()))
            except RuntimeError as error:
                if name in (HUEY, CELERY):  # a peer that gives up is a finding; ours is a defect
                    notes.append(
                        f"{name} did not finish round {number + 1}: {error.args[0].splitlines()[-1]}."
                    )
                    found[name].append(None)
                else:
                    raise
    return Report(
        name="jobs",
        title="No-op jobs",
        how=_HOW.format(jobs=options.jobs, rounds=options.rounds),
        columns=("queue", "jobs/s", "CPU-s per 1,000 jobs", "enqueued/s", "commits per job"),
        rows=[_row(name, [one for one in rounds if one is not None]) for name, rounds in found.items()],
        bars=_bars(found),
        notes=notes,
    )


def _queues(options: Options) -> Mapping[str, Callable[[], dict[str, Any]]]:
    def ours(in_flight: int) -> Callable[[], dict[str, Any]]:
        return lambda: call(
            "benchmarks.contenders.ours:run",
            timeout=_TIMEOUT,
            connectors=options.connectors,
            jobs=options.jobs,
            in_flight=in_flight,
        )

    def other(module: str) -> Callable[[], dict[str, Any]]:
        return lambda: call(f"benchmarks.contenders.{module}:run", timeout=_TIMEOUT, jobs=options.jobs)

    found = {OURS: ours(_IN_FLIGHT), HUEY: other("huey_sqlite"), "ours, one at a time": ours(1)}
    if machine.redis_version() is not None:
        found[CELERY] = other("celery_redis")
    return found


def _row(name: str, rounds: list[Run]) -> list[str]:
    if not rounds:
        return [name, "did not finish", "", "", ""]
    commits = [one.commits / one.jobs for one in rounds if one.commits is not None]
    return [
        name,
        spread([one.per_second for one in rounds]),
        spread([one.cpu for one in rounds], ".2f"),
        spread([one.jobs / one.enqueue_seconds for one in rounds]),
        spread(commits, ".2f") if commits else "",
    ]


def _bars(found: Rounds) -> list[Bar]:
    """The promises, as medians of the ratios within a round."""
    bars = []
    for peer, limit in ((HUEY, 1.5), (CELERY, 5)):
        pairs = [
            (ours, theirs)
            for ours, theirs in zip(found[OURS], found.get(peer, []), strict=False)
            if ours is not None and theirs is not None
        ]
        if not pairs:
            continue
        speed = statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)
        bars.append(Bar(promise=f"jobs/s, to {peer}", value=speed, limit=limit, at_least=True))
        if peer == HUEY:
            cpu = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
            bars.append(Bar(promise=f"CPU per job, to {peer}", value=cpu, limit=1))
    return bars
