"""A connector that can't keep a secret: it tells its password wherever it can."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field, SecretStr

from runner.errors import BadInput
from runner.model.changes import (
    Change,
    ChangeOutcome,
    ChangeState,
    Op,
    StoredChange,
    Target,
    Values,
    constructive,
)
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class LeakyParams(Params):
    """What not to tell."""

    password: SecretStr = Field(description="told to everybody")
    end: str = Field("", description="how to fail in the end: error, defect, or not at all")


class Leaky:
    """Tells its password."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Leaky", short_name="Leaky", command="sync_acme_leaky"
    )
    params: ClassVar[type[Params]] = LeakyParams
    batch_size: ClassVar[int] = 10

    def check(self, ctx: Context) -> Iterable[Step]:
        """There is nothing to look at."""
        return [Step(name="nothing", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Put the password into all that a plan may say."""
        told = ctx.params.password.get_secret_value()
        ctx.log(f"logged {told}", password=told, nested={"list": [told]})
        sys.stdout.write(f"printed {told}\n")
        logging.getLogger("acme").warning("warned of %s", told)
        os.write(2, f"native {told}\n".encode())
        ctx.progress(f"progress {told}")
        ctx.say(f"Said {told}.")
        ctx.count(f"counted {told}")
        ctx.reading(f"reading {told}").complete(1)
        for task in ctx.platform.tasks():
            yield constructive(
                Op.CREATE,
                kind="note",
                key=task.id,
                subject=f"note {told}",
                after={"text": f"noted {told}"},
                why=f"because {told}",
            )
            break
        yield self._outside("plain", f"subject {told}", {"text": "harmless"})
        yield self._outside("value", "value", {"text": f"after {told}"})
        yield self._outside(f"key {told}", "key", {"text": "harmless"})
        if ctx.params.end == "error":
            msg = f"The other side said {told}."
            raise BadInput(msg, detail=f"detail {told}")
        if ctx.params.end == "defect":
            raise ValueError(told)

    def _outside(self, key: str, subject: str, after: Values) -> Change:
        return constructive(
            Op.CREATE, target=Target.OUTSIDE, kind="thing", key=key, subject=subject, after=after
        )

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Fail with the password for a reason, or tell it as what was assigned."""
        told = ctx.params.password.get_secret_value()
        for change in changes:
            yield ChangeOutcome(
                sequence=change.sequence,
                state=ChangeState.FAILED if change.key == "plain" else ChangeState.DONE,
                message=f"refused {told}",
                assigned={"ref": f"ref {told}"},
            )

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """Tell it here, too."""
        return {key: {"text": ctx.params.password.get_secret_value()} for key in keys}
