"""Read what people type for times: ``2h``, ``7d``, a date, an instant."""

import re
from datetime import datetime, timedelta

from runner.cli.output import utc_now
from runner.cli.refusals import BadUsage

_SPAN = re.compile(r"^(\d+)\s*(s|m|min|h|d|w)$")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def past(typed: str) -> datetime:
    """An instant that lies a span ago, or the one that is written out."""
    return _read(typed, sign=-1)


def future(typed: str) -> datetime:
    """An instant that a span leads to, or the one that is written out."""
    return _read(typed, sign=1)


def _read(typed: str, *, sign: int) -> datetime:
    try:
        if span := _SPAN.match(typed.strip()):
            return utc_now() + sign * timedelta(**{_UNITS[span[2]]: int(span[1])})
        written = datetime.fromisoformat(typed.strip())
    except (ValueError, OverflowError):
        msg = f"{typed!r} is not a time; write for example 2h, 7d, 2026-03-31 or 2026-03-31T08:00+02:00."
        raise BadUsage(msg) from None
    return written if written.tzinfo else written.astimezone()
