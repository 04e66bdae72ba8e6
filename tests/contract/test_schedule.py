"""Slots become jobs, and pauses hold them, the same on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from runner.model.jobs import Claim, Frequency, Job, State
from runner.scheduler import Scheduler, Ticked
from runner.settings import Scheduler as SchedulerSettings
from runner.store import accounts, claims, connections, pauses, queue
from runner.store import schedule as store
from runner.store.database import open_database
from runner.store.schema import connections as connections_table
from runner.store.schema import jobs as jobs_table
from tests.contract.desk import NOW, Desk, at

HOUR = 3600


class House:
    """A store with a scheduler, whose clock the test sets."""

    def __init__(self, desk: Desk, **settings: object) -> None:
        self.desk = desk
        self.now = NOW
        self.wakes = 0
        self.service = desk.do(accounts.service_account, now=NOW)
        timetable = SchedulerSettings.model_validate({"hourly_at": 26, **settings}).timetable()
        self.scheduler = Scheduler(timetable, desk.database, clock=lambda: self.now, wake=self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def tick(self, seconds: float) -> Ticked:
        """Tick, ``seconds`` after the beginning."""
        self.now = at(seconds)
        return self.scheduler.tick()

    def slots(self, connection: int) -> list[datetime]:
        """The slots of a connection's jobs, in the order of the jobs."""
        with self.desk.database.read() as c:
            query = sa.select(jobs_table.c.slot).where(jobs_table.c.connection_id == connection)
            found = c.scalars(query.order_by(jobs_table.c.id)).all()
        return [datetime.fromtimestamp(slot / 1e6, UTC) for slot in found]

    def newest(self) -> int:
        """The last job that was made."""
        with self.desk.database.read() as c:
            return int(c.execute(sa.select(sa.func.max(jobs_table.c.id))).scalar_one())

    def next_run(self, connection: int) -> datetime | None:
        """When a connection is due next."""
        entry = self.desk.ask(connections.get, connection)
        assert entry is not None
        return entry.next_run


@pytest.fixture
def house(desk: Desk) -> House:
    """Give a scheduler on an empty store; it is noon, and hourly connections are due at 12:26."""
    return House(desk)


def first(hours: int = 0) -> datetime:
    """12:26, or hours later."""
    return datetime(2026, 3, 1, 12 + hours, 26, tzinfo=UTC)


def test_a_slot_becomes_a_job_of_the_service_account(house: House) -> None:
    """A due connection gets a job, automatic, of the service account, triggered by nobody."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    assert house.tick(0) == Ticked(rows=1)
    assert house.next_run(connection) == first()
    assert house.tick(HOUR / 2).enqueued == 1
    assert (house.slots(connection), house.next_run(connection)) == ([first()], first(1))
    row = house.desk.row(house.newest())
    assert (row.state, row.automatic, row.preview, row.user_id) == ("pending", True, False, house.service)
    assert (row.triggered_by_id, row.kind, len(row.uuid), house.wakes) == (None, "alm", 32, 1)
    assert house.tick(HOUR / 2 + 1) == Ticked()


def test_a_busy_connection_s_slots_are_one(house: House) -> None:
    """While a run goes on its next slot waits behind it, and further ones are counted with that one."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    house.tick(HOUR)
    running = house.desk.claim(seconds=HOUR).job
    assert house.tick(2 * HOUR).enqueued == 1
    waiting = house.newest()
    assert house.desk.state(waiting) is State.BEHIND
    assert house.tick(3 * HOUR).coalesced == 1
    assert house.tick(4 * HOUR).coalesced == 1
    assert house.slots(connection) == [first(), first(1)]
    house.desk.finish(running)
    assert house.desk.state(waiting) is State.PENDING
    assert house.tick(5 * HOUR).coalesced == 1
    house.desk.finish(house.desk.claim(seconds=5 * HOUR).job)
    house.tick(6 * HOUR)
    assert house.slots(connection) == [first(), first(1), first(5)]


def test_a_job_by_hand_doesn_t_stand_in_for_a_slot(house: House) -> None:
    """A job that a person queued may be for one subject only; the slot has its own."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    house.desk.job(connection, only="T1")
    assert house.tick(HOUR).enqueued == 1


def test_what_was_missed_is_caught_up_once(house: House) -> None:
    """After an outage there is one job for all missed slots, and they are counted."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    ticked = house.tick(10 * HOUR)
    assert (ticked.enqueued, ticked.missed, ticked.lag) == (1, 9, timedelta(hours=9, minutes=34))
    assert (house.slots(connection), house.next_run(connection)) == ([first()], first(10))


