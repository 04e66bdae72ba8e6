"""How instants and JSON stand in the tables."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic_core

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """An aware datetime as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Microseconds since 1970 as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def maybe_from_micros(micros: int | None) -> datetime | None:
    """The same, where there may be none."""
    return None if micros is None else from_micros(micros)


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """A JSON value as compact text."""
    return "{}" if value == {} else _compact(value)


def from_json(text: str | None) -> Any:
    """What a JSON column holds; None for null."""
    if text is None:
        return None
    return {} if text == "{}" else pydantic_core.from_json(text)
