"""Cells as text: what a directory, and a person, would call the same value."""

import unicodedata
from datetime import date, datetime, time, timedelta

_EXACT = 10**15  # a spreadsheet keeps 15 digits of a number
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_BLANKS = " \t\r\n\u00a0\u2007\u202f\u3000"


def as_text(value: object) -> str | None:
    """A cell's value as text; None = blank.

    Whole numbers without a point, dates as ISO 8601, booleans as a directory writes them. Text
    is composed (NFC), without zero-width characters and blanks at its ends.
    """
    match value:
        case "" | None:
            return None
        case str():
            return clean(value) or None
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else format(value, ".15g")
        case datetime():
            at_midnight = value.time() == time()
            return value.date().isoformat() if at_midnight else value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def clean(text: str) -> str:
    """Text without what nobody sees."""
    if text.isascii():
        return text.replace("\r\n", "\n").strip(_BLANKS)
    return unicodedata.normalize("NFC", text.translate(_INVISIBLE)).replace("\r\n", "\n").strip(_BLANKS)


def is_inexact(value: object) -> bool:
    """Whether a number has more digits than a spreadsheet keeps."""
    return isinstance(value, float | int) and not isinstance(value, bool) and abs(value) >= _EXACT
