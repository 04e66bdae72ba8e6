"""A connector that writes to the platform only: task statuses as a register says.

A task that the register doesn't list is closed. Whether a status exists is the platform's to
say: a record with another one fails alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from runner.errors import SkipRecord
from runner.model.changes import Change, Op, constructive, destructive
from runner.model.jobs import Kind
from runner.model.platform import Meaning, Task
from runner.ports import Context, Params, Step, SystemInfo

from .source import prove, read_records

_CLOSED = "TS1"


class RegisterParams(Params):
    """Where from."""

    source: Path = Field(description="JSON file with a count and records of task and status")
    token: SecretStr = Field(SecretStr(""), description="what the register asks for")


class Register:
    """Sets statuses."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Register of tasks", short_name="Register", command="sync_register"
    )
    params: ClassVar[type[Params]] = RegisterParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look whether the source is there."""
        yield Step(name="source", ok=ctx.params.source.is_file())

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare each task with what is wanted of it."""
        records, count = read_records(ctx.params.source)
        tasks = list(ctx.platform.tasks())
        proof = prove(ctx, records, count, target_size=len(tasks))
        wanted = dict(self._wanted(ctx, records))
        for task in tasks:
            status = wanted.get(task.task_id)
            if status is not None and status != task.status:
                op = Op.REOPEN if task.meaning is Meaning.DONE else Op.UPDATE
                yield constructive(op, **_change(task, status))
            elif task.task_id not in wanted and proof is not None and task.status != _CLOSED:
                yield destructive(Op.CLOSE, **_change(task, _CLOSED), proof=proof)

    def _wanted(self, ctx: Context, records: list[Any]) -> Iterator[tuple[str, str | None]]:
        """Task and status of each record; None = what is wanted can't be told."""
        for record in records:
            try:
                yield _read(record)
            except SkipRecord as error:
                ctx.say(error.message)


def _read(record: Any) -> tuple[str, str | None]:
    match record:
        case {"task": str(task), "status": str(status)}:
            return task, status
    raise SkipRecord(f"A record was left out, for it isn't one of task and status: {record}.")


def _change(task: Task, status: str) -> dict[str, Any]:
    return {
        "kind": "task",
        "key": task.id,
        "subject": f"{task.task_id}: {task.title}",
        "before": {"status": task.status},
        "after": {"status": status},
    }
