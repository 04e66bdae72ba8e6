"""Looking for work at a remote server, a thread for each.

What is ours is recorded before anything else happens to it, so that a job is run once
however often it is seen. Connections that are ours alone run here by their frequency.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from runner.errors import AccessDenied, RunnerError, StoreError, TryLater
from runner.metrics import Metrics
from runner.model.jobs import Frequency, Kind
from runner.model.network import Network
from runner.sdelements.jobs import FoundConnection, FoundJob
from runner.sdelements.server import Presence, Server
from runner.sdelements.taking import Connector, Verdict, judge
from runner.sdelements.wire import TokenRefused
from runner.settings import Remote
from runner.store import intake
from runner.store.database import Database
from runner.store.intake import RemoteConnection, RemoteJob
from runner.store.queue import Origin
from runner.store.vault import Vault

_CONNECTIONS_EVERY = 10  # polls between two looks at the connections themselves
_AGENT_EVERY = 300.0  # seconds between two words about ourselves
_STUCK = 600.0  # seconds in one poll after which it makes no progress

BLIND = (
    "the server doesn't say which connections are inaccessible to it, so all its pending jobs are taken; "
    'if it runs some itself, name what is ours in systems, or set take = "inaccessible"'
)


@dataclass(slots=True)
class Seen:
    """What the last poll found."""

    success: datetime | None = None
    blind: bool = False
    taken: int = 0  # jobs, since the start
    unserved: dict[tuple[Kind, int], str] = field(default_factory=dict)  # why nobody runs it, with its name


class Poller(threading.Thread):
    """Polls one server."""

    def __init__(
        self,
        name: str,
        settings: Remote,
        database: Database,
        *,
        presence: Presence,
        network: Network,
        systems: Callable[[], Mapping[str, Connector]],
        clock: Callable[[], datetime],
        wake: Callable[[], None],
        vault: Vault,
        secret: Callable[[str, str], bool],
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(name=f"poller-{name}", daemon=True)
        self._remote = name
        self._settings = settings
        self._database = database
        self._presence = presence
        self._systems = systems
        self._clock = clock
        self._wake = wake
        self._vault = vault
        self._secret = secret  # whether a param of a system, by their names, is one
        self._server = Server(name, settings, network)
        self._stopping = threading.Event()
        self._log = structlog.get_logger(part="poller", remote=name)
        self._metrics = metrics or Metrics()
        for outcome in ("success", "failed"):
            self._metrics.count("runner_polls_total", 0, remote=name, outcome=outcome)
        self._beat = time.monotonic()
        self._flags: dict[tuple[Kind, int], bool | None] = {}  # whether a connection is inaccessible
        self._polls = 0
        self._told = 0.0
        self.seen = Seen()

    # --- life --------------------------------------------------------------------------

    def run(self) -> None:
        """Poll until asked to end."""
        while not self._stopping.is_set():
            self._beat = time.monotonic()
            wait = self.round()
            self._beat = time.monotonic()
            self._stopping.wait(wait)
        self._server.close()

    def end(self) -> None:
        """Ask it to end after the request in hand."""
        self._stopping.set()

    def healthy(self) -> bool:
        """Whether polls come and go."""
        return time.monotonic() - self._beat < _STUCK + self._settings.poll_interval.total_seconds()

    def round(self) -> float:
        """One poll, whatever happens; how long to wait for the next, in seconds."""
        wait, outcome = self._settings.poll_interval.total_seconds(), "failed"
        try:
            self.poll()
            outcome = "success"
        except StoreError as error:
            self._log.warning("poll_failed", why=error.message, detail=error.detail)
        except RunnerError as error:
            self._presence.away("poll", error, self._clock())
            if isinstance(error, TryLater) and error.retry_after is not None:
                wait = max(wait, error.retry_after)
        except Exception:  # noqa: BLE001 - the next poll tries again
            self._log.exception("poll_failed")
        self._metrics.count("runner_polls_total", remote=self._remote, outcome=outcome)
        return wait

    # --- a poll --------------------------------------------------------------------------

    def poll(self) -> int:
        """Record all pending jobs that are ours; how many weren't known."""
        if self._polls % _CONNECTIONS_EVERY == 0:
            self._look_at_connections()
        taken = sum(self._take(kind) for kind in self._settings.kinds)
        self._polls += 1
        self._presence.back("poll", self._clock())
        self.seen.success = self._clock()
        self._tell_agent()
        if taken:
            self.seen.taken += taken
            self._wake()
        return taken

    def _take(self, kind: Kind) -> int:
        try:
            found = [job for job in self._server.pending(kind) if job.attachment is None]
        except AccessDenied as error:
            if len(self._settings.kinds) == 1 or isinstance(error, TokenRefused):
                raise
            self.seen.unserved[kind, 0] = f"all jobs of the kind {kind.value}: {error.message}"
            return 0
        if kind in self._server.unreadable:
            self.seen.unserved[kind, -1] = f"a job of the kind {kind.value}: {self._server.unreadable[kind]}"
        mine = [job for job in map(self._ours, found) if job is not None]
        if not mine:
            return 0
        made: int = self._database.write(
            partial(_record, jobs=mine, now=self._clock(), vault=self._vault, observing=self._observing)
        )
        return made

    @property
    def _observing(self) -> bool:
        return self._settings.mode == "observe"

    def _ours(self, job: FoundJob) -> RemoteJob | None:
        verdict = self._judge(job.connection)
        if verdict.system is None:
            return None
        return RemoteJob(
            connection=self._kept(job.connection, verdict.system),
            origin=Origin(remote_id=job.id, seen=job.last_run),
            automatic=job.automatic,
        )

    def _judge(self, found: FoundConnection) -> Verdict:
        """Decide about a connection; jobs of older servers don't say whether it is inaccessible."""
        key = (found.kind, found.id)
        if found.inaccessible is None:
            found = replace(found, inaccessible=self._flags.get(key))
        verdict = judge(found, self._settings, self._systems())
        if verdict.blind and not self.seen.blind:
            self._log.warning("remote_takes_all_pending", why=BLIND)
        self.seen.blind = self.seen.blind or verdict.blind
        if verdict.why:
            self.seen.unserved[key] = f"{found.alias or found.id}: {verdict.why}"
        else:
            self.seen.unserved.pop(key, None)
        return verdict

    def _kept(self, found: FoundConnection, system: str) -> RemoteConnection:
        # Its frequency is the server's own to keep unless it is inaccessible from there.
        ours = (found.inaccessible or self._flags.get((found.kind, found.id))) and not self._observing
        return RemoteConnection(
            remote=self._remote,
            remote_id=found.id,
            kind=found.kind,
            system=system,
            alias=found.alias or f"{system} {found.id}",
            command=found.command,
            params=found.params or {},
            secret=frozenset(name for name in found.params or {} if self._secret(system, name)),
            project=found.project,
            frequency=found.frequency if ours else Frequency.MANUALLY,
        )

    def _look_at_connections(self) -> None:
        """Learn which connections are inaccessible, and let those that are ours run by themselves."""
        scheduled: list[RemoteConnection] = []
        told = set()
        self.seen.unserved.clear()
        for kind in self._settings.kinds:
            found = self._server.connections(kind)
            if found is None:
                continue
            told.add(kind)
            self._flags |= {(kind, one.id): one.inaccessible for one in found}
            for one in found:
                verdict = self._judge(one)
                if verdict.system is not None and one.inaccessible:
                    scheduled.append(self._kept(one, verdict.system))
        self._database.write(
            partial(
                _schedule,
                remote=self._remote,
                wanted=scheduled,
                told=told,
                now=self._clock(),
                vault=self._vault,
            )
        )

    def _tell_agent(self) -> None:
        if not self._observing and time.monotonic() - self._told > _AGENT_EVERY:
            self._server.report_agent(self._clock())
            self._told = time.monotonic()

    def status(self) -> dict[str, Any]:
        """What a person wants to know of it."""
        seen = self.seen
        return {
            "last_poll": None if seen.success is None else seen.success.isoformat().replace("+00:00", "Z"),
            "taken": seen.taken,
            "unserved": sorted(seen.unserved.values()),
            "warning": BLIND if seen.blind else None,
        }


def _record(c: sa.Connection, *, jobs: list[RemoteJob], now: datetime, vault: Vault, observing: bool) -> int:
    """Record all that weren't known, in the order in which they were made over there."""
    ordered = sorted(jobs, key=lambda job: job.origin.remote_id)
    return sum(intake.take(c, job, now=now, vault=vault, observing=observing) is not None for job in ordered)


def _schedule(
    c: sa.Connection,
    *,
    remote: str,
    wanted: list[RemoteConnection],
    told: set[Kind],
    now: datetime,
    vault: Vault,
) -> None:
    """Make what is scheduled here what the server says, of the kinds that it told whole."""
    before = intake.scheduled(c, remote)
    for one in wanted:
        intake.keep_connection(c, one, now=now, vault=vault)
        before.pop((one.kind, one.remote_id), None)
    for (kind, _), ident in before.items():
        if kind in told:
            intake.unschedule(c, ident, now=now)
