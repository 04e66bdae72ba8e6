"""One attempt at a job: plan to disk, the boundary, and making it.

The slot's thread runs this. The worker tells changes, main stores them; when the plan is
whole it is judged; then it is made. A revert's plan comes from the journal instead of the
connector; all else is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from runner.engine import boundary, revert, settling, wording
from runner.engine.cleaning import TAINTED
from runner.engine.ledger import Ledger
from runner.engine.making import Making
from runner.engine.rehearsal import rehearse
from runner.engine.talk import ConnectorFailed, Surroundings, Talk, out_of_turn
from runner.errors import Internal, Reason, RunnerError, SettingsInvalid, TryLater
from runner.log import redactor
from runner.messages import Findings, Plan, Planned, PlanRow, Read
from runner.model.changes import ChangeState
from runner.model.jobs import Claim, Job, Outcome
from runner.settings import Safety, overridden
from runner.store import approvals, changes, findings, rescue


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt ended."""

    outcome: Outcome
    reason: Reason | None
    message: str
    totals: dict[str, int] = field(default_factory=dict)
    memory: dict[str, Any] | None = None  # None = keep what the connection remembers
    tallies: Sequence[changes.Tally] = ()  # what became of its changes
    detail: str | None = None  # for the log
    later: timedelta | None = None  # the other side asks for another attempt after this long
    waits: timedelta | None = None  # it wasn't begun, for the server that wants it is away; try after this


