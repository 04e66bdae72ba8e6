"""The queue against a model of it: whatever happens in whatever order, both agree."""

from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner.model.jobs import Job, Kind, Outcome, State
from runner.store import claims, connections, queue, rescue
from runner.store.database import Database
from runner.store.schema import jobs
from tests.contract.conftest import clear
from tests.contract.desk import NOW, at

MAX_DEATHS = 3
OWNERS = st.sampled_from(["one", "two"])
PLACES = st.integers(0, 2)


@dataclass(kw_only=True)
class Known:
    """What the model knows of one job; the order of the fields is that of ``COLUMNS``."""

    id: int
    connection_id: int
    state: State
    outcome: Outcome | None = None
    owner: str | None = None
    attempt: int = 0
    deaths: int = 0
    cancel_requested: bool = False


COLUMNS = [jobs.c[name] for name in Known.__dataclass_fields__]


@dataclass
class Model:
    """A queue in a few lines of Python. Its jobs stand in the order in which they were asked for."""

    jobs: list[Known] = field(default_factory=list)

    def of(self, connection_id: int, *states: State) -> list[Known]:
        """A connection's jobs in one of these states."""
        return [job for job in self.jobs if job.connection_id == connection_id and job.state in states]

    def waiting(self) -> list[Known]:
        """What may be claimed."""
        return [job for job in self.jobs if job.state is State.PENDING]

    def has(self, claimed: Job) -> Known | None:
        """The job, if whoever claimed it has it still."""
        job = next(job for job in self.jobs if job.id == claimed.id)
        mine = job.state is State.RUNNING and (job.owner, job.attempt) == (claimed.owner, claimed.attempt)
        return job if mine else None

    def end(self, job: Known, outcome: Outcome) -> None:
        """Finish a job, and let the oldest behind it come to the front."""
        was, job.state, job.outcome = job.state, State.FINISHED, outcome
        behind = self.of(job.connection_id, State.BEHIND)
        if was is not State.BEHIND and behind:
            behind[0].state = State.PENDING