@pytest.mark.parametrize("how", ["disabled", "deleted", "by hand"])
def test_what_doesn_t_run_by_itself_is_never_due(house: House, how: str) -> None:
    """A connection that was disabled, removed or set to run by hand has no slot any more."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    match how:
        case "disabled":
            house.desk.do(connections.update, connection, {"enabled": False}, now=at(1))
        case "deleted":
            house.desk.do(connections.delete, connection, now=at(1))
        case _:
            house.desk.do(connections.update, connection, {"frequency": "manually"}, now=at(1))
    assert house.tick(5 * HOUR) == Ticked()
    assert house.slots(connection) == []


def test_one_disabled_behind_the_api_s_back_is_dropped(house: House) -> None:
    """A slot of a connection that runs no more isn't looked at again and again."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    disable = sa.update(connections_table).values(enabled=False)
    house.desk.do(lambda c: c.execute(disable))
    assert house.tick(HOUR) == Ticked(rows=1, lag=timedelta(minutes=34))
    assert (house.slots(connection), house.next_run(connection)) == ([], None)
    house.desk.do(connections.update, connection, {"enabled": True}, now=at(2 * HOUR))
    house.tick(2 * HOUR)
    assert (house.slots(connection), house.next_run(connection)) == ([], first(2))


def test_uploads_are_never_due(house: House) -> None:
    """A connection that takes files has nothing to run by itself."""
    house.desk.connection(frequency=Frequency.HOURLY, is_file_upload=True)
    assert house.tick(0) == house.tick(5 * HOUR) == Ticked()


def test_a_changed_frequency_holds_at_once(house: House) -> None:
    """A new schedule, expression or zone is computed at the next tick."""
    connection = house.desk.connection(frequency=Frequency.MONTHLY)
    house.tick(0)
    assert house.next_run(connection) == datetime(2026, 4, 1, 4, 26, tzinfo=UTC)
    house.desk.do(connections.update, connection, {"frequency": "daily"}, now=at(1))
    house.tick(1)
    assert house.next_run(connection) == datetime(2026, 3, 2, 1, 26, tzinfo=UTC)
    values = {"schedule": "15 9 * * mon", "timezone": "Asia/Kolkata"}
    house.desk.do(connections.update, connection, values, now=at(2))
    house.tick(2)
    assert house.next_run(connection) == datetime(2026, 3, 2, 3, 45, tzinfo=UTC)


def test_a_clock_put_back_gives_no_slot_a_second_job(house: House) -> None:
    """A clock that ran ahead by a day and was put back: slots go on from the true time, none twice."""
    connection = house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    house.tick(24 * HOUR)
    house.desk.finish(house.desk.claim(seconds=24 * HOUR).job)
    assert house.next_run(connection) == first() + timedelta(days=1)
    house.tick(60)
    assert house.next_run(connection) == first()  # this slot had its job, when the clock was ahead
    assert house.tick(HOUR).enqueued == 0
    assert house.tick(2 * HOUR).enqueued == 1
    assert house.slots(connection) == [first(), first(1)]


def test_a_changed_timetable_holds_for_all(house: House) -> None:
    """After a reload, or a restart with other settings, slots to come are the new ones."""
    connection = house.desk.connection(frequency=Frequency.DAILY)
    house.tick(0)
    house.scheduler.swap(SchedulerSettings(daily_at="03:00").timetable())
    house.tick(1)
    assert house.next_run(connection) == datetime(2026, 3, 2, 3, tzinfo=UTC)
    again = House(house.desk, daily_at="04:00")
    again.tick(2)
    assert again.next_run(connection) == datetime(2026, 3, 2, 4, tzinfo=UTC)


def test_ten_thousand_at_once_are_all_enqueued(house: House) -> None:
    """All that are due at the same second get their job, none two."""
    columns = {"kind": "alm", "system": "s", "command": "c", "frequency": "daily", "created": 0, "updated": 0}
    rows = [{"alias": f"Acme {number}", **columns} for number in range(3500)]
    house.desk.do(lambda c: c.execute(sa.insert(connections_table), rows))
    assert house.tick(0).rows == 3500
    assert house.tick(14 * HOUR).enqueued == 3500
    assert house.tick(14 * HOUR + 1).enqueued == 0
    with house.desk.database.read() as c:
        distinct = sa.func.count(sa.distinct(jobs_table.c.connection_id))
        assert c.execute(sa.select(sa.func.count(), distinct)).one() == (3500, 3500)


def test_daemons_that_tick_together_share_the_slots(house: House, store_url: str) -> None:
    """Two daemons that tick at the same moment make one job a slot."""
    columns = {"kind": "alm", "system": "s", "command": "c", "frequency": "daily", "created": 0, "updated": 0}
    rows = [{"alias": f"Acme {number}", **columns} for number in range(2500)]
    house.desk.do(lambda c: c.execute(sa.insert(connections_table), rows))
    house.tick(0)
    house.now = at(14 * HOUR)
    if house.desk.database.dialect == "sqlite":
        assert house.scheduler.tick().enqueued == 2500
        return
    other_database = open_database(store_url)
    other = Scheduler(
        SchedulerSettings().timetable(), other_database, clock=lambda: at(14 * HOUR), wake=lambda: None
    )
    starts = Barrier(2)

    def tick(scheduler: Scheduler) -> int:
        starts.wait(30)
        return scheduler.tick().enqueued

    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(tick, [house.scheduler, other]))
    made.append(house.scheduler.tick().enqueued)  # rows that the other had locked
    other_database.close()
    assert sum(made) == 2500


