"""A world for one test: a state directory, a connection in it, an arena, and a daemon at need."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import sqlalchemy as sa

from runner.conformance.arena import Arena
from runner.conformance.daemons import Daemons
from runner.conformance.platform import JOB, Platform, State
from runner.model.changes import DESTRUCTIVE, ChangeState, StoredChange
from runner.model.jobs import Outcome
from runner.store import approvals, changes, connections, listing, queue, tasks, uploads, work
from runner.store.database import Database, open_database
from runner.store.pages import Cut

T = TypeVar("T")

GENEROUS: Mapping[str, Any] = {
    "max_destructive": 1_000_000,
    "max_destructive_share": 1.0,
    "destructive_floor": 1_000_000,
    "max_pass_share": 1.0,
}
"""Safety settings that stop nothing."""

STRICT: Mapping[str, Any] = {
    "max_destructive": 0,
    "max_destructive_share": 0.0,
    "destructive_floor": 0,
    "max_pass_share": 0.0,
}
"""Safety settings that stop whatever destroys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A job at its end, with its journal."""

    id: int
    outcome: Outcome | None  # None = it isn't at its end
    reason: str | None
    message: str
    rows: Sequence[StoredChange]

    def done(self) -> list[StoredChange]:
        """The changes that were made."""
        return [row for row in self.rows if row.state is ChangeState.DONE]

    def destroyed(self) -> list[StoredChange]:
        """The destructive changes that were made."""
        return [row for row in self.done() if row.op in DESTRUCTIVE]

    def destructive(self) -> list[StoredChange]:
        """The destructive changes, made or not."""
        return [row for row in self.rows if row.op in DESTRUCTIVE]

    def keys(self, *states: ChangeState) -> set[str]:
        """Keys of the things whose changes are in one of these states."""
        return {row.key for row in self.rows if row.state in states}


class World:
    """One world. Those of one seed are equal, up to what the target gives by itself."""

    def __init__(self, home: Path, arena: type[Arena], daemons: Daemons, *, seed: int, plugins: str) -> None:
        self.state_dir = home / "state"
        self.log = home / "daemon.log"
        self.settings: dict[str, Any] = {}  # of its daemons, beyond those that all have
        self._daemons = daemons
        self._plugins = plugins
        self._quiet_until = daemons.said.stat().st_size
        (self.state_dir / "uploads").mkdir(parents=True)
        (home / "arena").mkdir()
        shutil.copyfile(daemons.empty_store, self.state_dir / "runner.db")
        platform = self._found(home)
        chance = Random(seed)  # noqa: S311 - it guards nothing, it repeats itself
        self.arena = arena(home / "arena", platform, chance)
        if self.arena.tasks():
            platform.write(lambda c: tasks.add(c, platform.project_id, self.arena.tasks(), now=utc_now()))
        self.connection_id = self._write(lambda c: self._connect(c, platform.project_id))
        self.arena.build()

    def _found(self, _home: Path) -> Platform:
        """Make the platform, with an empty project on it."""
        store = self.state_dir / "runner.db"
        return Platform(store, self._write(add_project))

    def _connect(self, c: sa.Connection, project_id: int) -> int:
        """Add the connection of that project; its number."""
        return connections.create(
            c,
            kind=self.arena.kind,
            system=self.arena.system,
            alias=self.arena.system,
            command="",
            project_id=project_id,
            params={},
            now=utc_now(),
        )

    def close(self) -> None:
        """Let go of what was opened for it."""

    # --- the store -----------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[Database]:
        database = open_database(f"sqlite:///{self.state_dir / 'runner.db'}")
        try:
            yield database
        finally:
            database.close()

    def _write(self, write: Callable[[sa.Connection], T]) -> T:
        with self._open() as database:
            return database.write(write)

    def read(self, read: Callable[[sa.Connection], T]) -> T:
        """What ``read`` finds in the store."""
        with self._open() as database, database.read() as c:
            return read(c)

    # --- what people do ------------------------------------------------------------------

    def ask(self, **job: Any) -> int:
        """Ask for a run of the connection; its number. ``job`` is what ``queue.enqueue`` takes more."""
        params, upload, now = dict(self.arena.params()), self._receive(), utc_now()

        def write(c: sa.Connection) -> int:
            connections.update(c, self.connection_id, {"params": params}, now=now)
            upload_id = None if upload is None or "revert_of" in job else uploads.add(c, upload, now=now)
            asked = {"connection_id": self.connection_id, "kind": self.arena.kind, "upload_id": upload_id}
            return queue.enqueue(c, now=now, **{**asked, **job})[0]

        return self._write(write)

    def _receive(self) -> uploads.Received | None:
        file = self.arena.upload()
        if file is None:
            return None
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        (self.state_dir / "uploads" / digest).write_bytes(content)
        return uploads.Received(name=file.name, file=digest, size=len(content), sha256=digest)

    def approve(self, number: int) -> None:
        """Allow the connection's next run to destroy so many things."""
        self._write(
            lambda c: approvals.grant(
                c, connection_id=self.connection_id, allowed=number, user_id=None, now=utc_now()
            )
        )

    def forget_params(self) -> None:
        """Take the connection's parameters out of the store, the one place where its secrets may be."""
        self._write(lambda c: connections.update(c, self.connection_id, {"params": {}}, now=utc_now()))

    # --- what daemons do -----------------------------------------------------------------

    def live(self, *, faultpoint: str = "", safety: Mapping[str, Any] = GENEROUS) -> bool:
        """Let a daemon do what waits; False if its fault point killed it."""
        return self._daemons.live(
            {
                "state_dir": str(self.state_dir),
                "engine": {"concurrency": 1, "retries": 0},  # put off, a job would outlive its daemon
                "safety": dict(safety),
                "plugins": {"allow": [self.arena.system], "path": self._plugins},
                "log": {"level": "debug", "format": "json"},
                **self.arena.settings(),
                **self.settings,
            },
            log=self.log,
            faultpoint=faultpoint,
        )

    def run(self, *, safety: Mapping[str, Any] = GENEROUS, **job: Any) -> Finished:
        """A run of the connection, to its end."""
        job_id = self.ask(**job)
        self.live(safety=safety)
        return self.finished(job_id)

    def command(self, *words: object) -> str:
        """What a command line prints, on both streams."""
        environment = {
            "RUNNER__STATE_DIR": str(self.state_dir),
            "RUNNER__PLUGINS__PATH": self._plugins,
            "RUNNER__PLUGINS__ALLOW": json.dumps([self.arena.system]),
        }
        return self._daemons.command(
            [str(word) for word in words], environment=environment, folder=self.log.parent
        )

    def printed(self) -> bytes:
        """What connectors have printed since this world was made."""
        return self._daemons.said.read_bytes()[self._quiet_until :]

    # --- what there is to see ------------------------------------------------------------

    def finished(self, job_id: int) -> Finished:
        """A job, with its journal in which every job is called the same."""

        def read(c: sa.Connection) -> Finished:
            job = listing.one(c, job_id)
            assert job is not None  # it was asked for
            rows = changes.journal(c, job_id, after=0, limit=100_000)
            for row in rows:
                row.key = row.key.replace(job.uuid, JOB)
                row.before, row.after = (
                    json.loads(json.dumps(values).replace(job.uuid, JOB))
                    for values in (row.before, row.after)
                )
            return Finished(
                id=job_id,
                outcome=None if job.outcome is None else Outcome(job.outcome),
                reason=job.reason,
                message=job.result_message,
                rows=rows,
            )

        return self.read(read)

    def jobs(self) -> list[int]:
        """The numbers of all jobs there are, the oldest first."""
        wanted = listing.Wanted(kinds=(self.arena.kind,), previews=True)
        found = self.read(lambda c: listing.page(c, wanted, Cut(limit=1000)))
        return [job.id for job in reversed(found)]

    def state(self) -> State:
        """All that is in the target, in a form that can be compared."""
        return {key: dict(values) for key, values in self.arena.state().items()}

    def edit(self, keys: Collection[str]) -> set[str]:
        """Let somebody else change some of the things with these keys; those that are other now."""
        before = self.state()
        found = sorted(keys)
        chosen = self.arena.rng.sample(found, -(-len(found) // 2))
        for key in chosen:
            self.arena.edit(key)
        return differing(before, self.state())


def differing(one: State, other: State) -> set[str]:
    """Keys of the things that aren't the same in two states."""
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def add_project(c: sa.Connection) -> int:
    """Add a project with what it belongs to; its number."""
    now = utc_now()
    unit = work.create_business_unit(c, name="Conformance", now=now)
    assert unit is not None  # the store is empty
    application = work.create_application(
        c, business_unit_id=unit, name="Conformance", priority="0-none", now=now
    )
    assert application is not None
    project = work.create_project(c, application_id=application, name="Arena", description="", now=now)
    assert project is not None
    return project


def utc_now() -> datetime:
    return datetime.now(UTC)
