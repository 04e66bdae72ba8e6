"""A slot: one thread and one worker that take jobs from the queue, one after another.

Ending a job and claiming the next is one write, so that under load a job costs one commit,
shared with whatever else is committed at that moment.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Protocol

import sqlalchemy as sa
import structlog

from runner.engine import declared, remote_jobs, settling
from runner.engine.attempt import Attempt, Result
from runner.engine.ledger import Ledger
from runner.engine.talk import Surroundings, Talk
from runner.engine.telling import Telling
from runner.engine.workers import Budget, Wake, Worker, WorkerFactory
from runner.errors import (
    Cancelled,
    Internal,
    Reason,
    RunnerError,
    RunStopped,
    SealedShut,
    SettingsInvalid,
    StoreError,
)
from runner.model.jobs import Claim, Connection, Job, Outcome, State
from runner.settings import Settings
from runner.store import claims
from runner.store.database import Database

_SETTLING = timedelta(minutes=1)  # to find out, after a stopped run, what was written
_LONGEST_DELAY = timedelta(hours=1)  # before another attempt, unless the other side asks for more
_LONGEST_ASKED = timedelta(days=1)  # that the other side is granted


_Ended = tuple[Claim, Result | None]
"""A job and its result; None = it goes back to the queue."""


_UNRECORDABLE = Result(
    outcome=Outcome.FAILED,
    reason=Reason.INTERNAL,
    message=(
        "The daemon could not record what the run said at its end; its log has the details. "
        "`runner jobs changes` shows what it wrote."
    ),
)


class Recorded(Enum):
    """What a write made of a job that ended."""

    FINISHED = "finished"  # it has its result
    PUT_OFF = "put off"  # it is tried again later
    HANDED_BACK = "handed back"
    NOTHING = "nothing"  # there was none, or it wasn't ours to record any more


_GIVEN_BACK = {State.PENDING: Recorded.HANDED_BACK, State.FINISHED: Recorded.FINISHED, None: Recorded.NOTHING}


class HandedBack(RunStopped):
    """The daemon stops and gives the job back; it isn't finished."""


class Host(Protocol):
    """What a slot asks of the engine that it belongs to."""

    settings: Settings
    database: Database
    clock: Callable[[], datetime]
    owner: str
    factory: WorkerFactory
    surroundings: Surroundings
    telling: Telling
    claiming: bool  # whether new jobs may be taken
    work_version: int  # grows with each piece of work

    def completed(self, connection: Connection) -> Connection:
        """The connection with its secrets open, and all that its params only name."""

    def frozen_until(self) -> datetime | None:
        """When something may be written again, if not now."""

    def wait_for_work(self, seen: int) -> bool:
        """Sleep until there may be work that wasn't there at version ``seen``; False = stop."""

    def more_work(self) -> None:
        """Let one idle slot look for work."""

    def job_ended(self, claim: Claim, result: Result | None, *, recorded: bool) -> None:
        """A job's end is committed, or wasn't ours to record any more."""

    def store_refused(self, error: StoreError) -> None:
        """A commit failed for want of space or connection."""

    def store_took(self) -> None:
        """A commit went through."""


