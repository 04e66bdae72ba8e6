"""Slots against a plain calendar, in zones with every kind of clock change."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model import calendar
from runner.model.calendar import Cron, Daily, Hourly, Monthly, Rule, Slots, Weekly
from runner.model.jobs import Frequency
from runner.settings import Scheduler
from tests.unit.plain_calendar import DAY, ZONES, days, instant_of, minutes, month_end, shown

BEGIN, END = datetime(2011, 12, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")

zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@st.composite
def instants(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    """Any instant; half of them close to a clock change."""
    instant = draw(st.datetimes(BEGIN.replace(tzinfo=None), END.replace(tzinfo=None))).replace(tzinfo=UTC)
    if draw(st.booleans()):
        for _ in range(400):
            if instant.astimezone(zone).utcoffset() != (instant + DAY).astimezone(zone).utcoffset():
                return instant + draw(st.timedeltas(-DAY, 2 * DAY))
            instant += DAY
    return instant


@st.composite
def cases(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A zone, and an instant to ask about."""
    zone = draw(zones)
    return zone, draw(instants(zone))


def by_day(fits: Callable[[date], bool], at: time, zone: ZoneInfo, after: datetime, reach: int) -> datetime:
    """The first slot after an instant, of the days that fit."""
    found = (instant_of(day, at, zone) for day in days(after, after + reach * DAY) if fits(day))
    return min(instant for instant in found if instant > after)


@settings(max_examples=3000, deadline=None)
@given(cases(), times)
def test_daily(case: tuple[ZoneInfo, datetime], at: time) -> None:
    """A day has its slot once, whatever the clocks do."""
    zone, after = case
    assert Daily(at).after(after, zone) == by_day(lambda _: True, at, zone, after, 3)


@settings(max_examples=2000, deadline=None)
@given(cases(), st.integers(0, 6), times)
def test_weekly(case: tuple[ZoneInfo, datetime], weekday: int, at: time) -> None:
    """A week has its slot once, on its day."""
    zone, after = case
    expected = by_day(lambda day: day.weekday() == weekday, at, zone, after, 9)
    assert Weekly(weekday, at).after(after, zone) == expected


@settings(max_examples=2000, deadline=None)
@given(cases(), st.integers(1, 31), times)
def test_monthly(case: tuple[ZoneInfo, datetime], number: int, at: time) -> None:
    """A month has its slot once, on its last day if it is too short."""
    zone, after = case
    expected = by_day(
        lambda day: day.day == number or (month_end(day) and day.day < number), at, zone, after, 35
    )
    assert Monthly(number, at).after(after, zone) == expected


@settings(max_examples=2000, deadline=None)
@given(cases(), st.integers(0, 59))
def test_hourly(case: tuple[ZoneInfo, datetime], minute: int) -> None:
    """Each hour that passes has its slot when the minute hand is there."""
    zone, after = case
    slots = (found for found in minutes(after, after + DAY) if shown(found, zone).minute == minute)
    assert Hourly(minute).after(after, zone) == next(slots)


@settings(max_examples=1500, deadline=None)
@given(cases(), st.integers(0, 23), st.integers(0, 59), st.sampled_from(["*", "mon-fri", "sun", "0,3"]))
def test_cron_with_an_hour(case: tuple[ZoneInfo, datetime], hour: int, minute: int, weekdays: str) -> None:
    """An expression that names an hour fits once a day; in a gap it fits as the gap ends."""
    zone, after = case
    wanted = {"*": range(7), "mon-fri": range(5), "sun": (6,), "0,3": (6, 2)}[weekdays]
    at = time(hour, minute)

    def settled(day: date) -> datetime:
        wall = datetime.combine(day, at)
        while shown(found := instant_of(wall.date(), wall.time(), zone), zone) != wall:
            wall += timedelta(minutes=1)
        return found

    slots = (settled(day) for day in days(after, after + 9 * DAY) if day.weekday() in wanted)
    expected = min(slot for slot in slots if slot > after)
    assert Cron(f"{minute} {hour} * * {weekdays}").after(after, zone) == expected


@settings(max_examples=1000, deadline=None)
@given(cases(), st.sampled_from([5, 10, 15, 20, 30]))
def test_cron_with_a_star(case: tuple[ZoneInfo, datetime], step: int) -> None:
    """An expression of minutes goes by the time that passes."""
    zone, after = case
    slots = (found for found in minutes(after, after + DAY) if shown(found, zone).minute % step == 0)
    assert Cron(f"*/{step} * * * *").after(after, zone) == next(slots)


