"""The system ``fortify_folder``: findings from files that somebody puts into a folder.

A run takes one file, the oldest that has stopped growing, and files it under ``done`` or
``failed`` afterwards. Filing is the last change of the plan, so a preview shows it, a ceiling
stops it, the journal has it, and a run that died before its end finds its file in place.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from runner.connectors.fortify.connector import read_file
from runner.connectors.fortify.kinds import accepted
from runner.connectors.fortify.params import FortifyParams
from runner.errors import BadInput, ConfigRejected
from runner.findings.note import plural
from runner.findings.plan import plan_import
from runner.findings.tally import Tally
from runner.model.changes import (
    Change,
    ChangeOutcome,
    ChangeState,
    Complete,
    Op,
    StoredChange,
    Target,
    constructive,
    destructive,
)
from runner.model.jobs import Kind
from runner.ports import Attachment, Context, Params, Step, SystemInfo

DONE, FAILED = "done", "failed"
FILING = "filing"

_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".crdownload")
"""How programs call a file while they write it; names with a dot in front are another way."""


class FolderParams(FortifyParams):
    """What the watch folder can be told, besides what the upload can."""

    folder: Path = Field(
        description="The folder, as an absolute path. It has to have sub-folders named done and failed; "
        "where they are missing, nobody meant it to be watched."
    )
    quiet: int = Field(
        default=60,
        ge=1,
        le=86400,
        description="Seconds for which a file must not have changed before it is taken.",
    )

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        if not folder.is_absolute():
            raise ValueError("write the whole path, from / on")
        return folder


class FortifyFolder:
    """Imports the files of a folder, one a run."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS,
        name="Fortify watch folder",
        short_name="Fortify folder",
        command="import_fortify_folder",
    )
    params: ClassVar[type[Params]] = FolderParams
    batch_size: ClassVar[int] = 10

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look at the folder, and say what waits in it."""
        params: FolderParams = ctx.params
        try:
            waiting, growing = _waiting(params, ctx.now)
        except ConfigRejected as error:
            yield Step(name="folder", ok=False, message=error.message)
            return
        yield Step(name="folder", ok=True, message=f"{params.folder} is there, with done and failed in it.")
        text = f"{plural(len(waiting), 'file waits', 'files wait')}; {len(growing)} changed lately."
        yield Step(name="files", ok=True, message=text)

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the file whose turn it is; what it changes comes first, and then its filing."""
        params: FolderParams = ctx.params
        waiting, growing = _waiting(params, ctx.now)
        if not waiting:
            later = (
                f" {plural(len(growing), 'file')} changed lately and will be taken later." if growing else ""
            )
            ctx.say(f"No file waits in {params.folder}.{later}")
            return
        path, *more = waiting
        if more:
            ctx.say(f"{plural(len(more), 'more file waits', 'more files wait')} for the next runs.")
        mark = _mark(path)
        tally = Tally()
        try:
            file = Attachment(path=path, name=path.name, size=mark["size"])
            wanted = accepted(params.report_type)
            scan = read_file(ctx, file, tally, wanted=wanted, blacklist=params.import_blacklist)
        except BadInput as error:
            yield _filing(params.folder, FAILED, path.name, {**mark, "why": error.message}, proof=None)
            return
        proof: Complete | None = None
        for change in plan_import(ctx, scan, tally, params):
            proof = proof or change.proof
            yield change
        if ctx.job.only is None:
            yield _filing(params.folder, DONE, path.name, mark, proof=proof)

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """File what was read; one that can't be used fails the run once it is out of the way."""
        folder: Path = ctx.params.folder
        for change in changes:
            state, message = _file(folder, change)
            yield ChangeOutcome(sequence=change.sequence, state=state, message=message)

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any] | None]:
        """Which of these files are filed."""
        folder: Path = ctx.params.folder
        return {key: _mark(folder / key) if (folder / key).exists() else None for key in keys}


def _waiting(params: FolderParams, now: datetime) -> tuple[list[Path], list[Path]]:
    """Files that may be taken, the oldest first, and those that may still grow."""
    folder = params.folder
    missing = [str(place) for place in (folder, folder / DONE, folder / FAILED) if not place.is_dir()]
    if missing:
        raise ConfigRejected(
            f"{missing[0]} is no folder. A watch folder has two sub-folders, {DONE} and {FAILED}, as a sign "
            "that it is meant to be one; make them, and let the runner's user write there."
        )
    try:
        entries = [Path(entry) for entry in os.scandir(folder)]
        found = [(path.lstat(), path) for path in entries if _is_meant(path.name)]
    except OSError as error:
        raise ConfigRejected(f"{folder} can't be read: {error.strerror}.") from error
    files = sorted((facts.st_mtime, path.name, path) for facts, path in found if stat.S_ISREG(facts.st_mode))
    edge = now.timestamp() - params.quiet
    ready = [path for changed, _, path in files if changed <= edge]
    return ready, [path for changed, _, path in files if changed > edge]


def _is_meant(name: str) -> bool:
    whole = not name.startswith(".") and not name.casefold().endswith(_UNFINISHED)
    # A name that is no UTF-8 can't be told to anybody.
    return whole and name.isprintable()


def _mark(path: Path) -> dict[str, int]:
    """What tells whether a file is still the one that was read."""
    facts = path.stat()
    return {"size": facts.st_size, "modified": facts.st_mtime_ns}


def _filing(
    folder: Path, place: str, name: str, after: Mapping[str, Any], *, proof: Complete | None
) -> Change:
    """The last change of a run. Where others rest on a proof they come last, so it has to have one, too."""
    key = _free(folder, f"{place}/{name}")
    why = f"It goes to the sub-folder {place}."
    if proof is None:
        return constructive(
            Op.CREATE, target=Target.OUTSIDE, kind=FILING, key=key, subject=name, after=after, why=why
        )
    return destructive(
        Op.MOVE,
        target=Target.OUTSIDE,
        kind=FILING,
        key=key,
        subject=name,
        before=None,
        after=after,
        proof=proof,
        why=why,
    )


def _free(folder: Path, key: str) -> str:
    """``key``, or with a number where a file of this name is filed already."""
    stem, dot, suffix = key.rpartition(".")
    numbered = (f"{stem or suffix} ({number}){dot}{suffix if stem else ''}" for number in count(2))
    return next(name for name in chain([key], numbered) if not (folder / name).exists())


def _file(folder: Path, change: StoredChange) -> tuple[ChangeState, str]:
    if change.after is None:
        return (
            ChangeState.SKIPPED,
            f"it stays in {change.key}: back in the folder, it would be imported again",
        )
    source, target = folder / change.subject, folder / change.key
    try:
        if any(change.after.get(name) != value for name, value in _mark(source).items()):
            return ChangeState.SKIPPED, "it was changed since it was read, so it stays for the next run"
        source.rename(target)
    except FileNotFoundError:
        return ChangeState.SKIPPED, "somebody took it away since it was read"
    except OSError as error:
        return ChangeState.FAILED, f"it can't be moved: {error.strerror}"
    if why := change.after.get("why"):
        return ChangeState.FAILED, f"{why} It is in {change.key} now"
    return ChangeState.DONE, ""