class Slot(threading.Thread):
    """One place where a job can run."""

    def __init__(self, engine: Host, number: int) -> None:
        super().__init__(name=f"slot-{number}", daemon=True)
        self._engine = engine
        self._worker: Worker | None = None
        self._wake = Wake()
        self._log = structlog.get_logger(part="slot", slot=number)
        self._lock = threading.Lock()
        self._settling = False
        self.job: Job | None = None  # the one in hand
        self.busy = False  # whether it has a job, or may be about to get one
        self.beat = time.monotonic()  # when the loop last made progress

    def stop_job(self, why: RunStopped, *, job_id: int | None = None) -> bool:
        """End the run in hand (only if it is ``job_id``'s); called from another thread."""
        with self._lock:
            if self.job is None or job_id not in (None, self.job.id):
                return False
            if self._settling and isinstance(why, Cancelled):
                return False  # it has ended already; what it wrote is being found out
            self._wake.call(why)
            return True

    def _hold_job(self, job: Job | None) -> None:
        with self._lock:
            self._wake.clear()
            self.job = job

    def run(self) -> None:
        """Take jobs until the engine stops."""
        ended: _Ended | None = None
        while True:
            seen = self._engine.work_version
            self.busy = self._engine.claiming or ended is not None
            self.beat = time.monotonic()
            claim = self._turn(ended)
            ended = None
            if claim is not None:
                ended = self._take(claim)
            else:
                self.busy = False
                if not self._engine.wait_for_work(seen):
                    break
        if self._worker is not None:
            self._worker.end()
        self._wake.close()

    def _turn(self, ended: "_Ended | None") -> Claim | None:
        """Record the job that ended and claim the next, in one write. Repeats until it fits."""
        while True:
            wanting = self._engine.claiming
            if ended is None and not wanting:
                return None
            try:
                record = partial(self._record, ended, None if ended is None else self._again_at(*ended))
                recorded, taken = self._engine.database.write(
                    partial(self._record_and_claim, record, wanting)
                )
            except StoreError as error:
                # Out of space or away: the result is kept here until the store takes it.
                self._engine.store_refused(error)
                time.sleep(1)
                continue
            except Exception:  # noqa: BLE001 - a slot outlives whatever one claim meets
                self._log.exception("claim_failed")
                time.sleep(1)
                if ended is None:
                    return None
                ended = ended[0], _UNRECORDABLE  # what the run itself said can't be stored
                continue
            self._engine.store_took()
            if ended is not None:
                self._tell(*ended, recorded)
                self._hold_job(None)
            if taken:
                self._engine.more_work()  # there may be more: let another idle slot look
                return taken[0]
            return None

    def _tell(self, claim: Claim, result: Result | None, recorded: Recorded) -> None:
        try:
            if result is not None and recorded is Recorded.PUT_OFF:
                self._engine.telling.put_off(claim, result)
            else:
                self._engine.job_ended(claim, result, recorded=recorded is not Recorded.NOTHING)
        except Exception:  # noqa: BLE001 - the end is recorded, whatever can't be told of it
            self._log.exception("end_was_not_told", job=claim.job.id)

    def _record_and_claim(
        self, record: Callable[[sa.Connection], Recorded], wanting: bool, c: sa.Connection
    ) -> tuple[Recorded, list[Claim]]:
        recorded = record(c)
        if not wanting:
            return recorded, []
        engine = self._engine
        return recorded, claims.claim(
            c,
            owner=engine.owner,
            now=engine.clock(),
            lease=engine.settings.engine.lease,
            frozen=engine.frozen_until() is not None,
        )

    def _record(self, ended: "_Ended | None", again_at: datetime | None, c: sa.Connection) -> Recorded:
        if ended is None:
            return Recorded.NOTHING
        claim, result = ended
        now = self._engine.clock()
        if result is None:
            return _GIVEN_BACK[claims.hand_back(c, job=claim.job, now=now)]
        if again_at is not None:
            why = f"Waits for another attempt: {result.message}"
            if claims.put_off(
                c, job=claim.job, until=again_at, why=why, now=now, counted=result.waits is None
            ):
                return Recorded.PUT_OFF
        finished = claims.finish(
            c,
            job=claim.job,
            outcome=result.outcome,
            reason=result.reason,
            message=_told_tries(claim.job, result),
            totals=result.totals,
            memory=result.memory,
            now=now,
        )
        return Recorded.FINISHED if finished else Recorded.NOTHING

    def _again_at(self, claim: Claim, result: Result | None) -> datetime | None:
        """When a job is tried again whose other side asked for later; None = it has its result."""
        limits, tried = self._engine.settings.engine, claim.job.retries
        if result is not None and result.waits is not None:
            return self._engine.clock() + result.waits
        if result is None or result.later is None or tried >= limits.retries:
            return None
        own = min(limits.retry_delay * 2.0 ** min(tried, 20), _LONGEST_DELAY)
        return self._engine.clock() + max(own, min(result.later, _LONGEST_ASKED))

    def _take(self, claim: Claim) -> "_Ended | None":
        """Run a job; how it ended, or None if it isn't ours any more."""
        self._hold_job(claim.job)
        self._engine.telling.began(claim)
        try:
            return claim, self._attempt(claim)
        except claims.LostClaim:
            self._log.warning("claim_was_lost", job=claim.job.id)
            self._replace_worker()
            self._hold_job(None)
            return None
        except HandedBack:
            self._replace_worker()
            return claim, None

    def _attempt(self, claim: Claim) -> Result:
        attempt: Attempt | None = None
        stored, systems = claim.connection, self._engine.surroundings.systems
        try:
            unwanted = remote_jobs.unwanted(claim, self._engine.surroundings)
            if unwanted is not None:
                if unwanted.waits is None and claim.job.attempt > 1:
                    self._settle(claim)  # what its earlier attempts wrote is ours to find out
                return unwanted
            claim = claim.on(declared.resolved(stored, systems))
            talk = self._talk(claim, self._engine.settings.engine.job_timeout)
            attempt = Attempt(claim, talk, self._engine.surroundings)
            return attempt.run()
        except (claims.LostClaim, HandedBack):
            if attempt is not None:
                attempt.give_up()
            raise
        except StoreError as error:
            # It has no room or is away: the run can't be journaled, so it can't go on.
            self._engine.store_refused(error)
            raise HandedBack(error.message) from error
        except Exception as error:  # noqa: BLE001 - whatever it is ends this job and no other
            result = self._failed(claim, attempt, error)
            if result.reason is Reason.AUTH and declared.rotated(stored, claim.connection, systems):
                return replace(result, later=timedelta(0))  # with the secret that the file holds by now
            return result

    def _failed(self, claim: Claim, attempt: Attempt | None, error: Exception) -> Result:
        if not isinstance(error, RunnerError):
            self._log.error("attempt_failed", job=claim.job.id, exc_info=error)
        self._replace_worker()
        if attempt is None and isinstance(error, SettingsInvalid):
            text = f"{error.message} Nothing was done; put the secret in place and run the connection again."
            return Result(outcome=Outcome.FAILED, reason=error.reason, message=text)
        if attempt is None and isinstance(error, RunnerError) and not isinstance(error, RunStopped):
            return Result(
                outcome=Outcome.FAILED,
                reason=error.reason,
                message=error.message,
                detail=error.detail,
            )
        if isinstance(error, SealedShut):
            return Result(outcome=Outcome.FAILED, reason=error.reason, message=error.message)
        if attempt is None:
            return Result(
                outcome=Outcome.FAILED,
                reason=Internal.reason,
                message="The daemon could not start a process for the run; its log has the details.",
                detail=str(error),
            )
        attempt.give_up()
        self._settle(claim)
        return attempt.failure(error)

    def _settle(self, claim: Claim) -> None:
        """After a stopped run, find out what became of what it had sent."""
        around = self._engine.surroundings
        if not settling.anything_intended(claim.job, around):
            return
        self._settling = True
        self._hold_job(claim.job)  # the run was stopped; this isn't
        try:
            ledger = Ledger(claim, around)
            talk = self._talk(claim, _SETTLING)
            settling.settle_intended(claim.job, talk=talk, ledger=ledger, around=around)
        except RunnerError as trouble:
            self._log.warning("outcomes_stayed_unknown", job=claim.job.id, why=trouble.message)
            self._replace_worker()
        finally:
            self._settling = False

    def _talk(self, claim: Claim, timeout: timedelta) -> Talk:
        memory = self._engine.settings.engine.memory_limit
        budget = Budget(
            deadline=time.monotonic() + timeout.total_seconds(),
            memory=memory,
            timeout_text=_spelled(timeout),
            memory_text=f"{memory // 2**20} MiB",
        )
        # Only here, for this run, are its secrets open.
        claim = claim.on(self._engine.completed(claim.connection))
        return Talk(
            claim, self._ready_worker(), around=self._engine.surroundings, budget=budget, wake=self._wake
        )

    def _ready_worker(self) -> Worker:
        if self._worker is not None and self._worker.worn:
            self._replace_worker()
        if self._worker is None:
            self._worker = self._engine.factory.make(self.name)
        self._worker.begin_job()
        return self._worker

    def prepare(self) -> None:
        """Fork the worker before the first job asks for it."""
        self._worker = self._engine.factory.make(self.name)

    def _replace_worker(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def _told_tries(job: Job, result: Result) -> str:
    if result.later is None or job.retries == 0:
        return result.message
    return f"{result.message} It was tried {job.retries + 1} times."


def _spelled(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{duration.total_seconds():g} s"
