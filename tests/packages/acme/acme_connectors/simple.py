"""The smallest connectors: none finds anything to do, each in its own way."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


class Threads(Noop):
    """Plans nothing, and speaks of it on many threads at once."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Threads", short_name="Threads", command="sync_acme_threads"
    )

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Count the tasks and write long lines to the log, each thread for itself."""

        def count(number: int) -> int:
            ctx.log("acme_counts", number=number, padding="x" * 50_000)
            return sum(1 for _ in ctx.platform.tasks())

        with ThreadPoolExecutor(8) as threads:
            found = set(threads.map(count, range(64)))
        ctx.say(f"All threads counted {found}.")
        yield from ()


class Names(Noop):
    """Plans nothing, and counts by names that the daemon's log has a use for."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Names", short_name="Names", command="sync_acme_names"
    )

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Count one of each."""
        for name in ("event", "job", "level", "timestamp", "exc_info", "self", "apples"):
            ctx.count(name)
        ctx.say("There are apples.")
        yield from ()
