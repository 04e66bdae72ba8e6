"""Keeps a project's tasks as a punchlist says: what is on it is open, all else is done.

The list is a JSON file, ``{"total": 2, "open": ["T1", "T7"]}``; by its total a cut one is noticed.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from runner.errors import BadInput
from runner.model.changes import Change, Op, constructive, destructive
from runner.model.jobs import Kind
from runner.model.platform import Meaning, Task
from runner.ports import Context, Params, Step, SystemInfo

DONE, OPEN = "TS1", "TS2"  # ids of task statuses


class PunchlistParams(Params):
    """What a connection is told. A field of the type ``pydantic.SecretStr`` is kept secret."""

    source: Path = Field(description="The list, a JSON file on the runner's machine.")


class Punchlist:
    """The connector; ``runner.ports`` says all that one is given and may do."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Punchlist", short_name="Punchlist", command="sync_punchlist"
    )
    params: ClassVar[type[Params]] = PunchlistParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Test the connection, without effects."""
        listed, total = _read(ctx.params.source)
        yield Step(name="list", ok=len(listed) >= total, message=f"It has {len(listed)} of {total} points.")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare both sides and tell what to write; the runner writes it."""
        listed, total = _read(ctx.params.source)
        tasks = {task.task_id: task for task in ctx.platform.tasks()}
        for point in sorted(listed - tasks.keys()):
            ctx.say(f"{point} was left out, for the project has no such task.")
        reading = ctx.reading("list", target_size=len(tasks))
        proof = None
        if len(listed) < total:
            reading.incomplete(f"it has {len(listed)} of {total} points")
        else:
            proof = reading.complete(len(listed))
        for name, task in tasks.items():
            if name in listed and task.meaning is Meaning.DONE:
                yield constructive(Op.REOPEN, **_change(task, OPEN))
            elif name not in listed and task.meaning is Meaning.TODO and proof is not None:
                yield destructive(Op.CLOSE, **_change(task, DONE), proof=proof)


def _read(source: Path) -> tuple[set[str], int]:
    """The points of a list, and how many it says it has."""
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        return set(map(str, content["open"])), int(content["total"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{source.name} is no punchlist: {error}.") from error


def _change(task: Task, status: str) -> dict[str, Any]:
    return {
        "kind": "task",
        "key": task.id,  # the same from run to run
        "subject": f"{task.task_id}: {task.title}",  # what a person calls it
        "before": {"status": task.status},  # compared again when it is written
        "after": {"status": status},
    }
