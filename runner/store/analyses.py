"""What analyses elsewhere say: sessions and notes that come through the API."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.rows import insert
from runner.store.schema import analysis_sessions, notes, tasks
from runner.store.tasks import Session
from runner.store.values import from_micros, to_json, to_micros

MANUAL = "manual"
"""The type of what people say by hand, without an analysis behind it."""


def session(c: sa.Connection, project_id: int, session_id: int) -> Session | None:
    """One session of a project."""
    row = c.execute(
        sa.select(analysis_sessions).where(
            analysis_sessions.c.project_id == project_id, analysis_sessions.c.id == session_id
        )
    ).one_or_none()
    if row is None:
        return None
    return Session(
        id=row.id,
        project_id=row.project_id,
        analysis_ref=row.analysis_ref,
        analysis_type=row.analysis_type,
        created=from_micros(row.created),
    )


def create_session(
    c: sa.Connection, project_id: int, *, analysis_ref: str, analysis_type: str, now: datetime
) -> int:
    """Begin a session; the id."""
    return insert(
        c,
        analysis_sessions,
        project_id=project_id,
        analysis_ref=analysis_ref,
        analysis_type=analysis_type,
        key=f"api:{uuid.uuid4().hex}",
        created=to_micros(now),
    )


def manual_session(c: sa.Connection, project_id: int, *, now: datetime) -> int:
    """The session of what people say by hand of a project; made if it isn't there."""
    key = f"manual:{project_id}"
    found: int | None = c.scalar(sa.select(analysis_sessions.c.id).where(analysis_sessions.c.key == key))
    if found is not None:
        return found
    return insert(
        c,
        analysis_sessions,
        project_id=project_id,
        analysis_ref="",
        analysis_type=MANUAL,
        key=key,
        created=to_micros(now),
    )


def add_note(
    c: sa.Connection, task: int, values: Mapping[str, Any], *, user_id: int | None, now: datetime
) -> int:
    """Write what an analysis says of a task; the note's id."""
    micros = to_micros(now)
    row = {**values, "findings": to_json(values["findings"])}
    return insert(c, notes, task=task, user_id=user_id, created=micros, updated=micros, **row)


def set_verification(
    c: sa.Connection, task: int, *, status: str, results: Mapping[str, str], now: datetime
) -> None:
    """Set what stands for a task, as a whole and by scanner."""
    c.execute(
        sa.update(tasks)
        .where(tasks.c.id == task)
        .values(
            verification_status=status,
            results=to_json(dict(sorted(results.items()))),
            updated=to_micros(now),
        )
    )
