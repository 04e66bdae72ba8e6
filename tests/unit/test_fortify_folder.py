"""The watch folder: which file is taken, where it goes, and what a bad one does."""

import os
from pathlib import Path
from typing import Any

import pytest

from runner.connectors.fortify.folder import FolderParams, FortifyFolder
from runner.errors import ConfigRejected
from runner.model.changes import Change, ChangeState, Op, StoredChange
from tests.files.fortify import Issue, write_fpr
from tests.files.fortify_reports import report
from tests.unit.recording import RecordingContext, sample_tasks

LONG_AGO = 1_700_000_000  # seconds; the context's clock stands in 2026


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Give a folder that is meant to be watched."""
    for place in ("done", "failed"):
        (tmp_path / place).mkdir()
    return tmp_path


def drop(inbox: Path, name: str, content: bytes | None = None, *, when: float = LONG_AGO) -> Path:
    """Put a file into the folder."""
    path = inbox / name
    path.write_bytes(report([Issue()]) if content is None else content)
    os.utime(path, (when, when))
    return path


class Run:
    """One run on the folder, its changes for the outside made."""

    def __init__(self, inbox: Path, **params: Any) -> None:
        settings = FolderParams.model_validate({"folder": str(inbox), **params})
        self.ctx = RecordingContext(tasks=sample_tasks(), params=settings)
        connector = FortifyFolder()
        self.changes: list[Change] = list(connector.plan(self.ctx))
        self.before = sorted(path.name for path in inbox.iterdir() if path.is_file())
        stored = [
            StoredChange(
                sequence=number,
                target=change.target,
                op=change.op,
                kind=change.kind,
                key=change.key,
                subject=change.subject,
                before=None,
                after=dict(change.after or {}),
                state=ChangeState.INTENDED,
            )
            for number, change in enumerate(self.changes, 1)
            if change.kind == "filing"
        ]
        self.outcomes = list(connector.apply(self.ctx, stored))
        keys = [change.key for change in stored if change.kind == "filing"]
        self.current = connector.current(self.ctx, "filing", keys)

    @property
    def said(self) -> str:
        """All that a user reads of it."""
        return " ".join([*self.ctx.sentences, *(outcome.message for outcome in self.outcomes)])


def test_the_oldest_file_is_imported_and_filed(inbox: Path) -> None:
    """A run takes one file, the oldest, of any form, and says how many wait."""
    drop(inbox, "b.xml", when=LONG_AGO + 5)
    write_fpr(inbox / "a.bin", lambda: [Issue()])
    os.utime(inbox / "a.bin", (LONG_AGO, LONG_AGO))
    run = Run(inbox)
    assert run.before == ["a.bin", "b.xml"]
    assert [c.op for c in run.changes if c.kind == "verification"].count(Op.FAIL) == 1
    assert [path.name for path in (inbox / "done").iterdir()] == ["a.bin"]
    assert "1 more file waits for the next runs." in run.said
    assert all(run.current.values())


def test_filing_is_the_last_change(inbox: Path) -> None:
    """The file goes when all else is written, whether anything passes or not."""
    drop(inbox, "a.xml")
    run = Run(inbox)
    assert (run.changes[-1].kind, run.changes[-1].op) == ("filing", Op.MOVE)
    drop(inbox, "a.xml", report([Issue(), Issue(instance="2")], limit=1))
    partly = Run(inbox)
    assert (partly.changes[-1].kind, partly.changes[-1].op) == ("filing", Op.CREATE)
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["a (2).xml", "a.xml"]


@pytest.mark.parametrize("name", [".hidden.xml", "scan.xml.part", "scan.xml.filepart", "upload.tmp"])
def test_unfinished_files_are_left_alone(inbox: Path, name: str) -> None:
    """What is being written, by its name, is no file yet."""
    drop(inbox, name)
    run = Run(inbox)
    assert run.changes == []
    assert f"No file waits in {inbox}." in run.said


def test_a_growing_file_waits(inbox: Path) -> None:
    """A file that changed within the quiet time is taken later, and the run says so."""
    ctx = RecordingContext(tasks=[])
    drop(inbox, "a.xml", when=ctx.now.timestamp() - 30)
    run = Run(inbox)
    assert run.changes == []
    assert "1 file changed lately and will be taken later." in run.said
    assert Run(inbox, quiet=20).changes


def test_a_bad_file_fails_its_run_and_is_out_of_the_way(inbox: Path) -> None:
    """A file that can't be used goes to failed with a sentence, and the next run takes the next."""
    drop(inbox, "a.xml", b"%PDF-1.7")
    drop(inbox, "b.xml", when=LONG_AGO + 5)
    run = Run(inbox)
    assert [path.name for path in (inbox / "failed").iterdir()] == ["a.xml"]
    assert [outcome.state for outcome in run.outcomes] == [ChangeState.FAILED]
    assert "a.xml is a PDF" in run.said
    assert not [change for change in run.changes if change.kind == "verification"]


def test_a_file_that_changed_meanwhile_stays(inbox: Path) -> None:
    """A file that was replaced since it was read is left for the next run."""
    path = drop(inbox, "a.xml")
    ctx = RecordingContext(tasks=sample_tasks(), params=FolderParams(folder=inbox))
    (filing,) = [change for change in FortifyFolder().plan(ctx) if change.kind == "filing"]
    os.utime(path, (LONG_AGO + 9, LONG_AGO + 9))
    change = StoredChange(
        sequence=1,
        target=filing.target,
        op=filing.op,
        kind=filing.kind,
        key=filing.key,
        subject=filing.subject,
        before=None,
        after=dict(filing.after or {}),
        state=ChangeState.INTENDED,
    )
    (outcome,) = FortifyFolder().apply(ctx, [change])
    assert (outcome.state, path.exists()) == (ChangeState.SKIPPED, True)
    path.unlink()
    (outcome,) = FortifyFolder().apply(ctx, [change])
    assert "somebody took it away" in outcome.message


def test_a_folder_that_nobody_meant(tmp_path: Path) -> None:
    """A folder without done and failed is not read; the message says what to make, and so does the test."""
    drop(tmp_path, "a.xml")
    with pytest.raises(ConfigRejected, match="done is no folder"):
        Run(tmp_path)
    ctx = RecordingContext(tasks=[], params=FolderParams(folder=tmp_path))
    assert [step.ok for step in FortifyFolder().check(ctx)] == [False]
    for place in ("done", "failed"):
        (tmp_path / place).mkdir()
    steps = list(FortifyFolder().check(ctx))
    assert [step.ok for step in steps] == [True, True]
    assert "1 file waits" in steps[1].message