class QueueMachine(RuleBasedStateMachine):
    """Two daemons and many callers at three connections."""

    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.taken: list[Job] = []  # all that were ever given out, also those that are stale by now
        self.seconds = count()
        self.places: list[int] = []

    @initialize()
    def begin(self) -> None:
        """Start from a store with three connections."""
        clear(self.database)

        def add(c: sa.Connection) -> list[int]:
            create = partial(connections.create, c, kind=Kind.ALM, system="x", command="x", now=NOW)
            return [create(alias=name, project_id=None, params={}) for name in "abc"]

        self.places = self.database.write(add)

    # --- what can happen -------------------------------------------------------------------

    @rule(place=PLACES)
    def enqueue(self, place: int) -> None:
        """Somebody asks for a run."""
        connection_id, now = self.places[place], at(next(self.seconds))
        job_id, state = self.database.write(
            lambda c: queue.enqueue(c, connection_id=connection_id, kind=Kind.ALM, now=now)
        )
        occupied = self.model.of(connection_id, State.PENDING, State.RUNNING)
        assert state is (State.BEHIND if occupied else State.PENDING)
        self.model.jobs.append(Known(id=job_id, connection_id=connection_id, state=state))

    @rule(owner=OWNERS, limit=st.integers(1, 3))
    def claim(self, owner: str, limit: int) -> None:
        """A daemon takes what waits longest."""
        now = at(next(self.seconds))
        taken = self.database.write(lambda c: claims.claim(c, owner=owner, now=now, limit=limit))
        expected = self.model.waiting()[:limit]
        assert [claim.job.id for claim in taken] == [job.id for job in expected]
        for job in expected:
            job.state, job.owner, job.attempt = State.RUNNING, owner, job.attempt + 1
        self.taken += [claim.job for claim in taken]

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.FAILED]))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        """Whoever ever had a claim tries to end its job; only who has it still can."""
        claimed = data.draw(st.sampled_from(self.taken))
        now = at(next(self.seconds))
        hit = self.database.write(
            lambda c: claims.finish(
                c, job=claimed, outcome=outcome, reason=None, message="", totals={}, now=now
            )
        )
        job = self.model.has(claimed)
        assert hit == (job is not None)
        if job is not None:
            self.model.end(job, outcome)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        """Whoever ever had a claim tries to give it back."""
        claimed = data.draw(st.sampled_from(self.taken))
        now = at(next(self.seconds))
        state = self.database.write(lambda c: claims.hand_back(c, job=claimed, now=now))
        job = self.model.has(claimed)
        if job is None:
            assert state is None
        elif job.cancel_requested:
            assert state is State.FINISHED
            self.model.end(job, Outcome.CANCELLED)
        else:
            assert state is State.PENDING
            job.state, job.owner = State.PENDING, None

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Whoever ever had a claim tries to write for its job."""
        claimed = data.draw(st.sampled_from(self.taken))

        def held(c: sa.Connection) -> bool:
            try:
                claims.hold(c, claimed)
            except claims.LostClaim:
                return False
            return True

        assert self.database.write(held) == (self.model.has(claimed) is not None)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Somebody cancels any job there ever was."""
        job = data.draw(st.sampled_from(self.model.jobs))
        now = at(next(self.seconds))
        assert self.database.write(lambda c: queue.cancel(c, job_id=job.id, now=now)) is job.state
        if job.state is State.RUNNING:
            job.cancel_requested = True
        elif job.state is not State.FINISHED:
            self.model.end(job, Outcome.CANCELLED)

    @rule(owner=OWNERS)
    def die(self, owner: str) -> None:
        """A daemon is silent for so long that the others take its jobs back."""
        now = at(next(self.seconds))

        def fall_silent(c: sa.Connection) -> tuple[int, int]:
            c.execute(sa.update(jobs).where(jobs.c.owner == owner).values(lease_until=1))
            return rescue.rescue(c, now=now, max_attempts=MAX_DEATHS, expired_only=True)

        dead = [job for job in self.model.jobs if job.state is State.RUNNING and job.owner == owner]
        assert self.database.write(fall_silent) == self._rescued(dead)

    @rule()
    def start_again(self) -> None:
        """The only daemon of an SQLite store starts after a kill."""
        now = at(next(self.seconds))
        dead = [job for job in self.model.jobs if job.state is State.RUNNING]
        counts = self.database.write(
            lambda c: rescue.rescue(c, now=now, max_attempts=MAX_DEATHS, expired_only=False)
        )
        assert counts == self._rescued(dead)

    def _rescued(self, dead: list[Known]) -> tuple[int, int]:
        again = 0
        for job in dead:
            job.owner = None
            if job.cancel_requested:
                self.model.end(job, Outcome.CANCELLED)
            elif job.deaths + 1 == MAX_DEATHS:
                self.model.end(job, Outcome.FAILED)
            else:
                job.state, job.deaths, again = State.PENDING, job.deaths + 1, again + 1
        return again, len(dead) - again

    # --- what always holds -----------------------------------------------------------------

    @invariant()
    def both_agree(self) -> None:
        """Each job is where the model has it, and no other is there."""
        with self.database.read() as c:
            rows = c.execute(sa.select(*COLUMNS).order_by(jobs.c.id)).all()
        assert [Known(**row._mapping) for row in rows] == self.model.jobs

    @invariant()
    def one_at_a_time(self) -> None:
        """A connection has one job at its front if it has any, and never two."""
        for connection_id in self.places:
            front = self.model.of(connection_id, State.PENDING, State.RUNNING)
            behind = self.model.of(connection_id, State.BEHIND)
            assert len(front) == 1 if behind else len(front) <= 1
            assert not behind or front[0].id < behind[0].id

    def teardown(self) -> None:
        """Whatever happened before, a daemon that goes on ends every job, in order."""
        if not self.places:
            return
        self.start_again()
        while self.model.waiting():
            self.claim(owner="one", limit=3)
            for claimed in self.taken[-3:]:
                if (job := self.model.has(claimed)) is not None:
                    self.database.write(
                        lambda c, claimed=claimed: claims.finish(  # type: ignore[misc]  # bound early
                            c,
                            job=claimed,
                            outcome=Outcome.SUCCEEDED,
                            reason=None,
                            message="",
                            totals={},
                            now=NOW,
                        )
                    )
                    self.model.end(job, Outcome.SUCCEEDED)
        self.both_agree()
        assert all(job.state is State.FINISHED for job in self.model.jobs)
        assert not self.database.write(queue.anything_open)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_queue_does_what_its_model_does(database: Database) -> None:
    """Nothing is lost, nothing ends twice, and each connection's jobs keep their order."""
    examples = {"sqlite": 120, "postgresql": 20}[database.dialect]
    run_state_machine_as_test(
        type("BoundMachine", (QueueMachine,), {"database": database}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
