"""The conversation with a worker about one job.

What a connector says on the side (progress, log lines, questions to the platform) is served
here; what is the run's business is handed on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from runner.engine.catalogue import System
from runner.engine.cleaning import Cleaner, secrets_of
from runner.engine.workers import Budget, Wake, Worker
from runner.errors import ConfigRejected, Internal, RunnerError
from runner.log import redactor
from runner.messages import Ask, Failed, FromWorker, LogLine, Progress, encode
from runner.model.jobs import Claim, Connection, Kind
from runner.sdelements.people import Tie
from runner.sdelements.platform import Platform
from runner.sdelements.side import RemoteSide
from runner.settings import Safety, Settings
from runner.store import claims, job_log, links, mappings, people, platform
from runner.store.database import Database

M = TypeVar("M")

PAGE = 500
"""Rows read, written and sent at once at the most."""

_LINES = 100  # of a job's log that one write keeps
_PROGRESS_TEXT = 200  # characters of it that are kept


class ConnectorFailed(RunnerError):
    """The worker told that its connector can't go on; ``told`` is what it said."""

    def __init__(self, told: Failed) -> None:
        super().__init__(told.message, detail=told.detail)
        self.told = told


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all runs share: the store, the clock, the settings, where files are, remote servers."""

    database: Database
    clock: Callable[[], datetime]
    safety: Safety
    settings: Settings
    systems: Callable[[], Mapping[str, System]]
    uploads: str
    memory_limit: int  # bytes
    remotes: RemoteSide


def remote_platform(claim: Claim, around: Surroundings) -> Platform | None:
    """The platform of a remote server's job; None if it is the embedded one."""
    name = claim.connection.remote
    if name is None:
        return None
    if not around.remotes.knows(name):
        msg = f"The connection belongs to [remote.{name}], which the configuration doesn't have any more."
        raise ConfigRejected(msg)

    def ties() -> list[Tie]:
        with around.database.read() as c:
            found = links.ties(c, name, claim.connection.id)
        return [
            Tie(user=int(values["id"]), directory_id=values["directory_id"], joined=values["joined"], own=own)
            for values, own in found
        ]

    return around.remotes.platform(claim.connection, run=claim.job.uuid, ties=ties)


