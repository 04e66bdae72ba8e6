"""A connector that proves by itself that no two of its connection's runs are under way at once."""

import fcntl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from runner.errors import BadInput
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class NapParams(Params):
    """Where and how long."""

    bed: Path = Field(description="file in which one run at a time may lie")
    seconds: float = Field(0, ge=0, description="how long it lies there")


class Nap:
    """Lies in its bed for a while, writes down that it did, and changes nothing."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Nap", short_name="Nap", command="sync_acme_nap"
    )
    params: ClassVar[type[Params]] = NapParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look for the bed."""
        return [Step(name="bed", ok=ctx.params.bed.is_file())]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Fail if somebody lies there already. A process that dies leaves its bed empty."""
        with ctx.params.bed.open("a", encoding="ascii") as bed:
            try:
                fcntl.flock(bed, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = "Another run of this connection is under way."
                raise BadInput(msg) from error
            time.sleep(ctx.params.seconds)
            bed.write(f"{ctx.job.id}\n")
        yield from ()
