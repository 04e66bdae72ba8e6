"""The queue under many hands at the same moment: on PostgreSQL they are really at once."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pytest
import sqlalchemy as sa

from runner.model.jobs import Job, Kind, Outcome, State
from runner.store import claims, queue, rescue
from runner.store.schema import jobs
from tests.contract.desk import NOW, Desk, at
from tests.servers.waiting import PATIENCE

HANDS = 8
ROUNDS = 20
DEEDS = 12  # of each hand in a round
MAX_DEATHS = 2


class Hand:
    """One thread that does to the queue whatever comes to its mind."""

    def __init__(self, desk: Desk, number: int, places: list[int]) -> None:
        self.desk = desk
        self.owner = f"hand {number}"
        self.places = places
        self.chance = random.Random(number)  # noqa: S311 - the same order in each run
        self.held: list[Job] = []
        self.asked: list[int] = []  # jobs enqueued
        self.given: list[tuple[int, int]] = []  # jobs and attempts claimed
        self.ended: list[int] = []  # jobs finished
        self.cancelled: list[int] = []  # jobs cancelled before they ran

    def run(self, together: threading.Barrier) -> None:
        """Do things, and now and then wait until all have done theirs."""
        deeds: list[Callable[[], None]] = [
            # Just so many ends as beginnings: queues that are empty at most times are the hard ones.
            *[self.enqueue, self.finish_and_claim] * 4,
            *[self.finish, self.cancel, self.hand_back, self.rescue, self.renew],
        ]
        for _ in range(ROUNDS):
            together.wait(PATIENCE)
            for _ in range(DEEDS):
                self.chance.choice(deeds)()

    def enqueue(self) -> None:
        """Ask for a run."""
        self.asked.append(self.desk.job(self.chance.choice(self.places)))

    def claim(self) -> None:
        """Take a few jobs."""
        self._took(self.desk.do(self._claim))

    def finish(self) -> None:
        """End a job in hand."""
        if self.held:
            job = self.held.pop(0)
            if self.desk.do(self._finish, job):
                self.ended.append(job.id)

    def finish_and_claim(self) -> None:
        """End a job in hand and take the next in one transaction, as a slot does."""
        if not self.held:
            self.claim()
            return
        job = self.held.pop(0)
        hit, taken = self.desk.do(lambda c: (self._finish(c, job), self._claim(c)))
        if hit:
            self.ended.append(job.id)
        self._took(taken)

    def cancel(self) -> None:
        """Cancel some job of one's own asking."""
        if self.asked:
            job_id = self.chance.choice(self.asked)
            if self.desk.do(queue.cancel, job_id=job_id, now=NOW) in {State.PENDING, State.BEHIND}:
                self.cancelled.append(job_id)

    def hand_back(self) -> None:
        """Give a job in hand back."""
        if self.held:
            self.desk.do(claims.hand_back, job=self.held.pop(0), now=at(10))

    def rescue(self) -> None:
        """Fall silent, so that others take back what is in hand; take back theirs."""
        held = [job.id for job in self.held]
        if held:
            expire = sa.update(jobs).where(jobs.c.id.in_(held)).values(lease_until=1)
            self.desk.do(lambda c: c.execute(expire))
        self.desk.do(rescue.rescue, now=NOW, max_attempts=MAX_DEATHS, expired_only=True)

    def renew(self) -> None:
        """Tell that one is alive."""
        self.desk.do(claims.renew, owner=self.owner)

    def _claim(self, c: sa.Connection) -> list[Job]:
        taken = claims.claim(c, owner=self.owner, now=at(10), limit=self.chance.randint(1, 3))
        return [claim.job for claim in taken]

    def _finish(self, c: sa.Connection, job: Job) -> bool:
        with suppress(claims.LostClaim):
            claims.hold(c, job)
        return claims.finish(
            c, job=job, outcome=Outcome.SUCCEEDED, reason=None, message="", totals={}, now=NOW
        )

    def _took(self, claimed: list[Job]) -> None:
        self.held += claimed
        self.given += [(job.id, job.attempt) for job in claimed]


def stuck(c: sa.Connection) -> list[int]:
    """Jobs that wait behind nothing: nobody would ever let them run."""
    ahead = jobs.alias()
    at_front = sa.exists().where(
        ahead.c.connection_id == jobs.c.connection_id, ahead.c.state.in_(["pending", "running"])
    )
    return list(c.scalars(sa.select(jobs.c.id).where(jobs.c.state == "behind", ~at_front)))


