"""Durations and sizes as people write them: ``"30s"``, ``"64MiB"``."""

import re
from datetime import timedelta

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)\s*$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?\s*$", re.IGNORECASE)
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_MILLISECOND = timedelta(milliseconds=1)


def parse_duration(text: str) -> timedelta:
    """``"30s"``, ``"1.5h"``; ``ValueError`` with a sentence for the operator."""
    found = _DURATION.match(text)
    if not found:
        msg = f'{text!r} is not a duration; write for example "30s", "5m" or "2h"'
        raise ValueError(msg)
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])


def parse_size(text: str) -> int:
    """``"64MiB"`` in bytes; ``ValueError`` with a sentence for the operator."""
    found = _SIZE.match(text)
    if not found:
        msg = f'{text!r} is not a size; write for example "512KiB", "64MiB" or "2GiB"'
        raise ValueError(msg)
    return int(float(found[1]) * _BYTES[(found[2] or "B").upper()])


def format_duration(duration: timedelta) -> str:
    """As it is written in a file, in the largest unit that fits."""
    left = duration // _MILLISECOND
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if left % size == 0 and (left or unit == "s"):
            return f"{left // size}{unit}"
    return f"{left}ms"


def format_size(size: int) -> str:
    """As it is written in a file, in the largest unit that fits."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"
