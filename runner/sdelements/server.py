"""One remote server, as its poller, its deliveries and its runs speak with it."""

import contextlib
import platform
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from runner import __version__
from runner.errors import AccessDenied, BadInput, Refused, RunnerError
from runner.model.jobs import Kind
from runner.model.network import Network
from runner.sdelements.jobs import FoundConnection, FoundJob, read_connection, read_job
from runner.sdelements.wire import Json, TokenRefused, Wire
from runner.settings import Remote

NOT_FOUND = 404
LEASE = 120
"""Seconds for which a claimed job is held at a time."""

_TOLD = "uuid,state"  # of a job, besides what every server tells


class Presence:
    """Whether a server answers: one line in the log when it doesn't, and one when it does again.

    Polls and deliveries speak for themselves: it is back when whoever found it away finds it there.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._missed_by: set[str] = set()
        self._log = structlog.get_logger(part="remote", remote=name)
        self._since: datetime | None = None
        self.why: str | None = None  # it is away

    def away(self, part: str, error: RunnerError, now: datetime) -> None:
        """It didn't answer, or not as it should."""
        with self._lock:
            if not self._missed_by:
                self._since = now
                self._log.warning("remote_is_away", why=error.message, detail=error.detail)
            self._missed_by.add(part)
            self.why = error.message

    def back(self, part: str, now: datetime) -> None:
        """It answered."""
        with self._lock:
            if part not in self._missed_by:
                return
            self._missed_by.discard(part)
            if not self._missed_by:
                seconds = 0.0 if self._since is None else (now - self._since).total_seconds()
                self._log.info("remote_is_back", seconds=round(seconds, 1))
                self.why = self._since = None


class Grip(NamedTuple):
    """What a held job is held by; a server that was restored may know its number as another's."""

    agent: str
    uuid: str
    attempt: int


class Claimed(NamedTuple):
    """A job that a server gave us for a while."""

    job: FoundJob
    uuid: str
    attempt: int
    only: str | None
    memory: Json


