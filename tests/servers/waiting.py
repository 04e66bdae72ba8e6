"""Waiting for a condition that has a name; never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0  # seconds until something is surely broken
_LOOK_EVERY = 0.01  # seconds


def until(what: str, look: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """The first true thing that ``look`` finds; a failed assertion with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_LOOK_EVERY)
