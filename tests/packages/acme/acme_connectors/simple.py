"""The smallest connector: it finds nothing to do."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class NoopParams(Params):
    """Nothing to set."""


class Noop:
    """Plans nothing."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Noop", short_name="Noop", command="sync_acme_noop"
    )
    params: ClassVar[type[Params]] = NoopParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Nothing can be wrong."""
        return [Step(name="nothing", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read nothing, change nothing."""
        yield from ()
