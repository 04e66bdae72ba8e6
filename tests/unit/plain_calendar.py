"""The calendar as a person works it out, to hold the runner's against."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
ZONES = (
    "UTC",
    "America/New_York",
    "America/Santiago",  # its gap begins at midnight
    "America/St_Johns",  # half an hour beside the others
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # moves its clock by half an hour
    "Europe/Berlin",
    "Europe/Dublin",  # has its standard time in summer
    "Pacific/Apia",  # left out 30 December 2011
    "Africa/Casablanca",
)


def shown(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show, without the zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """When the clocks first show this; if never, as long after the gap's beginning as they would have."""
    wall = datetime.combine(day, at)
    around = [wall.replace(tzinfo=UTC) + offset for offset in (-2 * DAY, 2 * DAY)]
    offsets = [instant.astimezone(zone).utcoffset() or timedelta(0) for instant in around]
    fitting = [
        found for offset in offsets if shown(found := (wall - offset).replace(tzinfo=UTC), zone) == wall
    ]
    return min(fitting, default=(wall - offsets[0]).replace(tzinfo=UTC))


def days(begin: datetime, end: datetime) -> Iterator[date]:
    """All days between two instants, and some around them."""
    day = begin.date() - 3 * DAY
    while day <= end.date() + 3 * DAY:
        yield day
        day += DAY


def month_end(day: date) -> bool:
    """Whether it is the last of its month."""
    return (day + DAY).month != day.month


def minutes(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Each whole minute after ``begin``, until ``end``."""
    instant = begin.replace(second=0, microsecond=0)
    while (instant := instant + timedelta(minutes=1)) <= end:
        yield instant