class Talk:
    """One job's conversation with one worker."""

    def __init__(
        self, claim: Claim, worker: Worker, *, around: Surroundings, budget: Budget, wake: Wake
    ) -> None:
        # From here on, for the run's own time: secrets that are kept at home are never stored.
        self._claim = claim = claim.on(around.remotes.at_home(claim.connection))
        self.remote = remote_platform(claim, around)
        self._worker = worker
        self._around = around
        self._budget = budget
        self._wake = wake
        self.cleaner = Cleaner(secrets_of(claim.connection, around.systems))
        self._lines: list[job_log.Line] = []
        self._kept_lines = 0

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._worker.send(message)

    def begin(self, *, first: int, resume_only: bool) -> None:
        """Send the job's envelope; its changes are to be numbered from ``first`` on."""
        self._worker.send(self._envelope(first=first, resume_only=resume_only))

    def receive(self) -> FromWorker:
        """The next message that is the run's business."""
        while True:
            message = self.cleaner.message(self._worker.receive(self._budget, self._wake))
            if not isinstance(message, LogLine):
                self._keep_lines()
            match message:
                case Progress():
                    self._progress(message)
                case LogLine(event=event, fields=fields):
                    self._log().debug("connector_logged", told=event, fields=fields)
                    self._keep_line(event, fields)
                case Ask():
                    self._worker.send(self._answer(message))
                case Failed():
                    raise ConnectorFailed(message)
                case _:
                    return message

    def expect(self, kind: type[M]) -> M:
        """The next message, which has to be of this kind."""
        message = self.receive()
        if not isinstance(message, kind):
            raise out_of_turn(message)
        return message

    def _keep_line(self, event: str, fields: dict[str, Any]) -> None:
        """Have a line kept, some hundred at a time, as far as there is room for it."""
        if self._kept_lines > job_log.MOST:
            return
        self._kept_lines += 1
        if self._kept_lines > job_log.MOST:
            event, fields = job_log.CUT, {"kept": job_log.MOST}
        self._lines.append(job_log.Line(self._around.clock(), event, fields))
        if len(self._lines) >= _LINES:
            self._keep_lines()

    def _keep_lines(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._around.database.submit(partial(job_log.add, job=self._claim.job, lines=lines))

    def _log(self) -> structlog.typing.FilteringBoundLogger:
        logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(
            part="job", job=self._claim.job.id, system=self._claim.connection.system
        )
        return logger

    def _progress(self, message: Progress) -> None:
        text = message.text
        if message.done is not None:
            text = f"{text} {message.done}" + ("" if message.total is None else f" of {message.total}")
        shown = redactor.clean(self.cleaner.text(text))[:_PROGRESS_TEXT]
        self._around.database.submit(partial(claims.note_progress, job=self._claim.job, text=shown))

    def _answer(self, ask: Ask) -> bytes:
        if ask.what == "links":
            connection_id = self._claim.job.connection_id
            with self._around.database.read() as c:
                rows, following = links.page(c, connection_id, ask.kind, after=ask.after_key, limit=PAGE)
            return encode("page", rows=rows, next=following)
        if self.remote is None:
            return answer(self._around.database, self._claim.connection, ask, author=self._claim.job.user_id)
        return _of_remote(self.remote, ask)

    def _envelope(self, *, first: int, resume_only: bool) -> bytes:
        job, upload = self._claim.job, self._claim.upload
        attachment: dict[str, Any] | None = None
        if upload is not None:
            path = f"{self._around.uploads}/{upload['file']}"
            attachment = {"path": path, "name": upload["name"], "size": upload["size"]}
        return encode(
            "run",
            system=self._claim.connection.system,
            params=self._claim.connection.params,
            job={
                "id": job.id,
                "uuid": job.uuid,
                "attempt": job.attempt,
                "automatic": job.automatic,
                "preview": job.preview,
                "only": job.only,
            },
            attachment=attachment,
            memory=self._claim.memory,
            mapping=self._mapping(),
            now=self._around.clock().isoformat(),
            network=self._around.safety.network().to_json(),
            memory_limit=self._around.memory_limit,
            first_sequence=first,
            resume_only=resume_only,
        )

    def _mapping(self) -> str:
        connection = self._claim.connection
        if connection.kind is not Kind.ANALYSIS:
            return ""
        with self._around.database.read() as c:
            return mappings.read(c, connection.id)


def answer(database: Database, connection: Connection, ask: Ask, *, author: int | None = None) -> bytes:
    """What a connector asked the platform: a page of the connection's project, or of all people."""
    with database.read() as c:
        match ask.what:
            case "accounts":
                rows, following = people.account_page(
                    c, connection_id=connection.id, author=author, after=ask.after, limit=PAGE
                )
                return encode("page", rows=rows, next=following)
            case "groups":
                return encode("page", rows=people.all_groups(c), next=None)
            case "group_mappings":
                return encode("page", rows=people.mappings_of(c, connection.id), next=None)
    return _of_project(database, connection.project_id, ask)


def _of_remote(remote: Platform, ask: Ask) -> bytes:
    """The same of a remote platform."""
    cursor: int | None = None
    match ask.what:
        case "tasks":
            rows, cursor = remote.tasks(after=ask.after, limit=PAGE)
        case "accounts":
            rows, cursor = remote.people.accounts(after=ask.after, limit=PAGE)
        case "groups":
            rows = remote.people.groups()
        case "group_mappings":
            rows = remote.people.mappings()
        case _:
            rows = [remote.project()]
    return encode("page", rows=rows, next=cursor)


def _of_project(database: Database, project_id: int | None, ask: Ask) -> bytes:
    if project_id is None:
        msg = "The connection has no project, and its connector asked for one."
        raise Internal(msg)
    with database.read() as c:
        if ask.what == "tasks":
            rows, following = platform.task_page(c, project_id, after=ask.after, limit=PAGE)
            return encode("page", rows=rows, next=following)
        found = platform.project(c, project_id)
    row = {
        "id": found.id,
        "name": found.name,
        "application": found.application,
        "business_unit": found.business_unit,
        "slug": found.slug,
    }
    return encode("page", rows=[row], next=None)


def out_of_turn(message: FromWorker) -> Internal:
    """The error for a message that doesn't belong where it came."""
    return Internal(f"The connector's process sent {message.m!r} out of turn.")
