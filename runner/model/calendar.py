"""When something is due: wall-clock rules in a time zone, and the instants they name.

A rule names local times; an instant is found by way of UTC. A local time that a clock change
leaves out happens as much later as the clock jumped, and one that happens twice counts the
first time only. An hourly rule has no local hour to be late for: it goes by each hour that
passes. Cron expressions follow Debian's cron: what names an hour runs once, right after a gap
if it fell into one; a star goes by the time that passes.
"""

import contextlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runner.model.jobs import Frequency

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FIELDS_OF_CRON = 5
_PERIOD = {Frequency.HOURLY: timedelta(hours=1)}
"""How far the slots of one frequency may be spread, where that is less than a day."""


class Rule(Hashable, Protocol):
    """Names instants without end."""

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The first instant of this rule after ``instant``, in UTC."""


def resolve(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant at which the clocks of ``zone`` show this, or would if none had been put forward."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def _first(days: Iterator[date], at: time, instant: datetime, zone: ZoneInfo) -> datetime:
    return next(found for day in days if (found := resolve(day, at, zone)) > instant)


def _days_from(
    instant: datetime, zone: ZoneInfo, step: int = 1, weekday: int | None = None
) -> Iterator[date]:
    # Two days before, for a zone may have moved across the date line meanwhile.
    day = instant.astimezone(zone).date() - 2 * _DAY
    if weekday is not None:
        day -= (day.weekday() - weekday) % 7 * _DAY
    while True:
        yield day
        day += step * _DAY


@dataclass(frozen=True, slots=True)
class Hourly:
    """Each hour, at a minute of the local clock."""

    minute: int

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The next time the minute hand stands there."""
        begun = instant.astimezone(UTC).replace(second=0, microsecond=0)
        ahead = (self.minute - begun.astimezone(zone).minute) % 60 or 60
        found = begun + ahead * _MINUTE
        if found.astimezone(zone).minute == self.minute:
            return found
        # The clock was moved by a part of an hour within it.
        found = begun + _MINUTE
        while found.astimezone(zone).minute != self.minute:
            found += _MINUTE
        return found


@dataclass(frozen=True, slots=True)
class Daily:
    """Each day, at a time of the local clock."""

    at: time

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The next day's slot that isn't over."""
        return _first(_days_from(instant, zone), self.at, instant, zone)


@dataclass(frozen=True, slots=True)
class Weekly:
    """Each week, on a day at a time of the local clock."""

    weekday: int  # 0 = Monday
    at: time

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The next week's slot that isn't over."""
        return _first(_days_from(instant, zone, 7, self.weekday), self.at, instant, zone)


@dataclass(frozen=True, slots=True)
class Monthly:
    """Each month, on a day at a time of the local clock; the last day where it has fewer."""

    day: int
    at: time

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The next month's slot that isn't over."""
        return _first(self._days(instant.astimezone(zone).date() - 2 * _DAY), self.at, instant, zone)

    def _days(self, since: date) -> Iterator[date]:
        first = since.replace(day=1)
        while True:
            following = (first + 32 * _DAY).replace(day=1)
            yield min(first + (self.day - 1) * _DAY, following - _DAY)
            first = following


@dataclass(frozen=True, slots=True)
class Cron:
    """What a cron expression of five fields names."""

    expression: str

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The next instant that fits. (It is found by ADR 5's library.)"""
        from cronsim import CronSim

        whole = instant.astimezone(zone)
        for found in CronSim(self.expression, whole):
            # In an hour that happens twice it counts local time only.
            if (settled := found.astimezone(UTC)) > instant:
                return settled
        msg = f"{self.expression!r} never comes true"
        raise ValueError(msg)


# --- reading what people write ------------------------------------------------------------


