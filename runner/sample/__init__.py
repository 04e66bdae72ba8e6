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

from runner.model.jobs import Frequency, Kind
from runner.store import accounts, connections, queue, tasks, uploads, work
from runner.store.database import Database

_HERE = Path(__file__).parent
_SYSTEM = "fortify_file_upload"
ADMINISTRATOR = "admin@localhost"


RALLY = "RUNNER_SAMPLE_RALLY"
"""Environment variable with host and port of an imitated Rally; not set = there is none."""


def fill(database: Database, *, uploads_folder: Path, now: datetime, rally: str = "") -> list[str]:
    """Add the sample project and queue its runs; lines for the operator. Done once only.

    ``rally`` is where a Rally is imitated; without one the sample's connection to it is disabled.
    """
    plan = tomllib.loads((_HERE / "project.toml").read_text(encoding="utf-8"))
    received = _receive(_HERE / "report.xml", uploads_folder)
    made = database.write(lambda c: _fill(c, plan, received, now, rally))
    if made is None:
        (uploads_folder / received.file).unlink()
        return []
    if rally:
        return []
    enable = f"`runner connections enable {made}`"
    return [f"The sample's connection to Rally is disabled; with a server there: {enable}"]


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


def _fill(
    c: sa.Connection, plan: dict[str, Any], received: uploads.Received, now: datetime, rally: str
) -> int | None:
    """The number of the connection to Rally; None if the sample is there already."""
    project = plan["project"]
    unit = work.create_business_unit(c, name=project["business_unit"], now=now)
    if unit is None:
        return None
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
    connection_id = connections.create(
        c,
        kind=Kind.ALM,
        system="rally",
        alias="Rally, imitated",
        command="sync_rally",
        project_id=project_id,
        params={**plan["rally"], "alm_server": rally or plan["rally"]["alm_server"]},
        frequency=Frequency.HOURLY,
        enabled=bool(rally),
        now=now,
    )
    if rally:
        queue.enqueue(c, connection_id=connection_id, kind=Kind.ALM, user_id=service, now=now)
    return connection_id
