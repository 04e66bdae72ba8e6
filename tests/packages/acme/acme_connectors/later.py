"""A connector whose other side asks for later, a few times."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from runner.errors import Unreachable
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class LaterParams(Params):
    """How long it holds out."""

    ledger: Path = Field(description="file that gets a line for each attempt, with the run's subject")
    times: int = Field(description="attempts that it turns away")


class Later:
    """Plans nothing, once it is let in."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Later", short_name="Later", command="sync_acme_later"
    )
    params: ClassVar[type[Params]] = LaterParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Nothing can be wrong."""
        return [Step(name="nothing", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Ask for later, or find nothing to do."""
        params: LaterParams = ctx.params
        with params.ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(f"{ctx.job.only or 'all'}\n")
        if len(params.ledger.read_text(encoding="utf-8").splitlines()) <= params.times:
            raise Unreachable("acme.example is away.")
        yield from ()