# --- pauses and windows -----------------------------------------------------------------------


def _claims(desk: Desk, *, frozen: bool = False) -> list[Claim]:
    return desk.do(claims.claim, owner="one", now=at(HOUR), limit=10, frozen=frozen)


def test_while_all_is_paused_nothing_is_claimed(desk: Desk) -> None:
    """A pause is stored; jobs wait until it ends, and the first reason for it stays."""
    desk.job(desk.connection())
    desk.do(pauses.pause, why="The disk is copied.", now=at(0))
    desk.do(pauses.pause, why="Again.", now=at(9))
    assert desk.ask(pauses.whole) == pauses.Pause(since=at(0), why="The disk is copied.")
    assert _claims(desk) == []
    assert not desk.ask(queue.anything_to_take, frozen=False)
    assert desk.do(pauses.resume)
    assert not desk.do(pauses.resume)
    assert desk.ask(queue.anything_to_take, frozen=False)
    assert len(_claims(desk)) == 1


def test_a_paused_connection_s_jobs_wait(desk: Desk) -> None:
    """Others go on meanwhile."""
    paused, other = desk.connection("paused"), desk.connection("other")
    for connection in (paused, other):
        desk.job(connection)
    desk.do(pauses.set_connection, paused, paused=True, now=at(1))
    assert [claim.connection.id for claim in _claims(desk)] == [other]
    desk.do(pauses.set_connection, paused, paused=False, now=at(2))
    assert [claim.connection.id for claim in _claims(desk)] == [paused]


def test_in_a_window_only_previews_run(desk: Desk) -> None:
    """While nothing may be written a preview may still read."""
    desk.job(desk.connection("run"))
    preview = desk.job(desk.connection("preview"), preview=True)
    assert [claim.job.id for claim in _claims(desk, frozen=True)] == [preview]
    desk.finish(desk.ask(_job, preview))
    assert not desk.ask(queue.anything_to_take, frozen=True)
    assert len(_claims(desk, frozen=False)) == 1


def _job(c: sa.Connection, job_id: int) -> Job:
    return queue.job_from_row(c.execute(sa.select(jobs_table).where(jobs_table.c.id == job_id)).one())


# --- jobs that are put off ----------------------------------------------------------------------


def test_a_job_that_is_put_off_waits_and_counts(desk: Desk) -> None:
    """It is pending again, not before its time, holds its connection, and knows how often it was tried."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    assert desk.do(claims.put_off, job=job, until=at(2 * HOUR), why="Waits.", now=at(HOUR))
    assert (desk.state(job.id), desk.state(behind)) == (State.PENDING, State.BEHIND)
    assert desk.row(job.id).progress == "Waits."
    assert _claims(desk) == []
    again = desk.claim(seconds=2 * HOUR).job
    assert (again.id, again.retries, again.attempt) == (job.id, 1, 2)
    assert not desk.do(claims.put_off, job=job, until=at(0), why="", now=at(0))  # an older attempt


def test_a_job_that_is_asked_to_end_isn_t_put_off(desk: Desk) -> None:
    """A cancellation that comes with the failure ends the job."""
    job = desk.running()
    desk.do(queue.cancel, job_id=job.id, now=at(HOUR))
    assert not desk.do(claims.put_off, job=job, until=at(2 * HOUR), why="", now=at(HOUR))


def test_a_job_cancelled_between_attempts_says_so(desk: Desk) -> None:
    """What an earlier attempt wrote isn't denied."""
    job = desk.running()
    desk.do(claims.put_off, job=job, until=at(2 * HOUR), why="Waits.", now=at(HOUR))
    assert desk.do(queue.cancel, job_id=job.id, now=at(HOUR)) is State.PENDING
    row = desk.row(job.id)
    assert (row.outcome, row.result_message, row.progress) == ("cancelled", queue.CANCELLED_BETWEEN, "")


def test_the_next_slot_of_all_is_known(house: House) -> None:
    """Status can say when something is due next."""
    assert house.desk.ask(store.next_due) is None
    house.desk.connection(frequency=Frequency.WEEKLY)
    house.desk.connection(frequency=Frequency.HOURLY)
    house.tick(0)
    assert house.desk.ask(store.next_due) == first()
    assert house.scheduler.status()["next"] == "2026-03-01T12:26:00Z"
