"""One remote server, as its poller, its deliveries and its runs speak with it."""

import platform
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import structlog

from runner import __version__
from runner.errors import AccessDenied, BadInput, Refused, RunnerError
from runner.model.jobs import Kind
from runner.model.network import Network
from runner.sdelements.jobs import FoundConnection, FoundJob, read_connection, read_job
from runner.sdelements.wire import Json, TokenRefused, Wire
from runner.settings import Remote

NOT_FOUND = 404


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
        for row in self.wire.rows(f"jobs/{kind.value}/", ready="false"):
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
            return read_job(kind, self.wire.get(f"jobs/{kind.value}/{job_id}/", include="uuid"))
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
        if job_id is not None:
            body["id"] = job_id
        row = self.wire.send("POST", f"jobs/{kind.value}/", body, key=key)
        number = row.get("id")
        if not isinstance(number, int):
            raise BadInput(f"{self.wire.host} took a result and didn't tell where it is.")
        return number

    # --- jobs by claims, where the server offers them ---------------------------------------

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
