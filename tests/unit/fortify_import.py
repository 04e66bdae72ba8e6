"""One file through the connectors for Fortify's files, on the sample project."""

import os
from pathlib import Path
from typing import Any

import pytest

from runner.connectors.fortify.connector import FortifyFileUpload, WebInspectFileUpload
from runner.model.changes import Change, Op
from runner.model.platform import Task
from tests.unit.recording import SAMPLE, RecordingContext, sample_tasks

SYSTEMS: dict[str, type[FortifyFileUpload | WebInspectFileUpload]] = {
    "fortify": FortifyFileUpload,
    "webinspect": WebInspectFileUpload,
}


class Import:
    """One import, as it was planned."""

    def __init__(
        self,
        file: Path,
        params: dict[str, Any] | None = None,
        *,
        system: str = "fortify",
        tasks: list[Task] | None = None,
        **context: Any,
    ) -> None:
        connector = SYSTEMS[system]()
        settings = connector.params.model_validate(params or {})
        listed = sample_tasks() if tasks is None else tasks
        self.ctx = RecordingContext(tasks=listed, params=settings, file=file, **context)
        self.changes: list[Change] = list(connector.plan(self.ctx))

    def tasks(self, op: Op) -> set[str]:
        """Ids of the tasks a change of which is ``op``."""
        return {c.key.removeprefix("7-") for c in self.changes if c.op is op and c.kind == "verification"}

    @property
    def found(self) -> dict[str, tuple[int, str, tuple[int, ...]]]:
        """Number, worst severity and CWEs of the findings, by category."""
        return {row.category: (row.number, row.severity, tuple(row.cwes)) for row in self.ctx.rows}


def shared(name: str) -> Path:
    """A file of the shared samples, which are no part of the project."""
    folders = [os.environ.get("RUNNER_TEST_SAMPLES"), SAMPLE.parents[2] / "shared" / "samples"]
    found = [Path(folder) / name for folder in folders if folder and (Path(folder) / name).is_file()]
    if not found:
        pytest.skip(f"{name} isn't beside the checkout, and RUNNER_TEST_SAMPLES names no folder with it")
    return found[0]
