"""What is told of jobs while they run and when they end: a line in the log, and metrics."""

from collections.abc import Callable
from datetime import datetime

import structlog

from runner.engine.attempt import Result
from runner.errors import Reason
from runner.metrics import NO_REASON, Metrics
from runner.model.changes import ChangeState
from runner.model.jobs import Claim, Outcome

_TOLD = {
    ChangeState.DONE: "done",
    ChangeState.FAILED: "failed",
    ChangeState.SKIPPED: "skipped",
    ChangeState.INTENDED: "unknown",
}
"""What a metric calls the end of a change; one that was sent and never answered is unknown."""

_OF_LINES = frozenset(
    {"self", "event", "part", "level", "timestamp", "exc_info", "exception", "stack", "stack_info"}
)
"""What each line of the log has, or may have, by itself."""


class Telling:
    """The log and the metrics of all jobs of a daemon. Safe between threads."""

    def __init__(self, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._unreachable: set[int] = set()  # connections whose last job met nobody
        self._log = structlog.get_logger(part="engine")

    def began(self, claim: Claim) -> None:
        """A slot has taken a job."""
        job, system = claim.job, claim.connection.system
        self._log.debug("job_started", job=job.id, attempt=job.attempt)
        self._metrics.expect(system)
        self._metrics.count("runner_jobs_started_total", system=system)
        if job.attempt == 1:
            waited = (job.started or self._clock()) - job.created
            self._metrics.observe("runner_job_wait_seconds", waited.total_seconds(), system=system)

    def put_off(self, claim: Claim, result: Result) -> None:
        """That a job is tried again later is committed."""
        tried = claim.job.retries + 1
        self._log.info("job_was_put_off", job=claim.job.id, tried=tried, message=result.message)
        self._metrics.count("runner_jobs_put_off_total", system=claim.connection.system)

    def ended(self, claim: Claim, result: Result | None, *, recorded: bool) -> None:
        """A job's end is committed; not ``recorded``: it wasn't ours any more. None = it was handed back."""
        if result is None:
            self._log.info("job_was_handed_back", job=claim.job.id)
            return
        write = self._log.info if self._is_no_news(claim.connection.id, result) else self._log.warning
        seconds = (self._clock() - (claim.job.started or self._clock())).total_seconds()
        if recorded:
            self._measure(claim, result, seconds)
        told = {
            "job": claim.job.id,
            "connection": claim.connection.id,
            "system": claim.connection.system,
            "alias": claim.connection.alias,
            "outcome": result.outcome.value,
            "reason": result.reason.value if result.reason else None,
            "message": result.message,
            "attempt": claim.job.attempt,
            "preview": claim.job.preview,
            "seconds": round(seconds, 3),
            "recorded": recorded,
            "detail": result.detail,
        }
        # A connector counts by names of its own choice.
        counts = {
            f"total_{name}" if name in told or name in _OF_LINES else name: number
            for name, number in result.totals.items()
        }
        write("job_finished", **told, **counts)

    def _is_no_news(self, connection_id: int, result: Result) -> bool:
        """Whether a job went well, or its other side is as far away as at the connection's last job."""
        before = connection_id in self._unreachable
        if result.outcome is Outcome.SUCCEEDED:
            self._unreachable.discard(connection_id)
            if before:
                self._log.info("connection_is_back", connection=connection_id)
            return True
        if result.reason is not Reason.UNREACHABLE:
            self._unreachable.discard(connection_id)
            return False
        self._unreachable.add(connection_id)
        return before

    def _measure(self, claim: Claim, result: Result, seconds: float) -> None:
        count, system = self._metrics.count, claim.connection.system
        reason = result.reason if result.outcome is not Outcome.SUCCEEDED else None
        count(
            "runner_jobs_finished_total",
            system=system,
            outcome=result.outcome.value,
            reason=NO_REASON if reason is None else reason.value,
        )
        self._metrics.observe("runner_job_duration_seconds", seconds, system=system)
        if claim.job.preview:
            return
        if reason is Reason.CEILING:
            count("runner_ceiling_stops_total", system=system)
        for tally in result.tallies:
            if tally.state is not ChangeState.PLANNED:
                outcome = _TOLD[tally.state]
                count("runner_changes_total", tally.number, system=system, op=tally.op.value, outcome=outcome)
