"""Tasks, their notes, and what analyses said of them, as the API shows and changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.pages import Cut, contains, cut
from runner.store.rows import insert
from runner.store.schema import analysis_sessions, notes, tasks, users
from runner.store.values import from_json, from_micros, maybe_from_micros, to_json, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """A task as it stands in the store."""

    row_id: int
    id: str  # as in the API: "7-T21"
    project_id: int
    task_id: str
    title: str
    text: str
    priority: int
    phase: str
    status: str
    verification_status: str
    cwes: list[int]
    categories: list[str]
    catch_all: bool
    tags: list[str]
    results: dict[str, str]
    status_updated: datetime | None
    created: datetime
    updated: datetime
    note_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note on a task; an analysis note has a session and what the scanner said."""

    id: int
    task: str  # as in the API
    text: str
    automatic: bool
    user: str | None  # e-mail
    user_id: int | None
    created: datetime
    updated: datetime
    session_id: int | None
    analysis_type: str | None
    status: str | None
    confidence: str | None
    behaviour: str | None
    findings: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One import of one report."""

    id: int
    project_id: int
    analysis_ref: str
    analysis_type: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which tasks a listing is of; None = no matter."""

    project_id: int
    status: str | None = None
    phase: str | None = None
    priority: int | None = None
    verification: str | None = None
    search: str | None = None  # words that all stand in the id or the title


_note_count = sa.select(sa.func.count()).where(notes.c.task == tasks.c.id).correlate(tasks).scalar_subquery()
_tasks = sa.select(tasks, _note_count.label("note_count"))


def page(c: sa.Connection, wanted: Wanted, part: Cut) -> list[TaskEntry]:
    """Some of a project's tasks, in the order in which they were made."""
    return [_entry(row) for row in cut(c, _tasks.where(*_conditions(wanted)), tasks.c.id, part)]


def count(c: sa.Connection, wanted: Wanted) -> int:
    """How many tasks are wanted."""
    return c.scalar(sa.select(sa.func.count()).select_from(tasks).where(*_conditions(wanted))) or 0


def get(c: sa.Connection, *, project_id: int, task_id: str) -> TaskEntry | None:
    """The project's task "T21"."""
    row = c.execute(_tasks.where(tasks.c.project_id == project_id, tasks.c.task_id == task_id)).one_or_none()
    return None if row is None else _entry(row)


def next_own_number(c: sa.Connection, project_id: int) -> int:
    """The number of the project's next task of its own ("PT7")."""
    own = sa.select(tasks.c.task_id).where(
        tasks.c.project_id == project_id, tasks.c.task_id.startswith("PT", autoescape=True)
    )
    numbers = [int(text[2:]) for text in c.scalars(own) if text[2:].isdecimal()]
    return max(numbers, default=0) + 1


def delete(c: sa.Connection, row_id: int) -> None:
    """Remove a task with its notes."""
    c.execute(sa.delete(tasks).where(tasks.c.id == row_id))


