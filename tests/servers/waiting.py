"""Waiting for a condition that has a name; never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0  # seconds until something is surely broken, on a busy machine too
_LOOK_EVERY, _LOOK_SELDOM = 0.01, 0.25  # seconds between two looks


def until(what: str, look: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """The first true thing that ``look`` finds; a failed assertion with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        looked = time.monotonic()
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        # A look that takes long takes the processor from what it looks for.
        time.sleep(min(max(time.monotonic() - looked, _LOOK_EVERY), _LOOK_SELDOM))