@pytest.mark.slow
def test_many_hands_lose_nothing(desk: Desk) -> None:
    """No deadlock gets out, no claim is given twice, no job ends twice, none stays behind for ever."""
    places = [desk.connection(f"{number}") for number in range(6)]
    hands = [Hand(desk, number, places) for number in range(HANDS)]
    left_behind: list[int] = []
    together = threading.Barrier(HANDS, action=lambda: left_behind.extend(desk.ask(stuck)))
    with ThreadPoolExecutor(HANDS) as threads:
        running = [threads.submit(hand.run, together) for hand in hands]
        for future in running:
            future.result(PATIENCE)
    assert left_behind == []

    given = Counter(claim for hand in hands for claim in hand.given)
    assert [claim for claim, times in given.items() if times > 1] == []
    by_hand = Counter(job for hand in hands for job in hand.ended)
    cancelled = Counter(job for hand in hands for job in hand.cancelled)
    assert max((by_hand + cancelled).values()) == 1

    last = Hand(desk, HANDS, places)
    desk.do(rescue.rescue, now=NOW, max_attempts=MAX_DEATHS, expired_only=False)
    while last.held or not last.given or last.given[-1][0] not in last.ended:
        before = len(last.given)
        last.finish_and_claim()
        if not last.held and len(last.given) == before:
            break
    assert not desk.ask(queue.anything_open)
    with desk.database.read() as c:
        outcomes = {row.id: row.outcome for row in c.execute(sa.select(jobs.c.id, jobs.c.outcome))}
    assert set(outcomes) == {job for hand in hands for job in hand.asked}
    well = {job for hand in [*hands, last] for job in hand.ended}
    assert {job for job, outcome in outcomes.items() if outcome == "succeeded"} == well


def test_callers_who_wait_for_each_other_get_through(desk: Desk) -> None:
    """Two transactions that enqueue at the same connections in opposite orders both succeed in the end."""
    places = [desk.connection(f"{number}") for number in range(10)]
    together = threading.Barrier(2)

    def run(order: list[int]) -> int:
        def enqueue(c: sa.Connection) -> int:
            return len([queue.enqueue(c, connection_id=place, kind=Kind.ALM, now=NOW) for place in order])

        together.wait(PATIENCE)
        return sum(desk.database.write(enqueue) for _ in range(3))

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(run, order) for order in (places, places[::-1])]
        made = sum(future.result(PATIENCE) for future in running)
    assert made == 2 * 3 * len(places) == sum(desk.ask(queue.open_count).values())
    assert desk.ask(queue.open_count)[State.PENDING] == len(places)


# --- one moment, chosen -------------------------------------------------------------------

T = TypeVar("T")


def meanwhile(desk: Desk, first: Callable[[sa.Connection], object], second: Callable[[], T]) -> T:
    """Let ``second`` happen after ``first`` was done and before it is committed; what it returns.

    ``second`` may have to wait for that commit: then it is given once the database says so.
    """

    def write(c: sa.Connection) -> Future[T]:
        first(c)
        running = thread.submit(second)
        deadline = time.monotonic() + PATIENCE
        while not running.done() and not desk.ask(lambda c: c.scalar(waiting)):
            assert time.monotonic() < deadline
        return running

    waiting = sa.text(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as thread:
        return desk.database.write(write).result(PATIENCE)


def _finishes(job: Job) -> Callable[[sa.Connection], object]:
    return partial(
        claims.finish, job=job, outcome=Outcome.FAILED, reason=None, message="", totals={}, now=NOW
    )


ENDS: dict[str, Callable[[Job], Callable[[sa.Connection], object]]] = {
    "finish": _finishes,
    "rescue": lambda _: lambda c: rescue.rescue(c, now=NOW, max_attempts=1, expired_only=False),
    "cancel": lambda job: (
        lambda c: (
            claims.hand_back(c, job=job, now=NOW),
            queue.cancel(c, job_id=job.id, now=NOW),
        )
    ),
}


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("end", ENDS)
def test_a_job_asked_for_while_the_last_one_ends_is_not_left_behind(desk: Desk, end: str) -> None:
    """Of an end and an enqueue at the same moment one waits for the other, so that the new job can run."""
    running = desk.running()
    job_id = meanwhile(desk, ENDS[end](running), lambda: desk.job(running.connection_id))
    assert desk.state(running.id) is State.FINISHED
    assert desk.state(job_id) is State.PENDING


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_job_cancelled_while_it_is_claimed_is_asked_to_end(desk: Desk) -> None:
    """Whoever cancels a job hears the truth: it runs, and its daemon will end it."""
    job_id = desk.job(desk.connection())
    was = meanwhile(
        desk,
        lambda c: claims.claim(c, owner="one", now=at(10)),
        lambda: desk.do(queue.cancel, job_id=job_id, now=NOW),
    )
    assert was is State.RUNNING
    assert desk.ask(claims.cancel_requested, [job_id]) == {job_id}


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_job_cancelled_while_it_comes_to_the_front_is_cancelled(desk: Desk) -> None:
    """A job that is promoted at this very moment doesn't slip away from who cancels it."""
    running = desk.running()
    behind, last = desk.job(running.connection_id), desk.job(running.connection_id)
    cancel = partial(desk.do, queue.cancel, job_id=behind, now=NOW)
    assert meanwhile(desk, _finishes(running), cancel) is State.PENDING
    assert [desk.state(job) for job in (behind, last)] == [State.FINISHED, State.PENDING]


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_two_claims_at_once_do_not_wait_for_each_other(desk: Desk) -> None:
    """A daemon that claims passes over what another is just taking."""
    first, second = (desk.job(desk.connection(), seconds=number) for number in range(2))
    taken = meanwhile(
        desk, lambda c: claims.claim(c, owner="one", now=at(10)), lambda: desk.claim(owner="two").job.id
    )
    assert taken == second
    assert desk.row(first).owner == "one"
