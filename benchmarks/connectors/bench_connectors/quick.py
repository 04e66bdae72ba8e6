"""Connectors whose runs are over at once."""

import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class Noop:
    """Plans nothing."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Bench Noop", short_name="Noop", command="bench_noop"
    )
    params: ClassVar[type[Params]] = Params

    def check(self, ctx: Context) -> Iterable[Step]:
        """Nothing can be wrong."""
        return [Step(name="nothing", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read nothing, change nothing."""
        yield from ()


class Clock(Noop):
    """Tells when its plan began, on the clock that all processes share."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Bench Clock", short_name="Clock", command="bench_clock"
    )

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Look at the clock first of all."""
        ctx.count("began", time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        yield from ()
