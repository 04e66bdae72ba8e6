"""The scheduler over long times and many troubles, beside a plain calendar."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.model.jobs import Frequency
from runner.scheduler import Scheduler
from runner.settings import Scheduler as SchedulerSettings
from runner.store import accounts, migrate
from runner.store.database import Database, open_database
from runner.store.schema import connections, facts, jobs
from tests.servers.waiting import until
from tests.unit.plain_calendar import ZONES, days, instant_of, month_end, shown

AT = SchedulerSettings(hourly_at=26, daily_at="02:10", weekly_on="sun 01:30", monthly_on="31 00:15")
FREQUENCIES = ("hourly", "daily", "weekly", "monthly")
FLEET = 250
"""Connections that live through one example together."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Give a store, which each example empties."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('scheduler') / 'runner.db'}")
    migrate.upgrade(database)
    database.write(lambda c: accounts.service_account(c, now=datetime(2020, 1, 1, tzinfo=UTC)))
    yield database
    database.close()


class Clock:
    """A clock that the test sets."""

    now = datetime(2020, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


def empty(database: Database) -> None:
    """Remove what an example left."""
    for table in (jobs, connections, facts):
        database.write(lambda c, table=table: c.execute(table.delete()))  # type: ignore[misc]  # bound early


def fill(database: Database, fleet: "list[One]") -> None:
    """Add the connections."""
    rows = [
        {
            "id": one.id,
            "kind": "alm",
            "system": "s",
            "alias": "a",
            "command": "c",
            "created": 0,
            "updated": 0,
            "frequency": one.frequency,
            "timezone": one.zone,
        }
        for one in fleet
    ]
    database.write(lambda c: c.execute(sa.insert(connections), rows))


@dataclass
class One:
    """A connection, and what a plain calendar says of it."""

    id: int
    frequency: str
    zone: str
    next: datetime | None = None
    waiting: bool = False  # a scheduled job of it waits
    busy: bool = False  # and a job before that one runs on and on
    had: list[datetime] = field(default_factory=list)

    def slot_after(self, instant: datetime) -> datetime:
        """Its first slot after an instant, by looking through the days."""
        zone = ZoneInfo(self.zone)
        if self.frequency == "hourly":
            found = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
            while shown(found, zone).minute != 26:
                found += timedelta(minutes=1)
            return found
        reach = {"daily": 3, "weekly": 9, "monthly": 64}[self.frequency]
        slots = (
            instant_of(day, self._at(), zone)
            for day in days(instant, instant + timedelta(days=reach))
            if self._fits(day)
        )
        return min(slot for slot in slots if slot > instant)

    def _at(self) -> time:
        return {"daily": time(2, 10), "weekly": time(1, 30), "monthly": time(0, 15)}[self.frequency]

    def _fits(self, day: date) -> bool:
        if self.frequency == "weekly":
            return day.weekday() == 6
        return self.frequency == "daily" or month_end(day)


@dataclass
class World:
    """All connections, the clock, and what the clock showed at the most when a slot was due."""

    fleet: list[One]
    seen: datetime | None = None

    def tick(self, now: datetime) -> None:
        """What a tick has to do."""
        if self.seen is not None and now < self.seen - timedelta(minutes=1):
            for one in self.fleet:
                if one.next is not None and one.next > now:
                    one.next = one.slot_after(now)
            self.seen = now
        for one in self.fleet:
            if one.next is None:
                one.next = one.slot_after(now)
            elif one.next <= now:
                if not one.waiting and one.next not in one.had:
                    one.had.append(one.next)
                    one.waiting = True
                one.next = one.slot_after(now)
                self.seen = now

    def work(self) -> list[int]:
        """Run what waits; the connections whose jobs ended."""
        ended = [one for one in self.fleet if one.waiting and not one.busy]
        for one in ended:
            one.waiting = False
        return [one.id for one in ended]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 7200)),  # seconds between two looks
        st.tuples(st.just("outage"), st.integers(3600, 40 * 86400)),
        st.tuples(st.just("put back"), st.integers(61, 3 * 86400)),
        st.tuples(st.just("leap"), st.integers(60, 3 * 86400)),
        st.tuples(st.just("busy"), st.integers(0, 2**32)),
    ),
    min_size=6,
    max_size=14,
)
begins = st.datetimes(datetime(2012, 1, 1), datetime(2029, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), begins, steps)
@pytest.mark.timeout(600)
def test_slots_through_outages_clocks_and_busy_times(
    store: Database, seed: int, begin: datetime, steps: list[tuple[str, int]]
) -> None:
    """10,000 connections in twelve zones get the jobs that a plain calendar says, and no others."""
    random, clock = Random(seed), Clock()  # noqa: S311 - a simulation
    empty(store)
    world = World([One(n + 1, random.choice(FREQUENCIES), random.choice(ZONES)) for n in range(FLEET)])
    fill(store, world.fleet)
    clock.now = begin
    scheduler = Scheduler(AT.timetable(), store, clock=clock, wake=lambda: None)
    scheduler.tick()
    world.tick(clock.now)
    for what, number in steps:
        match what:
            case "busy":
                chosen = Random(number)  # noqa: S311 - a simulation
                for one in world.fleet:
                    one.busy = chosen.random() < 0.3
            case "put back":
                clock.now -= timedelta(seconds=number)
            case _:
                clock.now += timedelta(seconds=number)
        if what == "outage":  # a new daemon, which knows what is stored
            scheduler = Scheduler(AT.timetable(), store, clock=clock, wake=lambda: None)
        scheduler.tick()
        world.tick(clock.now)
        ended = world.work()
        finish = sa.update(jobs).where(jobs.c.connection_id.in_(ended)).values(state="finished")
        store.write(lambda c, finish=finish: c.execute(finish))  # type: ignore[misc]  # bound early
    with store.read() as c:
        made: dict[int, list[datetime]] = {one.id: [] for one in world.fleet}
        for connection, slot in c.execute(sa.select(jobs.c.connection_id, jobs.c.slot).order_by(jobs.c.id)):
            made[connection].append(datetime.fromtimestamp(slot / 1_000_000, UTC))
    assert made == {one.id: one.had for one in world.fleet}
    assert all(len(slots) == len(set(slots)) for slots in made.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_decade_runs_each_slot_once(store: Database) -> None:
    """From 2020 to 2030, in three zones, each day, week and month runs exactly once."""
    empty(store)
    zones = ("America/New_York", "Australia/Lord_Howe", "Asia/Beirut")
    fleet = [One(0, frequency, zone) for zone in zones for frequency in FREQUENCIES[1:]]
    for number, one in enumerate(fleet, 1):
        one.id = number
    fill(store, fleet)
    clock, end = Clock(), datetime(2030, 1, 1, tzinfo=UTC)
    scheduler = Scheduler(AT.timetable(), store, clock=clock, wake=lambda: None)
    done = sa.update(jobs).where(jobs.c.state == sa.literal_column("'pending'")).values(state="finished")
    begin, missed = clock.now, 0
    while clock.now < end:
        ticked = scheduler.tick()
        missed += ticked.missed + ticked.coalesced
        store.write(lambda c: c.execute(done))
        clock.now = min(end, clock.now + timedelta(hours=21))  # no two slots are closer
    scheduler.tick()
    assert missed == 0
    with store.read() as c:
        rows = c.execute(sa.select(jobs.c.connection_id, jobs.c.slot).order_by(jobs.c.id)).all()
    for one in fleet:
        expected, slot = [], one.slot_after(begin)
        while slot <= end:
            expected.append(slot)
            slot = one.slot_after(slot)
        found = [datetime.fromtimestamp(at / 1_000_000, UTC) for key, at in rows if key == one.id]
        assert found == expected


def test_ticks_come_by_themselves_and_end(store: Database) -> None:
    """Started, it ticks each second until it is stopped; a connection is told its slot."""
    empty(store)
    fill(store, [One(1, "hourly", "UTC")])
    clock = Clock()
    scheduler = Scheduler(AT.timetable(), store, clock=clock, wake=lambda: None)
    scheduler.start()
    try:
        until("the slot", lambda: scheduler.status()["next"])
        clock.now += timedelta(hours=1)
        until("the job", lambda: scheduler.status()["enqueued"])
        assert scheduler.healthy()
    finally:
        scheduler.stop()
    assert not scheduler.tick().enqueued


def test_a_timer_whose_clock_was_put_back_is_woken(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """APScheduler would sleep as long as its clock was put back; whoever watches ends that."""
    empty(store)
    fill(store, [One(1, "hourly", "UTC")])
    clock = Clock()
    scheduler = Scheduler(AT.timetable(), store, clock=clock, wake=lambda: None)
    scheduler.start()
    try:
        until("the slot", lambda: scheduler.status()["next"])
        scheduler._timer.modify_job("tick", next_run_time=datetime.now(UTC) + timedelta(days=1))
        clock.now += timedelta(hours=1)
        monkeypatch.setattr("runner.scheduler._LATE", 0.05)

        def enqueued() -> int:
            scheduler.watch()
            return int(scheduler.status()["enqueued"])

        until("a tick", enqueued)
    finally:
        scheduler.stop()


def test_a_frequency_that_is_by_hand_has_no_slots() -> None:
    """Only what has a rule is due by itself."""
    timetable = AT.timetable()
    assert set(timetable.rules) == set(Frequency) - {Frequency.MANUALLY}