def change(c: sa.Connection, row_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    """Change columns of a task; a new status is dated."""
    micros = to_micros(now)
    changed = dict(values)
    if "tags" in changed:
        changed["tags"] = to_json(changed["tags"])
    if "status" in changed:
        changed["status_updated"] = sa.case(
            (tasks.c.status == changed["status"], tasks.c.status_updated), else_=micros
        )
    c.execute(sa.update(tasks).where(tasks.c.id == row_id).values(**changed, updated=micros))


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [tasks.c.project_id == wanted.project_id]
    for name in ("status", "phase", "priority"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(tasks.c[name] == value)
    if wanted.verification is not None:
        found.append(tasks.c.verification_status == wanted.verification)
    if wanted.search is not None:
        found.append(contains([tasks.c.task_id, tasks.c.title], wanted.search))
    return found


def _entry(row: sa.Row[Any]) -> TaskEntry:
    return TaskEntry(
        row_id=row.id,
        id=f"{row.project_id}-{row.task_id}",
        project_id=row.project_id,
        task_id=row.task_id,
        title=row.title,
        text=row.text,
        priority=row.priority,
        phase=row.phase,
        status=row.status,
        verification_status=row.verification_status,
        cwes=from_json(row.cwes),
        categories=from_json(row.categories),
        catch_all=row.catch_all,
        tags=from_json(row.tags),
        results=from_json(row.results),
        status_updated=maybe_from_micros(row.status_updated),
        created=from_micros(row.created),
        updated=from_micros(row.updated),
        note_count=row.note_count,
    )


# --- notes -------------------------------------------------------------------------------

_notes = (
    sa.select(notes, users.c.email.label("email"), tasks.c.project_id, tasks.c.task_id)
    .join(tasks, tasks.c.id == notes.c.task)
    .outerjoin(users, users.c.id == notes.c.user_id)
)


def note_page(c: sa.Connection, task: int, part: Cut, *, of_analyses: bool = False) -> list[Note]:
    """Some notes of a task, the oldest first."""
    return [_note(row) for row in cut(c, _notes.where(*_of_task(task, of_analyses)), notes.c.id, part)]


def note_count(c: sa.Connection, task: int, *, of_analyses: bool = False) -> int:
    """How many notes a task has."""
    query = sa.select(sa.func.count()).select_from(notes).where(*_of_task(task, of_analyses))
    return c.scalar(query) or 0


def _of_task(task: int, of_analyses: bool) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [notes.c.task == task]
    return [*found, notes.c.session_id.is_not(None)] if of_analyses else found


def note(c: sa.Connection, *, task: int, note_id: int) -> Note | None:
    """One note of a task."""
    row = c.execute(_notes.where(notes.c.task == task, notes.c.id == note_id)).one_or_none()
    return None if row is None else _note(row)


def add_note(
    c: sa.Connection, *, task: int, text: str, automatic: bool, user_id: int | None, now: datetime
) -> int:
    """Write a note on a task; the id."""
    micros = to_micros(now)
    return insert(
        c, notes, task=task, text=text, automatic=automatic, user_id=user_id, created=micros, updated=micros
    )


def change_note(c: sa.Connection, note_id: int, *, text: str, now: datetime) -> None:
    """Write another text."""
    c.execute(sa.update(notes).where(notes.c.id == note_id).values(text=text, updated=to_micros(now)))


def delete_note(c: sa.Connection, note_id: int) -> None:
    """Remove a note."""
    c.execute(sa.delete(notes).where(notes.c.id == note_id))


def _note(row: sa.Row[Any]) -> Note:
    return Note(
        id=row.id,
        task=f"{row.project_id}-{row.task_id}",
        text=row.text,
        automatic=row.automatic,
        user=row.email,
        user_id=row.user_id,
        created=from_micros(row.created),
        updated=from_micros(row.updated),
        session_id=row.session_id,
        analysis_type=row.analysis_type,
        status=row.status,
        confidence=row.confidence,
        behaviour=row.behaviour,
        findings=from_json(row.findings) or [],
    )


# --- analysis sessions -------------------------------------------------------------------


def session_page(c: sa.Connection, project_id: int, part: Cut) -> list[Session]:
    """Some imports of a project, the oldest first."""
    query = sa.select(analysis_sessions).where(analysis_sessions.c.project_id == project_id)
    return [
        Session(
            id=row.id,
            project_id=row.project_id,
            analysis_ref=row.analysis_ref,
            analysis_type=row.analysis_type,
            created=from_micros(row.created),
        )
        for row in cut(c, query, analysis_sessions.c.id, part)
    ]


def session_count(c: sa.Connection, project_id: int) -> int:
    """How many imports a project had."""
    query = sa.select(sa.func.count()).where(analysis_sessions.c.project_id == project_id)
    return c.scalar(query) or 0


def add(c: sa.Connection, project_id: int, entries: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """Add tasks to a project, in their order; each entry names task_id, title, phase, priority and more."""
    micros = to_micros(now)
    c.execute(
        sa.insert(tasks),
        [
            {
                "project_id": project_id,
                "task_id": entry["task_id"],
                "title": entry["title"],
                "text": entry.get("text", "").strip(),
                "priority": entry["priority"],
                "phase": entry["phase"],
                "cwes": to_json(entry.get("cwes", [])),
                "categories": to_json(entry.get("categories", [])),
                "catch_all": entry.get("catch_all", False),
                "tags": to_json(entry.get("tags", [])),
                "created": micros,
                "updated": micros,
            }
            for entry in entries
        ],
    )
