"""A context that records what a connector does with it; all its values are real."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.model.changes import Complete
from runner.model.findings import FindingRow
from runner.model.network import Network
from runner.model.platform import Meaning, Project, Task, Verification
from runner.ports import Attachment, JobInfo, Link, PlatformReader, Reading

SAMPLE = Path(__file__).parents[2] / "runner" / "sample"
PROJECT = Project(id=7, name="Webshop", application="Customer Portal", business_unit="General")


def make_task(task_id: str, **fields: Any) -> Task:
    """A task of project 7 that nobody has touched yet."""
    defaults: dict[str, Any] = {
        "title": f"Do what {task_id} says",
        "phase": "development",
        "priority": 7,
        "status": "TS2",
        "meaning": Meaning.TODO,
        "verification_status": Verification.NONE,
    }
    return Task(id=f"7-{task_id}", task_id=task_id, **{**defaults, **fields})


def sample_tasks() -> list[Task]:
    """The tasks of the sample project."""
    rows = tomllib.loads((SAMPLE / "project.toml").read_text("utf-8"))["task"]
    return [
        make_task(
            row["task_id"],
            title=row["title"],
            phase=row["phase"],
            cwes=tuple(row["cwes"]),
            categories=tuple(row["categories"]),
            catch_all=row.get("catch_all", False),
        )
        for row in rows
    ]


class RecordingReading:
    """A reading, and how it ended."""

    def __init__(self, name: str, target_size: int | None) -> None:
        self.name = name
        self.target_size = target_size
        self.size: int | None = None
        self.why: str | None = None  # why it is incomplete; None = it is complete or hasn't ended
        self.additions_hold = False

    def complete(self, size: int) -> Complete:
        self.size = size
        return Complete(self.name, size)

    def incomplete(self, why: str, *, size: int = 0, additions_hold: bool = False) -> None:
        self.size, self.why, self.additions_hold = size, why, additions_hold


class ListedPlatform:
    """A platform of one project with the tasks it was given."""

    def __init__(self, tasks: list[Task]) -> None:
        self.listed = tasks

    def project(self) -> Project:
        return PROJECT

    def tasks(self) -> Iterator[Task]:
        yield from self.listed


class RecordingContext:
    """One job's context."""

    def __init__(
        self,
        *,
        tasks: list[Task],
        params: Any = None,
        file: Path | None = None,
        memory: Mapping[str, Any] | None = None,
        automatic: bool = False,
        only: str | None = None,
        scratch: Path = Path(),
        mapping: str = "",
    ) -> None:
        self.job = JobInfo(id=1, uuid="u-1", attempt=1, automatic=automatic, preview=False, only=only)
        self.params = params
        self.attachment: Attachment | None = None
        if file is not None:
            self.attachment = Attachment(path=file, name=file.name, size=file.stat().st_size)
        self.platform: PlatformReader = ListedPlatform(tasks)
        self.memory: Mapping[str, Any] = memory or {}
        self.scratch = scratch
        self.mapping = mapping
        self.now = datetime(2026, 3, 2, tzinfo=UTC)
        self.network = Network(reads_only=True)
        self.readings: list[RecordingReading] = []
        self.remembered: dict[str, Any] = {}
        self.rows: list[FindingRow] = []  # findings told, by sort
        self.linked: dict[str, list[Link]] = {}
        self.sentences: list[str] = []
        self.totals: dict[str, int] = {}

    @property
    def message(self) -> str:
        """All that was said."""
        return " ".join(self.sentences)

    def reading(self, name: str, *, target_size: int | None = None) -> Reading:
        self.readings.append(RecordingReading(name, target_size))
        return self.readings[-1]

    def links(self, kind: str) -> Iterator[Link]:
        yield from self.linked.get(kind, [])

    def remember(self, key: str, value: Any) -> None:
        self.remembered[key] = value

    def found(self, row: FindingRow) -> None:
        self.rows.append(row)

    def say(self, sentence: str, *, first: bool = False) -> None:
        self.sentences.insert(0 if first else len(self.sentences), sentence)

    def count(self, name: str, number: int = 1) -> None:
        self.totals[name] = self.totals.get(name, 0) + number

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def log(self, event: str, **fields: Any) -> None:
        pass
