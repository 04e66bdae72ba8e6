"""A connector that writes to the platform only: it sets task statuses as its parameters say."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from pydantic import Field

from runner.model.changes import Change, Op, constructive
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class TasksParams(Params):
    """What to set."""

    statuses: dict[str, str] = Field(default_factory=dict, description="task id to status id")
    copies: int = Field(0, description="notes to write on the first task, for benchmarks")


class Tasks:
    """Sets statuses."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Tasks", short_name="Tasks", command="sync_acme_tasks"
    )
    params: ClassVar[type[Params]] = TasksParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """There is nothing outside."""
        return [Step(name="platform", ok=True)]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare each task with what is wanted."""
        tasks = list(ctx.platform.tasks())
        ctx.reading("tasks", target_size=len(tasks)).complete(len(tasks))
        for task in tasks:
            wanted = ctx.params.statuses.get(task.task_id)
            if wanted is not None and wanted != task.status:
                yield constructive(
                    Op.UPDATE,
                    kind="task",
                    key=task.id,
                    subject=f"{task.task_id}: {task.title}",
                    before={"status": task.status},
                    after={"status": wanted},
                )
        for number in range(ctx.params.copies):
            yield constructive(
                Op.CREATE,
                kind="note",
                key=tasks[0].id,
                subject=f"note {number}",
                after={"text": f"Note number {number} of a long plan"},
            )
