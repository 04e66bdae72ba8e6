"""The sample: a project with tasks and a scanner's report for it, to try the runner with.

Never part of an installed service; ``runner run --sample`` asks for it.
"""

import hashlib
import os
import shutil
import tomllib
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.model.jobs import Kind
from runner.store import accounts, connections, queue, tasks, uploads, work
from runner.store.database import Database

_HERE = Path(__file__).parent
_SYSTEM = "fortify_file_upload"
ADMINISTRATOR = "admin@localhost"


def fill(database: Database, *, uploads_folder: Path, now: datetime) -> bool:
    """Add the sample project and queue the import of its report; False if it is there already."""
    plan = tomllib.loads((_HERE / "project.toml").read_text(encoding="utf-8"))
    received = _receive(_HERE / "report.xml", uploads_folder)
    made = database.write(lambda c: _fill(c, plan, received, now))
    if not made:
        (uploads_folder / received.file).unlink()
    return made


def token_file(database: Database, *, state_dir: Path, now: datetime) -> tuple[Path, str | None]:
    """The file with the administrator's token, and the token itself if it was made just now."""
    path = state_dir / "admin-token"
    if path.is_file():
        return path, None
    token = database.write(lambda c: _make_token(c, now))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return path, token


def _make_token(c: sa.Connection, now: datetime) -> str:
    user = accounts.user_by_email(c, ADMINISTRATOR)
    user_id = (
        user.id
        if user is not None
        else accounts.create_user(
            c, email=ADMINISTRATOR, role=accounts.Role.ADMINISTRATOR, is_superuser=True, now=now
        )
    )
    return accounts.create_token(c, user_id=user_id, scopes=list(accounts.Scope), expires=None, now=now)[1]


def _receive(report: Path, folder: Path) -> uploads.Received:
    file = uuid.uuid4().hex
    shutil.copyfile(report, folder / file)
    content = report.read_bytes()
    return uploads.Received(
        name=report.name, file=file, size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def _fill(c: sa.Connection, plan: dict[str, Any], received: uploads.Received, now: datetime) -> bool:
    project = plan["project"]
    unit = work.create_business_unit(c, name=project["business_unit"], now=now)
    if unit is None:
        return False
    application = work.create_application(
        c, business_unit_id=unit, name=project["application"], priority="1-high", now=now
    )
    assert application is not None  # its business unit is new
    project_id = work.create_project(
        c,
        application_id=application,
        name=project["name"],
        description="A made-up web shop, to try the runner with.",
        now=now,
    )
    assert project_id is not None  # its application is new
    tasks.add(c, project_id, plan["task"], now=now)
    entry = connections.for_uploads(
        c,
        project_id=project_id,
        system=_SYSTEM,
        alias="File Upload Connection - Fortify",
        command="import_fortify",
        now=now,
    )
    service = accounts.service_account(c, now=now)
    queue.enqueue(
        c,
        connection_id=entry.connection.id,
        kind=Kind.ANALYSIS,
        user_id=service,
        upload_id=uploads.add(c, received, now=now),
        now=now,
    )
    return True