def parse_zone(name: str) -> ZoneInfo:
    """A time zone by its name; ``ValueError`` with a sentence for the operator."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f'{name!r} is not a time zone; write for example "UTC" or "Europe/Berlin"'
        raise ValueError(msg) from None


def parse_time(text: str) -> time:
    """A time of the day: ``"01:26"``."""
    hours, colon, minutes = text.strip().partition(":")
    if colon and hours.isdecimal() and len(minutes) == len("00") and minutes.isdecimal():
        with contextlib.suppress(ValueError):
            return time(int(hours), int(minutes))
    msg = f'{text!r} is not a time of the day; write for example "01:26"'
    raise ValueError(msg)


def parse_daily(text: str) -> Daily:
    """``"01:26"``."""
    return Daily(parse_time(text))


def parse_weekly(text: str) -> Weekly:
    """``"saturday 04:33"``; three letters of the day are enough."""
    name, _, at = text.strip().partition(" ")
    for number, day in enumerate(_DAYS):
        if len(name) >= len("sun") and day.startswith(name.lower()):
            return Weekly(number, parse_time(at))
    msg = f'{text!r} is not a day of the week with a time; write for example "saturday 04:33"'
    raise ValueError(msg)


def parse_monthly(text: str) -> Monthly:
    """``"1 04:26"``."""
    day, _, at = text.strip().partition(" ")
    if day.isdecimal() and 1 <= int(day) <= 31:  # noqa: PLR2004 - days of a month
        return Monthly(int(day), parse_time(at))
    msg = f'{text!r} is not a day of the month with a time; write for example "1 04:26"'
    raise ValueError(msg)


def parse_cron(text: str) -> Cron:
    """A cron expression of five fields; ``ValueError`` if it isn't one, or never comes true."""
    from cronsim import CronSimError

    fields = text.split()
    rule, trouble = Cron(" ".join(fields)), "it has not five fields"
    if len(fields) == _FIELDS_OF_CRON:
        try:
            rule.after(datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
        except (CronSimError, ValueError) as error:
            trouble = str(error)
        else:
            return rule
    msg = f'{text!r} is not a cron expression ({trouble}); write for example "26 1 * * mon-fri"'
    raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that comes back, from one rule's instant to the other's next."""

    begin: Rule
    end: Rule

    def until(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """When it ends, if ``instant`` is in it."""
        begun = self.begin.after(instant - 8 * _DAY, zone)
        if begun > instant:
            return None
        while (later := self.begin.after(begun, zone)) <= instant:
            begun = later
        over = self.end.after(begun, zone)
        return over if instant < over else None


def parse_window(text: str) -> Window:
    """``"fri 18:00 - mon 06:00"``, or each day ``"22:00 - 06:00"``."""
    parts = text.split(" - ")
    with_days = [" " in part.strip() for part in parts]
    if len(parts) == len(("begin", "end")) and len(set(with_days)) == 1:
        parse = parse_weekly if with_days[0] else parse_daily
        return Window(parse(parts[0]), parse(parts[1]))
    msg = f'{text!r} is not a window; write "fri 18:00 - mon 06:00", or "22:00 - 06:00" for each day'
    raise ValueError(msg)


# --- what is due when -----------------------------------------------------------------------

SHARES = 65536
"""Into how many parts a spread is cut; a connection has one of them."""


def share(connection_id: int) -> int:
    """The connection's part of a spread, the same for ever: Knuth's multiplicative hash of its number."""
    return (connection_id * 2654435761 >> 16) % SHARES


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The slots of all frequencies, in one zone unless a connection has its own."""

    zone: ZoneInfo
    rules: Mapping[Frequency, Rule]
    spread: timedelta = timedelta(0)
    freeze: Sequence[Window] = ()

    def frozen_until(self, instant: datetime) -> datetime | None:
        """When something may be written again, if not at ``instant``."""
        until = None
        while ends := [end for window in self.freeze if (end := window.until(until or instant, self.zone))]:
            until = max(ends)
            if until > instant + 400 * _DAY:
                break  # the windows leave no gap between them
        return until

    def slots(self, frequency: Frequency, cron: str | None, zone: str | None) -> "Slots | None":
        """The slots of connections with this schedule; None = never due by themselves."""
        where = self.zone if zone is None else parse_zone(zone)
        if cron is not None:
            # Who writes a minute wants that minute.
            return Slots(Cron(cron), where, timedelta(0))
        rule = self.rules.get(frequency)
        return None if rule is None else Slots(rule, where, min(self.spread, _PERIOD.get(frequency, _DAY)))


@dataclass(frozen=True, slots=True)
class Slots:
    """The instants at which the connections of one schedule are due."""

    rule: Rule
    zone: ZoneInfo
    spread: timedelta

    def after(self, instant: datetime, connection_id: int = 0) -> datetime:
        """The connection's first slot after ``instant``."""
        if not self.spread:
            return _after(self.rule, self.zone, instant)
        offset = self._offset(connection_id)
        slot = _after(self.rule, self.zone, instant - self.spread)
        while slot + offset <= instant:
            slot = _after(self.rule, self.zone, slot)
        return slot + offset

    def between(self, slot: datetime, following: datetime, connection_id: int = 0) -> int:
        """How many of the connection's slots lie between these two; a great many are cut short."""
        offset = self._offset(connection_id)
        return _between(self.rule, self.zone, slot - offset, following - offset)

    def longest_gap(self, instant: datetime) -> timedelta:
        """The longest time between two of the next slots after ``instant``."""
        return _longest_gap(self.rule, self.zone, instant)

    def _offset(self, connection_id: int) -> timedelta:
        return timedelta(seconds=int(self.spread.total_seconds()) * share(connection_id) // SHARES)


_MOST = 10_000  # slots that are counted
_AHEAD = 10  # slots that are looked at for the longest time between two: a week of working days and more


@lru_cache(maxsize=1024)
def _after(rule: Rule, zone: ZoneInfo, instant: datetime) -> datetime:
    """Computed once for all connections of a schedule that ask about the same instant."""
    return rule.after(instant, zone)


@lru_cache(maxsize=1024)
def _between(rule: Rule, zone: ZoneInfo, slot: datetime, following: datetime) -> int:
    found = 0
    while found < _MOST and (slot := rule.after(slot, zone)) < following:
        found += 1
    return found


@lru_cache(maxsize=4096)
def _longest_gap(rule: Rule, zone: ZoneInfo, instant: datetime) -> timedelta:
    longest, slot = timedelta(0), rule.after(instant, zone)
    for _ in range(_AHEAD):
        following = rule.after(slot, zone)
        longest, slot = max(longest, following - slot), following
    return longest