@settings(max_examples=1000, deadline=None)
@given(
    cases(),
    st.sampled_from([Hourly(26), Daily(time(1, 26)), Weekly(5, time(4, 33)), Monthly(1, time(4, 26))]),
    st.integers(1, 3600),
    st.integers(1, 2**40),
)
def test_spread(case: tuple[ZoneInfo, datetime], rule: Rule, seconds: int, connection: int) -> None:
    """A connection's slot is the rule's, later by the same part of the spread each time."""
    zone, after = case
    slots = Slots(rule, zone, timedelta(seconds=seconds))
    first = slots.after(after, connection)
    second = slots.after(first, connection)
    offset = timedelta(seconds=seconds * calendar.share(connection) // calendar.SHARES)
    assert after < first < second
    assert timedelta(0) <= offset < timedelta(seconds=seconds)
    assert rule.after(first - offset - timedelta(microseconds=1), zone) == first - offset
    assert rule.after(first - offset, zone) == second - offset
    assert slots.between(first, second, connection) == 0


def test_a_spread_uses_all_of_it() -> None:
    """Neighbouring connections start far from each other, and all minutes get their share."""
    slots = Slots(Daily(time(1, 0)), NEW_YORK, timedelta(hours=1))
    after = datetime(2026, 5, 1, tzinfo=UTC)
    counts = [0] * 60
    for connection in range(1, 6001):
        counts[slots.after(after, connection).minute] += 1
    assert min(counts) > 80
    assert max(counts) < 120


DECADE = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", ["America/New_York", "Australia/Lord_Howe", "Asia/Beirut"])
def test_a_decade_has_each_slot_once(name: str) -> None:
    """From 2020 to 2030 each day, week and month has one slot at its time, and each hour one."""
    zone = ZoneInfo(name)
    begin, end = DECADE
    for at in (time(0, 0), time(1, 26), time(2, 30), time(23, 59)):
        expected = {instant_of(day, at, zone) for day in days(begin, end)}
        assert _all(Daily(at), zone) == sorted(slot for slot in expected if begin < slot <= end)
    sundays = {instant_of(day, time(2, 10), zone) for day in days(begin, end) if day.weekday() == 6}
    assert _all(Weekly(6, time(2, 10)), zone) == sorted(slot for slot in sundays if begin < slot <= end)
    firsts = {instant_of(day, time(0, 30), zone) for day in days(begin, end) if day.day == 1}
    assert _all(Monthly(1, time(0, 30)), zone) == sorted(slot for slot in firsts if begin < slot <= end)
    hours = _all(Hourly(26), zone)
    assert len(hours) == len(set(hours))
    assert all(shown(slot, zone).minute == 26 for slot in hours)
    assert abs(len(hours) - (end - begin) / timedelta(hours=1)) <= 20  # halves of hours at Lord Howe


def _all(rule: Rule, zone: ZoneInfo) -> list[datetime]:
    slot, end = DECADE
    found = []
    while (slot := rule.after(slot, zone)) <= end:
        found.append(slot)
    return found


@pytest.mark.parametrize(
    ("window", "instant", "until"),
    [
        ("fri 18:00 - mon 06:00", "2026-03-06T22:59", None),
        ("fri 18:00 - mon 06:00", "2026-03-06T23:00", "2026-03-09T10:00"),  # summer began
        ("fri 18:00 - mon 06:00", "2026-03-09T09:59", "2026-03-09T10:00"),
        ("fri 18:00 - mon 06:00", "2026-03-09T10:00", None),
        ("22:00 - 06:00", "2026-06-02T03:00", "2026-06-02T10:00"),
        ("22:00 - 06:00", "2026-06-02T11:00", None),
        ("sunday 00:00 - tuesday 00:00", "2026-06-03T12:00", None),
    ],
)
def test_windows(window: str, instant: str, until: str | None) -> None:
    """A window is open from its beginning, and closed at its end."""
    timetable = Scheduler(timezone="America/New_York", freeze=[window]).timetable()
    expected = None if until is None else datetime.fromisoformat(f"{until}+00:00")
    assert timetable.frozen_until(datetime.fromisoformat(f"{instant}+00:00")) == expected


def test_windows_that_follow_each_other_are_one() -> None:
    """Where one window ends inside another, the later end counts."""
    timetable = Scheduler(freeze=["sat 00:00 - sun 12:00", "sun 11:00 - mon 06:00"]).timetable()
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert timetable.frozen_until(saturday) == datetime(2026, 3, 9, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (calendar.parse_zone, "Mars/Olympus"),
        (calendar.parse_zone, "../etc/passwd"),
        (calendar.parse_zone, ""),
        (calendar.parse_daily, "24:00"),
        (calendar.parse_daily, "1:2"),
        (calendar.parse_daily, "noon"),
        (calendar.parse_weekly, "sa 04:33"),
        (calendar.parse_weekly, "04:33"),
        (calendar.parse_monthly, "0 04:26"),
        (calendar.parse_monthly, "32 04:26"),
        (calendar.parse_cron, "* * * *"),
        (calendar.parse_cron, "0 0 * * * *"),
        (calendar.parse_cron, "61 * * * *"),
        (calendar.parse_cron, "0 0 30 2 *"),
        (calendar.parse_window, "fri 18:00"),
        (calendar.parse_window, "fri 18:00 - 06:00"),
    ],
)
def test_what_can_t_be_read_is_named(parse: Callable[[str], object], text: str) -> None:
    """What isn't a time, a zone, an expression or a window is refused with the text and an example."""
    with pytest.raises(ValueError, match=r"write (for example )?\"") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


def test_a_connection_s_own_schedule_and_zone_come_first() -> None:
    """An expression stands in for the frequency, and a connection's zone for the daemon's."""
    timetable = Scheduler(
        timezone="America/New_York", daily_at="01:00", spread=timedelta(hours=2)
    ).timetable()
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    daily = timetable.slots(Frequency.DAILY, None, "Asia/Kolkata")
    assert daily is not None
    assert daily.after(noon) == datetime(2026, 6, 1, 19, 30, tzinfo=UTC)
    own = timetable.slots(Frequency.MANUALLY, "0 9 * * *", None)
    assert own is not None
    assert own.after(noon, connection_id=7) == datetime(2026, 6, 1, 13, tzinfo=UTC)  # it isn't spread
    assert timetable.slots(Frequency.MANUALLY, None, None) is None
