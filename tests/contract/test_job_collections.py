"""Collections of jobs run one job after the other, the same on both databases."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from runner.model.jobs import Claim, Job, Kind, Outcome
from runner.scheduler import Scheduler
from runner.settings import Scheduler as SchedulerSettings
from runner.store import accounts, claims, connections, queue, users
from runner.store import job_collections as store
from runner.store.database import open_database
from runner.store.job_collections import Held, Step
from runner.store.schema import collection_runs
from runner.store.schema import jobs as jobs_table
from tests.contract.desk import NOW, Desk, at


class Shelf:
    """A store with one collection, whose jobs the test ends."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.members: list[int] = []

    def collection(self, *aborts: bool, schedule: str | None = None, off: Sequence[int] = ()) -> int:
        """Add a collection with a job for each; those at the places ``off`` may not run."""
        self.members = [
            self.desk.connection(f"job {place}", kind=Kind.DATASYNC, system="datasync")
            for place in range(1, len(aborts) + 1)
        ]
        steps = [
            Step(connection_id=member, aborts=abort, enabled=place not in off)
            for place, (member, abort) in enumerate(zip(self.members, aborts, strict=True), start=1)
        ]
        return self.desk.do(store.create, name="All", document={}, steps=steps, schedule=schedule, now=NOW)

    def held(self, collection: int) -> Held:
        """The collection as it is stored."""
        held = self.desk.ask(store.get, collection)
        assert held is not None
        return held

    def begin(self, collection: int, *, preview: bool = False) -> int:
        """Begin a run."""
        return self.desk.do(store.begin, self.held(collection), now=NOW, preview=preview)

    def end(self, outcome: Outcome = Outcome.SUCCEEDED) -> int:
        """Claim the one job that waits and end it; its place in the collection."""
        job = self.desk.claim(seconds=86_400).job
        self.finish(job, outcome)
        return self.members.index(job.connection_id) + 1

    def finish(self, job: Job, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        """End a job that runs."""
        assert self.desk.do(
            claims.finish, job=job, outcome=outcome, reason=None, message="", totals={}, now=at(1)
        )

    def advance(self) -> int:
        """Let runs go on until none can; how many steps that were."""
        steps = 0
        while self.desk.do(store.advance, now=at(2)):
            steps += 1
        return steps

    def jobs(self) -> list[int]:
        """The places of all jobs that there ever were, in their order."""
        with self.desk.database.read() as c:
            rows = c.scalars(sa.select(jobs_table.c.connection_id).order_by(jobs_table.c.id)).all()
        return [self.members.index(row) + 1 for row in rows]

    def last(self, collection: int) -> store.Run:
        """The collection's newest run."""
        (run,) = self.desk.ask(store.runs, collection, limit=1)
        return run


@pytest.fixture
def shelf(desk: Desk) -> Shelf:
    """Give an empty store."""
    return Shelf(desk)


def test_one_job_runs_after_the_other(shelf: Shelf) -> None:
    """A job is enqueued when the one before it has ended, and not sooner; then the run has succeeded."""
    collection = shelf.collection(True, True, True)
    shelf.begin(collection)
    for place in (1, 2, 3):
        assert shelf.advance() == 0
        assert shelf.jobs() == list(range(1, place + 1))
        assert shelf.end() == place
        assert shelf.last(collection).outcome is None
        assert shelf.advance() == 1
    run = shelf.last(collection)
    assert (run.outcome, run.message) == (Outcome.SUCCEEDED, "3 of 3 jobs succeeded.")
    assert [job is not None for _, job in run.steps] == [True, True, True]


@pytest.mark.parametrize(
    ("aborts", "outcome", "ran", "told"),
    [
        (True, Outcome.FAILED, [1, 2], "job 2 failed. 1 of 3 jobs succeeded. Not run after that: job 3."),
        (False, Outcome.FAILED, [1, 2, 3], "job 2 failed. 2 of 3 jobs succeeded."),
        (False, Outcome.CANCELLED, [1, 2], "job 2 was cancelled, and the run with it."),
    ],
)
def test_a_failure_ends_the_run_or_doesn_t(
    shelf: Shelf, aborts: bool, outcome: Outcome, ran: list[int], told: str
) -> None:
    """Abort leaves what comes after a failed job, Continue goes on; a cancelled job ends the run."""
    collection = shelf.collection(True, aborts, True)
    shelf.begin(collection)
    shelf.end()
    shelf.advance()
    shelf.end(outcome)
    shelf.advance()
    if ran == [1, 2, 3]:
        shelf.end()
        shelf.advance()
    run = shelf.last(collection)
    assert (shelf.jobs(), run.outcome) == (ran, outcome)
    assert run.message.startswith(told)


def test_jobs_that_may_not_run_are_left_out(shelf: Shelf) -> None:
    """A job that is off, one that was disabled and one that was removed meanwhile are passed over."""
    collection = shelf.collection(True, True, True, True, off=[1])
    shelf.begin(collection)
    assert shelf.end() == 2
    shelf.desk.do(connections.delete, shelf.members[2], now=NOW)
    shelf.advance()
    assert shelf.end() == 4
    shelf.advance()
    assert shelf.last(collection).outcome is Outcome.SUCCEEDED


def test_a_second_run_waits_for_the_first(shelf: Shelf) -> None:
    """A collection runs once at a time; previews wait like runs, and their jobs are previews."""
    collection = shelf.collection(True, True)
    shelf.begin(collection)
    shelf.begin(collection, preview=True)
    for place in (1, 2, 1, 2):
        assert shelf.end() == place
        shelf.advance()
    assert shelf.jobs() == [1, 2, 1, 2]
    with shelf.desk.database.read() as c:
        previews = c.scalars(sa.select(jobs_table.c.preview).order_by(jobs_table.c.id)).all()
    assert list(previews) == [False, False, True, True]
    assert shelf.desk.ask(store.count_runs, collection) == 1


def test_who_asked_for_a_run_stays_known(shelf: Shelf) -> None:
    """A user whose run waits isn't removed under it."""
    user = shelf.desk.do(accounts.create_user, email="ada@example.com", now=NOW)
    collection = shelf.collection(True)
    shelf.begin(collection)
    assert not shelf.desk.ask(users.in_use, user)
    shelf.desk.do(store.begin, shelf.held(collection), now=NOW, user_id=user, triggered_by_id=user)
    assert shelf.desk.ask(users.in_use, user)


def test_a_run_whose_job_goes_on_is_left_alone(shelf: Shelf) -> None:
    """Whoever comes late to a run that another daemon led on neither ends it nor begins another job."""
    collection = shelf.collection(True, True)
    run = shelf.begin(collection)
    for state in ("pending", "running"):
        shelf.desk.do(store.go_on, run, now=NOW)
        assert (shelf.last(collection).outcome, shelf.jobs()) == (None, [1])
        if state == "pending":
            shelf.desk.claim()


def test_daemons_that_tick_together_make_each_job_once(shelf: Shelf, store_url: str) -> None:
    """However many daemons look at a run whose job has ended, the next is enqueued once."""
    collections = []
    for _ in range(5):
        collection = shelf.collection(True, True)
        shelf.begin(collection)
        collections.append(collection)
    for claim in shelf.desk.do(claims.claim, owner="one", now=at(60), limit=5):
        shelf.finish(claim.job)
    daemons = [open_database(store_url) for _ in range(3)]
    start = Barrier(len(daemons))

    def tick(number: int) -> int:
        start.wait()
        steps = 0
        while daemons[number].write(lambda c: store.advance(c, now=at(70))):
            steps += 1
        return steps

    with ThreadPoolExecutor(len(daemons)) as pool:
        advanced = sum(pool.map(tick, range(len(daemons))))
    for daemon in daemons:
        daemon.close()
    assert advanced + shelf.advance() == 5
    with shelf.desk.database.read() as c:
        assert c.scalar(sa.select(sa.func.count()).select_from(jobs_table)) == 10


class Hour:
    """A scheduler whose clock the test sets; it is noon."""

    def __init__(self, desk: Desk, zone: str = "UTC") -> None:
        desk.do(accounts.service_account, now=NOW)
        self.now = NOW
        self.scheduler = Scheduler(
            SchedulerSettings(timezone=zone).timetable(),
            desk.database,
            clock=lambda: self.now,
            wake=lambda: None,
        )

    def tick(self, minutes: float) -> None:
        """Tick, so many minutes after noon."""
        self.now = NOW + timedelta(minutes=minutes)
        self.scheduler.tick()


def _slots(shelf: Shelf) -> list[datetime]:
    with shelf.desk.database.read() as c:
        rows = c.scalars(sa.select(collection_runs.c.slot).order_by(collection_runs.c.id)).all()
    return [datetime.fromtimestamp(slot / 1e6, UTC) for slot in rows]


def test_a_collection_runs_by_its_schedule(shelf: Shelf) -> None:
    """A slot gives one run, which the ticks lead on; slots that come meanwhile, or were missed, give one."""
    hour = Hour(shelf.desk)
    collection = shelf.collection(True, True, schedule="30 * * * *")
    hour.tick(0)
    assert shelf.held(collection).next_run == NOW + timedelta(minutes=30)
    assert hour.scheduler.status()["next"] == "2026-03-01T12:30:00Z"
    hour.tick(31)
    hour.tick(32)
    assert _slots(shelf) == [NOW + timedelta(minutes=30)]
    assert shelf.end() == 1
    hour.tick(91)
    assert shelf.end() == 2
    hour.tick(92)
    assert shelf.last(collection).automatic
    assert shelf.last(collection).outcome is Outcome.SUCCEEDED
    hour.tick(300)
    hour.tick(301)
    assert _slots(shelf) == [NOW + timedelta(minutes=30), NOW + timedelta(minutes=150)]


def test_a_clock_put_back_gives_no_slot_a_second_run(shelf: Shelf) -> None:
    """When the clock shows an hour again, the slot in it has had its run."""
    hour = Hour(shelf.desk)
    collection = shelf.collection(True, schedule="30 * * * *")
    shelf.desk.connection(schedule="30 * * * *")  # by whose slots the scheduler knows how late it was
    hour.tick(0)
    hour.tick(31)
    shelf.finish(next(c.job for c in _claims(shelf) if c.job.connection_id == shelf.members[0]))
    hour.tick(31)
    hour.tick(10)
    assert shelf.held(collection).next_run == NOW + timedelta(minutes=30)
    hour.tick(31)
    assert _slots(shelf) == [NOW + timedelta(minutes=30)]


def _claims(shelf: Shelf) -> Sequence[Claim]:
    return shelf.desk.do(claims.claim, owner="one", now=at(3600), limit=9)


@pytest.mark.parametrize("change", [store.delete, store.remove_runs])
def test_runs_go_with_their_collection_and_with_time(shelf: Shelf, change: Callable[..., object]) -> None:
    """Runs are removed with their collection, and when they are old; their jobs stay in the journal."""
    collection = shelf.collection(True)
    shelf.begin(collection)
    shelf.end()
    shelf.advance()
    assert shelf.desk.do(store.remove_runs, before=at(1), limit=10) == 0
    if change is store.delete:
        shelf.desk.do(store.delete, collection)
    else:
        assert shelf.desk.do(store.remove_runs, before=at(60), limit=10) == 1
    assert shelf.desk.ask(store.runs, collection, limit=9) == []
    assert shelf.jobs() == [1]
    assert not shelf.desk.ask(queue.anything_open)
