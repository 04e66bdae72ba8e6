"""A state directory that no daemon has: filled beforehand, and looked at afterwards."""

import contextlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner import sample
from runner.model.changes import StoredChange
from runner.model.jobs import Kind, State
from runner.store import changes, connections, migrate, queue
from runner.store.database import Database, open_database
from runner.store.schema import analysis_sessions, jobs, notes, projects, tasks


class AtRest:
    """One state directory, used with ``with`` while no daemon runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.database: Database

    def __enter__(self) -> "AtRest":
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.database = open_database(f"sqlite:///{self._folder / 'runner.db'}")
        self._stack.callback(self.database.close)
        migrate.upgrade(self.database)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- filling -------------------------------------------------------------------------

    def fill_sample(self) -> int:
        """Add the sample project, with the import of its report queued; the project's id."""
        uploads = self._folder / "uploads"
        uploads.mkdir(exist_ok=True)
        sample.fill(self.database, uploads_folder=uploads, now=datetime.now(UTC))
        with self.database.read() as c:
            return int(c.execute(sa.select(projects.c.id)).scalar_one())

    def drop_jobs(self) -> None:
        """Forget what is queued."""
        self.database.write(lambda c: c.execute(sa.delete(jobs)))

    def add_connection(self, system: str, params: Mapping[str, Any], *, project: int | None = None) -> int:
        """Add a connection; its id."""
        return self.database.write(
            lambda c: connections.create(
                c,
                kind=Kind.ALM,
                system=system,
                alias=system,
                command=f"sync_{system}",
                project_id=project,
                params=params,
                now=datetime.now(UTC),
            )
        )

    def add_job(self, connection: int) -> int:
        """Queue a run; its id."""
        job_id, _ = self.database.write(
            lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=datetime.now(UTC))
        )
        return job_id

    def queue_again(self, job_id: int) -> int:
        """Queue what a job did, its file included; the new job's id."""

        def again(c: sa.Connection) -> tuple[int, State]:
            job = c.execute(sa.select(jobs).where(jobs.c.id == job_id)).one()
            return queue.enqueue(
                c,
                connection_id=job.connection_id,
                kind=Kind(job.kind),
                upload_id=job.upload_id,
                user_id=job.user_id,
                retry_of=job.id,
                now=datetime.now(UTC),
            )

        return self.database.write(again)[0]

    # --- looking -------------------------------------------------------------------------

    def jobs(self) -> list[sa.Row[Any]]:
        """All jobs' rows, the oldest first."""
        with self.database.read() as c:
            return list(c.execute(sa.select(jobs).order_by(jobs.c.id)))

    def journal(self, job_id: int) -> list[StoredChange]:
        """All changes of a job."""
        with self.database.read() as c:
            return changes.journal(c, job_id, after=0, limit=100_000)

    def platform(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """All that runs write on the platform, without ids and times."""
        with self.database.read() as c:
            return {
                "tasks": Counter(
                    tuple(row)
                    for row in c.execute(
                        sa.select(
                            tasks.c.task_id, tasks.c.status, tasks.c.verification_status, tasks.c.results
                        )
                    )
                ),
                "sessions": Counter(
                    tuple(row)
                    for row in c.execute(
                        sa.select(analysis_sessions.c.analysis_ref, analysis_sessions.c.analysis_type)
                    )
                ),
                "notes": Counter(
                    tuple(row)
                    for row in c.execute(
                        sa.select(
                            tasks.c.task_id,
                            notes.c.text,
                            notes.c.status,
                            notes.c.confidence,
                            notes.c.behaviour,
                            notes.c.findings,
                            analysis_sessions.c.analysis_ref,
                        )
                        .join(tasks, tasks.c.id == notes.c.task)
                        .outerjoin(analysis_sessions, analysis_sessions.c.id == notes.c.session_id)
                    )
                ),
            }
