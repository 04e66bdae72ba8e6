"""Our daemon: jobs enqueued in its process, as its server does, and run in its workers."""

from collections import deque
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from benchmarks import own
from benchmarks.contenders.measure import WARM_UP, measure
from runner.daemon import utc_now
from runner.engine.engine import Engine
from runner.model.jobs import Kind
from runner.store import queue
from runner.store.schema import jobs as jobs_table

CONNECTIONS = 1000


def run(*, connectors: str, jobs: int, in_flight: int) -> dict[str, Any]:
    """Run no-op jobs round robin over the connections."""
    with own.daemon(connectors) as daemon:
        ids = own.add_connections(daemon.database, "bench_noop", CONNECTIONS)
        succeeded = (
            sa.select(sa.func.count()).select_from(jobs_table).where(jobs_table.c.outcome == "succeeded")
        )
        commits_before = 0

        def enqueue_all(number: int) -> None:
            nonlocal commits_before
            commits_before = daemon.database.commits
            _enqueue(daemon.engine, [ids[n % len(ids)] for n in range(number)], in_flight)

        figures = measure(enqueue_all=enqueue_all, all_done=lambda _: daemon.engine.idle(), jobs=jobs)
        figures["commits"] = daemon.database.commits - commits_before
        with daemon.database.read() as c:
            good = c.scalar(succeeded)
        assert good == WARM_UP + jobs, f"{good} of {WARM_UP + jobs} jobs succeeded"
        return figures


def _enqueue(engine: Engine, connection_ids: list[int], in_flight: int) -> None:
    """One call per job; ``in_flight`` of them wait for their commit at the most.

    That is the server's way: each request submits its write and answers when it is
    committed, and the requests under way share commits.
    """
    waiting: deque[Future[Any]] = deque()
    for connection_id in connection_ids:
        waiting.append(engine.database.submit(_job(connection_id)))
        if len(waiting) >= in_flight:
            waiting.popleft().result()
            engine.wake()
    while waiting:
        waiting.popleft().result()
        engine.wake()


def _job(connection_id: int) -> Any:
    return lambda c: queue.enqueue(c, connection_id=connection_id, kind=Kind.ALM, now=utc_now())
