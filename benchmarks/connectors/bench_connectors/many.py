"""Connectors with long plans."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import ClassVar

from pydantic import Field

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

_OTHER = {"TS1": "TS2", "TS2": "TS1"}
"""The statuses done and to do, each with the other."""


class ManyParams(Params):
    """How long the plan is."""

    changes: int = Field(description="changes to plan")


class _Many:
    params: ClassVar[type[Params]] = ManyParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Nothing can be wrong."""
        return [Step(name="nothing", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Plan as many changes as the parameters say."""
        return islice(self._changes(ctx), ctx.params.changes)

    def _changes(self, ctx: Context) -> Iterator[Change]:
        raise NotImplementedError


class Notes(_Many):
    """Writes notes, one task after another."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Bench Notes", short_name="Notes", command="bench_notes"
    )

    def _changes(self, ctx: Context) -> Iterator[Change]:
        tasks = [(task.id, task.title) for task in ctx.platform.tasks()]
        for turn in count():
            for task_id, title in tasks:
                yield constructive(
                    Op.CREATE,
                    kind="note",
                    key=task_id,
                    subject=title,
                    after={"text": f"Job {ctx.job.id}, remark {turn}: still open in the other system."},
                )


class Statuses(_Many):
    """Sets each task to done and back again, over and over."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Bench Statuses", short_name="Statuses", command="bench_statuses"
    )

    def _changes(self, ctx: Context) -> Iterator[Change]:
        tasks = [(task.id, task.title, task.status) for task in ctx.platform.tasks()]
        for turn in count():
            for task_id, title, status in tasks:
                there = status if turn % 2 == 0 else _OTHER[status]
                yield constructive(
                    Op.UPDATE,
                    kind="task",
                    key=task_id,
                    subject=title,
                    before={"status": there},
                    after={"status": _OTHER[there]},
                )


class Outside(_Many):
    """Creates items in a system that takes everything and keeps nothing."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Bench Outside", short_name="Outside", command="bench_outside"
    )
    batch_size: ClassVar[int] = 500

    def _changes(self, ctx: Context) -> Iterator[Change]:
        for number in count():
            yield constructive(
                Op.CREATE,
                target=Target.OUTSIDE,
                kind="item",
                key=f"T{number}",
                subject=f"T{number}: Check the inputs",
                after={"name": f"T{number}: Check the inputs", "state": "Defined", "owner": None},
            )

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Say of each that it is done, and what id it was given."""
        for change in changes:
            yield ChangeOutcome(
                sequence=change.sequence, state=ChangeState.DONE, assigned={"ref": f"item/{change.sequence}"}
            )

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """Nothing was kept."""
        return dict.fromkeys(keys)