class Attempt:
    """One attempt at one claimed job, in conversation with one worker."""

    def __init__(self, claim: Claim, talk: Talk, around: Surroundings) -> None:
        self._claim = claim
        self._job = claim.job
        self._talk = talk
        self._around = around
        self._ledger = Ledger(claim, around)
        self._making = Making(claim.job, talk, self._ledger, around)
        self._stored = claim.job.attempt > 1  # whether the journal may have rows of this job
        self._eventful = False  # whether there is anything for the boundary to judge
        self._sentences: list[str] = []
        self._would_stop: Reason | None = None  # what a preview says of the run

    def run(self) -> Result:
        """Plan, judge and make. Raises what stopped it."""
        first = self._resume() if self._job.attempt > 1 else 1
        planned = self._plan(first) if self._job.revert_of is None else self._plan_revert(first)
        if self._eventful:
            self._judge()
            if not self._job.preview:
                self._making.make(planned.batch_size)
            elif self._job.revert_of is not None:
                rehearse(self._job, talk=self._talk, ledger=self._ledger, around=self._around)
        return self._result(planned)

    # --- planning ------------------------------------------------------------------------

    def _resume(self) -> int:
        """Settle what a dead attempt sent, drop what it only planned; the next sequence number."""
        if settling.anything_intended(self._job, self._around):
            settling.settle_intended(self._job, talk=self._talk, ledger=self._ledger, around=self._around)
        self._ledger.write(partial(rescue.forget_attempt, job=self._job))
        with self._around.database.read() as c:
            return changes.last_sequence(c, self._job) + 1

    def _plan(self, first: int) -> Planned:
        self._talk.begin(first=first, resume_only=False)
        following, found = first, 1
        while True:
            message = self._talk.receive()
            match message:
                case Plan(rows=rows):
                    if [row.sequence for row in rows] != list(range(following, following + len(rows))):
                        raise Internal("The connector's process numbered its changes wrongly.")
                    following += len(rows)
                    self._store(rows)
                case Read():
                    self._ledger.write_ahead(partial(_add_read, job=self._job, read=message))
                    self._eventful = self._eventful or not message.complete
                case Findings(rows=rows):
                    add = partial(findings.add, job=self._job, first=found, rows=rows)
                    self._ledger.write_ahead(add)
                    found += len(rows)
                case Planned():
                    self._ledger.catch_up()
                    if message.rows != following - first:
                        raise Internal("The connector's process told fewer changes than it counted.")
                    self._sentences += message.sentences
                    self._ledger.keeps = message.keeps
                    return message
                case _:
                    raise out_of_turn(message)

    def _store(self, rows: list[PlanRow]) -> None:
        tainted = self._talk.cleaner.tainted
        if not tainted.isdisjoint(row.sequence for row in rows):
            self._leave_alone([row for row in rows if row.sequence in tainted], TAINTED)
            rows = [row for row in rows if row.sequence not in tainted]
        self._making.note_references(rows)
        self._ledger.write_ahead(partial(changes.add_plan, job=self._job, rows=rows))
        self._stored = self._eventful = True

    def _leave_alone(self, rows: list[PlanRow], why: str) -> None:
        now = self._around.clock()
        self._ledger.write_ahead(partial(changes.add_plan, job=self._job, rows=rows, skipped=why, now=now))

    def _plan_revert(self, first: int) -> Planned:
        self._talk.begin(first=first, resume_only=True)
        planned = self._talk.expect(Planned)
        self._ledger.keeps = planned.keeps
        read = revert.reading(self._job, self._around)
        self._ledger.write_ahead(partial(_add_read, job=self._job, read=read))
        for rows, unable in revert.plan(self._job, self._around, first=first, undo=planned.undo):
            self._store(rows)
            self._leave_alone(unable, revert.NO_INVERSE)
        self._ledger.catch_up()
        self._sentences.append(revert.sentence(self._job))
        return planned

    # --- the boundary --------------------------------------------------------------------

    def _judge(self) -> None:
        job, now = self._job, self._around.clock()
        with self._around.database.read() as c:
            approved = approvals.in_force(c, connection_id=job.connection_id, job_id=job.id, now=now)
            own = self._claim.connection.safety
            case = boundary.gather(c, job, approved=approved, own=own.keys())
        verdict = boundary.judge(case, self._safety(own))
        if verdict.stop is not None:
            if not job.preview:
                raise verdict.stop
            self._would_stop = verdict.stop.reason
            self._sentences.append(f"A run would be stopped: {verdict.stop.message}")
        if verdict.drop_destructive is not None:
            drop = partial(changes.drop_destructive, job_id=job.id, why=verdict.drop_destructive, now=now)
            self._ledger.write(drop)
            self._sentences.append(verdict.drop_destructive)
        if verdict.uses_approval and not job.preview:
            self._ledger.write(partial(approvals.use_up, connection_id=job.connection_id, job_id=job.id))

    def _safety(self, own: Mapping[str, Any]) -> Safety:
        """The ceilings that hold for this connection."""
        try:
            return overridden(self._around.safety, own)
        except SettingsInvalid as error:
            # Written by another version, or by hand: without its ceilings no run may destroy anything.
            msg = f"The connection's own safety settings can't be used: {error.message}. Nothing was written."
            raise SettingsInvalid(msg) from error

    # --- the end -------------------------------------------------------------------------

    def _result(self, planned: Planned) -> Result:
        tallies, troubles = self._summary()
        unmade = {ChangeState.FAILED, ChangeState.INTENDED}
        failed = any(tally.state in unmade for tally in tallies)
        text = wording.message(
            tallies,
            sentences=self._sentences,
            warnings=planned.warnings,
            troubles=troubles,
            preview=self._job.preview,
        )
        forget = failed or self._job.preview or not planned.memory
        return Result(
            outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
            reason=Reason.BAD_INPUT if failed else self._would_stop,
            message=self._clean(text),
            totals=planned.totals,
            memory=None if forget else {**self._claim.memory, **planned.memory},
            tallies=tallies,
        )

    def _summary(self) -> tuple[list[changes.Tally], list[tuple[str, str]]]:
        """What became of the run's changes, and of the first that were not made."""
        if not self._stored:
            return [], []
        with self._around.database.read() as c:
            tallies = changes.tally(c, self._job.id)
            if any(tally.state in (ChangeState.FAILED, ChangeState.SKIPPED) for tally in tallies):
                return tallies, changes.first_failures(c, self._job.id)
        return tallies, []

    def give_up(self) -> None:
        """Commit what is known, after the run was stopped; never raises."""
        self._ledger.give_up()

    def failure(self, error: BaseException) -> Result:
        """The result of an attempt that ``error`` ended."""
        tallies, _ = self._summary()
        later: timedelta | None = None
        match error:
            case ConnectorFailed(told=told):
                reason, text, detail = told.reason, told.message, told.detail
                later = timedelta(seconds=told.retry_after or 0) if told.later else None
            case RunnerError():
                reason, text, detail = error.reason, error.message, error.detail
                if isinstance(error, TryLater):  # of a remote server's platform
                    later = timedelta(seconds=error.retry_after or 0)
            case _:
                reason, detail = Reason.INTERNAL, None
                text = f"The daemon has a defect ({type(error).__name__}); its log has the details."
        return Result(
            outcome=Outcome.CANCELLED if reason is Reason.CANCELLED else Outcome.FAILED,
            reason=reason,
            message=self._clean(wording.stopped(text, tallies)),
            detail=None if detail is None else self._clean(detail),
            later=later,
            tallies=tallies,
        )

    def _clean(self, text: str) -> str:
        return redactor.clean(self._talk.cleaner.text(text))


def _add_read(c: sa.Connection, *, job: Job, read: Read) -> None:
    changes.add_read(
        c,
        job,
        name=read.name,
        complete=read.complete,
        size=read.size,
        target_size=read.target_size,
        additions_hold=read.additions_hold,
        why=redactor.clean(read.why),
    )
