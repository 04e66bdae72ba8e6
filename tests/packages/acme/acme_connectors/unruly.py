"""Connectors that misbehave, each in one way."""

import ctypes
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from pydantic import Field

from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


def _info(name: str) -> SystemInfo:
    return SystemInfo(
        kind=Kind.ALM, name=f"Acme {name}", short_name=name, command=f"sync_acme_{name.lower()}"
    )


class _Unruly:
    params: ClassVar[type[Params]] = Params

    def check(self, ctx: Context) -> Iterable[Step]:
        """Behave in tests."""
        return [Step(name="fine", ok=True)]


class Hang(_Unruly):
    """Never comes back."""

    info: ClassVar[SystemInfo] = _info("Hang")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Sleep for ever."""
        while True:
            time.sleep(3600)


class SpinParams(Params):
    """How to keep the processor busy."""

    hold: bool = Field(False, description="let no other thread of the process run meanwhile")


class Spin(_Unruly):
    """Never comes back either, and works hard at it."""

    info: ClassVar[SystemInfo] = _info("Spin")
    params: ClassVar[type[Params]] = SpinParams

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Count for ever; a sum without end doesn't give the interpreter away once."""
        if ctx.params.hold:
            sum(itertools.repeat(0))
        while True:
            pass


class Chatter(_Unruly):
    """Never comes back, and never stops talking."""

    info: ClassVar[SystemInfo] = _info("Chatter")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Write a line to the log, and another."""
        while True:
            ctx.log("acme_chattered")


class Crash(_Unruly):
    """Takes its process with it."""

    info: ClassVar[SystemInfo] = _info("Crash")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read address zero."""
        ctypes.string_at(0)
        return iter(())


class Fork(_Unruly):
    """Dies and leaves a child that holds on to all it inherited."""

    info: ClassVar[SystemInfo] = _info("Fork")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Fork; the child outlives its parent by some seconds."""
        if os.fork() == 0:
            time.sleep(5)
        os._exit(3)


class Quit(_Unruly):
    """Wants to end the whole process, the polite way."""

    info: ClassVar[SystemInfo] = _info("Quit")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Leave."""
        sys.exit("That's enough.")


class Bloat(_Unruly):
    """Takes memory without end."""

    info: ClassVar[SystemInfo] = _info("Bloat")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Hoard."""
        hoard = []
        while True:
            hoard.append(bytes(1024 * 1024))


class Defect(_Unruly):
    """Has an ordinary programming error."""

    info: ClassVar[SystemInfo] = _info("Defect")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Ask for a thing that isn't there."""
        names: dict[str, Change] = {}
        return iter([names["nobody"]])


class Impostor(_Unruly):
    """Goes by the name of one of the runner's own systems."""

    info: ClassVar[SystemInfo] = _info("Impostor")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Be found out."""
        ctx.say("The impostor ran.")
        return iter(())
