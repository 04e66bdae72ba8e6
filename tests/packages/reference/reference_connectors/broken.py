"""Connectors that keep all promises but one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from runner.errors import BadInput, SkipRecord
from runner.model.changes import Change, Complete, Op, Target, Values, constructive
from runner.ports import Context

from .club import Club
from .records import Records, Thing


class OtherPreview(Club):
    """Its preview is shorter than its run."""

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Leave out what is new, to look better."""
        for change in super().plan(ctx):
            if not (ctx.job.preview and change.op is Op.UPDATE):
                yield change


class NeverDone(Club):
    """It writes everything again each time."""

    def keep(self, name: str, entry: Thing, *others: Any) -> Iterator[Change]:
        """Write the mail, whether it is right or not."""
        changes = list(super().keep(name, entry, *others))
        if not changes:
            mail = {"mail": entry["mail"]}
            changes.append(self.constructive(Op.UPDATE, "member", name, mail, mail))
        yield from changes


class LyingCurrent(Club):
    """Asked after a crash, it says that nothing is there."""

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """Look nowhere."""
        return dict.fromkeys(keys)


class DisguisedRemoval(Club):
    """It calls a deactivation an update, and so passes by every ceiling."""

    def remove(self, name: str, proof: Complete) -> Change:
        """Take somebody out, with an innocent face."""
        return constructive(
            Op.UPDATE,
            target=Target.OUTSIDE,
            kind="member",
            key=name,
            subject=name,
            before={"active": True},
            after={"active": False},
        )


class CutIsComplete(Club):
    """It takes a part of the roll for the whole."""

    def prove(self, ctx: Context, roll: list[Any], count: int, *, target_size: int) -> Complete | None:
        """Declare that there is no more than what was read."""
        return ctx.reading("source", target_size=target_size).complete(len(roll))


class Overwriting(Club):
    """It writes whatever anybody else has done meanwhile."""

    def is_as_expected(self, old: Thing | None, before: Values | None) -> bool:
        """Expect anything."""
        return True


class NoWayBack(Club):
    """It doesn't say how the creation of a member is taken back."""

    undo: ClassVar[Mapping[str, Op]] = {"team": Op.DELETE}


class WritingPlan(Club):
    """It leaves a mark in the target when it previews."""

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Sign the book, then read."""
        if ctx.job.preview:
            Records(ctx.params.records).put("team", "was here", {})
        return super().plan(ctx)


class Blabbing(Club):
    """It leaves its token where others may find it."""

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Note down, beside the folder that is removed, what was needed to find a defect long ago."""
        ctx.scratch.with_name("last-login").write_text(ctx.params.token.get_secret_value(), encoding="utf-8")
        return super().plan(ctx)


class Unmapped(Club):
    """Whatever happens to it comes out as its own defect."""

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Hide what went wrong."""
        try:
            yield from super().plan(ctx)
        except Exception as error:
            raise RuntimeError("it went wrong") from error


class AllOrNothing(Club):
    """One bad record is the end of its run."""

    def read(self, record: Any) -> Thing:
        """Give up where the entry isn't whole."""
        try:
            return super().read(record)
        except SkipRecord as error:
            raise BadInput(error.message) from error
