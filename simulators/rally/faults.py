"""Switches for what goes wrong at a Rally server, and the count of what it was asked."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """One way to go wrong."""

    TOO_MANY = "429"
    TOO_MANY_AFTER = "429 with Retry-After"
    UNAVAILABLE = "503"
    GATEWAY = "502"
    GATEWAY_TIMEOUT = "524"
    MAINTENANCE = "maintenance"  # an HTML page with status 200
    DRIP = "drip"  # the answer comes byte by byte
    SILENT = "silent"  # it never answers
    RESET = "reset"  # the connection breaks before anything is done
    RESET_AFTER = "reset after commit"  # it is done, and the answer is lost
    SHORT_PAGE = "short page"  # fewer rows than promised
    STALE_TOKEN = "stale token"  # noqa: S105 - the security token has run out


@dataclass(slots=True)
class _Planted:
    fault: Fault
    times: int
    method: str
    path: str

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and self.path.lower() in path.lower()


@dataclass(slots=True)
class Faults:
    """What is to go wrong next, or by chance."""

    rate: float = 0.0  # of requests that go wrong by chance
    kinds: tuple[Fault, ...] = ()
    rng: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - it guards nothing, it repeats itself
    _planted: list[_Planted] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plant(self, fault: Fault, *, times: int = 1, method: str = "", path: str = "") -> None:
        """Let the next requests that fit go wrong."""
        with self._lock:
            self._planted.append(_Planted(fault, times, method, path))

    def clear(self) -> None:
        """Let all go well from here on."""
        with self._lock:
            self._planted.clear()
            self.rate = 0.0

    def strike(self, method: str, path: str) -> Fault | None:
        """What goes wrong with this request."""
        with self._lock:
            for planted in self._planted:
                if planted.fits(method, path):
                    planted.times -= 1
                    return planted.fault
            if self.kinds and self.rng.random() < self.rate:
                return self.rng.choice(self.kinds)
        return None


CONCURRENT = 12
"""Requests at a time that a user may make; more are slowed down."""


class Traffic:
    """The count of requests, and of those at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.counts: Counter[str] = Counter()  # by method and kind of path
        self.total = 0
        self.most = 0  # requests at the same time
        self.slowed = 0  # requests beyond CONCURRENT

    def begin(self, name: str) -> bool:
        """Count a request; whether it has to be slowed down."""
        with self._lock:
            self._now += 1
            self.total += 1
            self.counts[name] += 1
            self.most = max(self.most, self._now)
            if self._now > CONCURRENT:
                self.slowed += 1
                return True
            return False

    def end(self) -> None:
        """Count its end."""
        with self._lock:
            self._now -= 1

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.counts.clear()
            self.total = self.most = self.slowed = 0