class Server:
    """The requests there are, each by what it is for. Each thread has its own."""

    def __init__(self, name: str, settings: Remote, network: Network) -> None:
        self.name = name
        self.wire = Wire(name, settings, network)
        self.unreadable: dict[Kind, str] = {}  # why a job of the last listing was left out

    def close(self) -> None:
        """Let go of its connections."""
        self.wire.close()

    # --- jobs -----------------------------------------------------------------------------

    def pending(self, kind: Kind) -> Iterator[FoundJob]:
        """Jobs that have no result yet. The filter is looked at again: not every server has it."""
        self.unreadable.pop(kind, None)
        for row in self.wire.rows(f"jobs/{kind.value}/", ready="false", include=_TOLD):
            try:
                job = read_job(kind, row)
            except BadInput as error:
                self.unreadable[kind] = error.message  # it spoils no other
                continue
            if not job.ready:
                yield job

    def finished(self, kind: Kind, connection: int) -> Iterator[FoundJob]:
        """A connection's jobs that have their result."""
        for row in self.wire.rows(f"jobs/{kind.value}/", ready="true", connection=connection):
            job = read_job(kind, row)
            if job.ready and job.connection.id == connection:
                yield job

    def job(self, kind: Kind, job_id: int) -> FoundJob | None:
        """One job, or None if there is none of this number."""
        try:
            return read_job(kind, self.wire.get(f"jobs/{kind.value}/{job_id}/", include=_TOLD))
        except Refused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def post_result(
        self,
        kind: Kind,
        *,
        connection: int,
        automatic: bool,
        succeeded: bool,
        message: str,
        job_id: int | None,
        key: str,
    ) -> int:
        """Post a result as a finished row; the number of the row that has it."""
        body: Json = {
            "connection": connection,
            "automatic": automatic,
            "ready": True,
            "succeeded": succeeded,
            "result_message": message,
        }
        # Null tells a server of our kind that it is none of the jobs that wait; others don't look at it.
        body["id"] = job_id
        row = self.wire.send("POST", f"jobs/{kind.value}/", body, key=key)
        number = row.get("id")
        if not isinstance(number, int):
            raise BadInput(f"{self.wire.host} took a result and didn't tell where it is.")
        return number

    # --- jobs by claims, where the server offers them ---------------------------------------

    def claim(
        self,
        kinds: Sequence[Kind],
        systems: Sequence[str],
        *,
        agent: str,
        holding: Sequence[int],
        skip: Sequence[int],
        limit: int,
    ) -> list[Claimed] | None:
        """Take up to ``limit`` jobs for a lease; None if the server offers no claims.

        ``holding`` are the jobs that we know we hold: others that we hold are told again.
        ``AccessDenied`` if it offers them, and not to us.
        """
        body: Json = {
            "kinds": [kind.value for kind in kinds],
            "systems": list(systems),
            "agent": agent,
            "holding": list(holding),
            "skip": list(skip),
            "limit": limit,
            "lease": LEASE,
        }
        try:
            # Sent again, it gives what the answer that got lost had.
            rows = self.wire.send("POST", "jobs/claim/", body, repeatable=True).get("results")
        except Refused:
            return None
        if not isinstance(rows, list):
            return None
        return [_claimed(row) for row in rows]

    def hold(self, kind: Kind, job_id: int, grip: Grip) -> bool | None:
        """Hold a claimed job for another lease; whether it is cancelled, None if it isn't ours any more."""
        try:
            body = {**grip._asdict(), "lease": LEASE}
            told = self.wire.send("POST", f"jobs/{kind.value}/{job_id}/heartbeat/", body)
        except TokenRefused:
            raise
        except (Refused, AccessDenied):
            return None
        return told.get("cancel_requested") is True

    def give_back(self, kind: Kind, job_id: int, grip: Grip) -> None:
        """Let others take a claimed job; one that isn't ours any more is theirs already."""
        with contextlib.suppress(Refused):
            self.wire.send("POST", f"jobs/{kind.value}/{job_id}/give-back/", grip._asdict())

    def end_claimed(self, kind: Kind, job_id: int, grip: Grip, result: Json) -> int:
        """Tell how a claimed job ended; said again, the server answers as the first time."""
        path, body = f"jobs/{kind.value}/{job_id}/", {**grip._asdict(), **result}
        told = self.wire.send("PATCH", path, body, repeatable=True)
        return told["id"] if isinstance(told.get("id"), int) else job_id

    # --- connections ----------------------------------------------------------------------

    def connections(self, kind: Kind) -> list[FoundConnection] | None:
        """All connections of a kind; None if the token's user may not see them."""
        try:
            return [read_connection(kind, row) for row in self.wire.rows(f"connections/{kind.value}/")]
        except TokenRefused:
            raise
        except AccessDenied:
            return None
        except Refused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    # --- the agent's own row --------------------------------------------------------------

    def report_agent(self, now: datetime) -> bool:
        """Keep what the server shows of its agent up to date; False if it has no place for that."""
        mine: dict[str, Any] = {
            "version": __version__,
            "platform": platform.platform(terse=True),
            "last_sync": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        name = socket.gethostname()
        try:
            for row in self.wire.rows("remote-agent/"):
                if row.get("name") == name:
                    self.wire.send("PATCH", f"remote-agent/{row['id']}/", mine)
                    return True
            self.wire.send("POST", "remote-agent/", {"name": name, **mine})
        except (Refused, AccessDenied):
            return False  # an older server, or one that keeps this to administrators
        return True


def _claimed(row: Any) -> Claimed:
    try:
        job, only, memory = read_job(Kind(row["kind"]), row), row.get("only"), row.get("memory")
        return Claimed(
            job=job,
            uuid=str(row["uuid"]),
            attempt=int(row["attempt"]),
            only=None if only is None else str(only),
            memory=memory if isinstance(memory, dict) else {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"The server handed out a job that can't be read: {error!r}.") from error
