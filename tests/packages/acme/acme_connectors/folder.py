"""A connector that writes outside: it keeps a folder of files as a JSON file says.

The source is a JSON object of file name to text. Files that the source lacks are deleted;
those whose name begins with a dot are none of its business.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

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
    destructive,
)
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class FolderParams(Params):
    """Where from, where to."""

    source: Path = Field(description="JSON file: an object of file name to text")
    folder: Path = Field(description="folder that is kept in step")
    pause: float = Field(0, description="seconds to wait before each write")
    gate: Path | None = Field(None, description="named pipe; each write waits for a byte from it")
    ledger: Path | None = Field(None, description="file that gets a JSON line for each write")
    expected: int | None = Field(None, description="records the source must have to count as whole")


def _there(path: Path) -> Values | None:
    try:
        return {"text": path.read_text(encoding="utf-8")}
    except FileNotFoundError:
        return None


def _pass(gate: Path | None) -> None:
    """Wait at the gate for a byte; where there is no gate, or none any more, the way is free."""
    if gate is not None:
        with contextlib.suppress(FileNotFoundError), gate.open("rb", buffering=0) as pipe:
            pipe.read(1)


class Folder:
    """Keeps a folder in step with a JSON file."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Acme Folder", short_name="Folder", command="sync_acme_folder"
    )
    params: ClassVar[type[Params]] = FolderParams
    batch_size: ClassVar[int] = 7
    undo: ClassVar[Mapping[str, Op]] = {"file": Op.DELETE}

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look whether both places are there."""
        yield Step(name="source", ok=ctx.params.source.is_file())
        yield Step(name="folder", ok=ctx.params.folder.is_dir())

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare the source with the folder."""
        try:
            wanted = json.loads(ctx.params.source.read_text(encoding="utf-8"))
        except ValueError as error:
            msg = f"{ctx.params.source.name} is not JSON: {error}."
            raise BadInput(msg) from error
        there = sorted(path.name for path in ctx.params.folder.iterdir() if not path.name.startswith("."))
        reading = ctx.reading("source", target_size=len(there))
        proof = None
        if ctx.params.expected is not None and len(wanted) < ctx.params.expected:
            reading.incomplete(f"{len(wanted)} of {ctx.params.expected} records were there")
        else:
            proof = reading.complete(len(wanted))
        for name, text in wanted.items():
            if ctx.job.only not in (None, name):
                continue
            before, after = _there(ctx.params.folder / name), {"text": text}
            if before is None:
                yield self._change(Op.CREATE, name, None, after)
            elif before != after:
                yield self._change(Op.UPDATE, name, before, after)
        for name in there:
            if name not in wanted and proof is not None and ctx.job.only in (None, name):
                yield destructive(
                    Op.DELETE,
                    target=Target.OUTSIDE,
                    kind="file",
                    key=name,
                    subject=name,
                    before=_there(ctx.params.folder / name),
                    after=None,
                    proof=proof,
                )
        ctx.remember("names", sorted(wanted))

    def _change(self, op: Op, name: str, before: Values | None, after: Values) -> Change:
        return constructive(
            op, target=Target.OUTSIDE, kind="file", key=name, subject=name, before=before, after=after
        )

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Write one file after another; one that somebody changed meanwhile is left alone."""
        for change in changes:
            time.sleep(ctx.params.pause)
            _pass(ctx.params.gate)
            outcome = self._apply_one(ctx.params.folder / change.key, change)
            if outcome.state is ChangeState.DONE and ctx.params.ledger is not None:
                with ctx.params.ledger.open("a", encoding="utf-8") as ledger:
                    line = [ctx.job.uuid, change.op, change.key, change.before, change.after]
                    ledger.write(f"{json.dumps(line)}\n")
            yield outcome

    def _apply_one(self, path: Path, change: StoredChange) -> ChangeOutcome:
        if _there(path) != change.before:
            return ChangeOutcome(
                sequence=change.sequence, state=ChangeState.SKIPPED, message="conflict: the file was changed"
            )
        if change.after is None:
            path.unlink()
        else:
            try:
                written = path.with_name(f".{path.name}.new")
                written.write_text(change.after["text"], encoding="utf-8")
                written.replace(path)
            except OSError as error:
                return ChangeOutcome(
                    sequence=change.sequence, state=ChangeState.FAILED, message=f"{error.strerror}"
                )
        return ChangeOutcome(sequence=change.sequence, state=ChangeState.DONE)

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """What the files hold now."""
        return {key: _there(ctx.params.folder / key) for key in keys}
