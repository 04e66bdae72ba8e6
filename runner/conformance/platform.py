"""The platform's side of an arena: the project's things as they stand, and people at work."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa

from runner.store import tasks
from runner.store.database import open_database
from runner.store.pages import Cut

State: TypeAlias = Mapping[str, Mapping[str, Any]]
"""All things in a target, by the key that their changes carry. What the target gives by
itself, as numbers and times, stays out: two worlds that took the same way are equal."""

JOB = "<job>"
"""Stands for the id of whichever job, in keys and values that are compared."""

_RUN = re.compile(r" #[0-9a-f]{32}$")
_ALL = Cut(limit=100_000)
_STATUSES = ("TS1", "TS2", "TS3")


class Platform:
    """One project on the embedded platform."""

    def __init__(self, store: Path, project_id: int) -> None:
        self.url = f"sqlite:///{store}"
        self.project_id = project_id

    def state(self) -> State:
        """Tasks with their notes, and analysis sessions."""
        database = open_database(self.url)
        try:
            with database.read() as c:
                found = {
                    entry.id: self._task(c, entry)
                    for entry in tasks.page(c, tasks.Wanted(project_id=self.project_id), _ALL)
                }
                sessions = tasks.session_page(c, self.project_id, _ALL)
        finally:
            database.close()
        # Their keys end with the job's id, see runner.findings.verdicts; a remote server's names do as well.
        refs = [(_RUN.sub("", each.analysis_ref), each.analysis_type) for each in sessions]
        return found | {f"{ref}#{JOB}": {"type": kind} for ref, kind in refs}

    def write(self, write: Callable[[sa.Connection], object]) -> None:
        """Change what is on the platform."""
        database = open_database(self.url)
        try:
            database.write(write)
        finally:
            database.close()

    def _task(self, c: sa.Connection, entry: tasks.TaskEntry) -> dict[str, Any]:
        notes = tasks.note_page(c, entry.row_id, _ALL)
        return {
            "title": entry.title,
            "text": entry.text,
            "priority": entry.priority,
            "status": entry.status,
            "verification_status": entry.verification_status,
            "results": entry.results,
            # A field each, so that one more is no change of the others.
            **{
                f"note: {text}": [
                    [note.automatic, note.analysis_type, note.status, note.behaviour, note.findings]
                    for note in notes
                    if note.text == text
                ]
                for text in {note.text for note in notes}
            },
        }

    def edit(self, key: str) -> None:
        """Somebody gives the task with this key another status and writes a note on it.

        What isn't a task (an analysis session) is left alone: nobody can edit it.
        """
        database = open_database(self.url)
        now = datetime.now(UTC)

        def write(c: sa.Connection) -> None:
            task = tasks.get(c, project_id=self.project_id, task_id=key.partition("-")[2])
            if task is None:
                return
            other = _STATUSES[(_STATUSES.index(task.status) + 1) % len(_STATUSES)]
            tasks.change(c, task.row_id, {"status": other}, now=now)
            text = "Somebody has looked at this."
            tasks.add_note(c, task=task.row_id, text=text, automatic=False, user_id=None, now=now)

        try:
            database.write(write)
        finally:
            database.close()
