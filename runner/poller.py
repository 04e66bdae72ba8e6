"""Looking for work at a remote server, a thread for each.

What is ours is recorded before anything else happens to it, so that a job is run once
however often it is seen. A server that offers claims gives us as many jobs as there is room
for, so that other daemons have their share. Connections that are ours alone run here by their
frequency.
"""

import math
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
from runner.model.jobs import Frequency, Kind, State
from runner.model.network import Network
from runner.sdelements.jobs import FoundConnection, FoundJob, seen_as
from runner.sdelements.server import Claimed, Grip, Presence, Server
from runner.sdelements.taking import Connector, Verdict, judge
from runner.sdelements.wire import TokenRefused
from runner.settings import Remote
from runner.store import intake, outbox, pauses
from runner.store.database import Database
from runner.store.intake import RemoteConnection, RemoteJob
from runner.store.queue import Origin
from runner.store.vault import Vault

_CONNECTIONS_EVERY = 10  # times the interval of polls, between two looks at the connections themselves
_CLAIMS_AGAIN = 3600.0  # seconds until a server that offers no claims is asked for them again
_MOST_CLAIMED = 50  # jobs in one claim
_AGENT_EVERY = 300.0  # seconds between two words about ourselves
_STUCK = 600.0  # seconds in one poll after which it makes no progress

BLIND = (
    "the server doesn't say which connections are inaccessible to it, so all its pending jobs are taken; "
    'if it runs some itself, name what is ours in systems, or set take = "inaccessible"'
)


UNSCOPED = "the server offers claims, and the token may not use them; give it the scope agent"


@dataclass(slots=True)
class Seen:
    """What the last poll found."""

    success: datetime | None = None
    blind: bool = False
    unscoped: bool = False  # claims are offered to others
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
        room: int = 1,
        refusing: Callable[[], str] = str,
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
        self._room = room  # jobs that are claimed ahead
        self._refusing = refusing  # why nothing is begun now; "" = it is
        self._stopping = threading.Event()
        self._called = threading.Event()
        self._log = structlog.get_logger(part="poller", remote=name)
        self._metrics = metrics or Metrics()
        for outcome in ("success", "failed"):
            self._metrics.count("runner_polls_total", 0, remote=name, outcome=outcome)
        self._beat = time.monotonic()
        self._flags: dict[tuple[Kind, int], bool | None] = {}  # whether a connection is inaccessible
        self._looked = -math.inf  # when at the connections, by the monotonic clock
        self._told = 0.0
        self._claims_from = -math.inf  # when the server is asked for claims
        self.claims: bool | None = None  # whether it gives them; None = it wasn't asked yet
        self._away = False
        self._unreadable: set[int] = set()  # connections over there of which a claim gave what isn't run here
        self.seen = Seen()

    # --- life --------------------------------------------------------------------------

    def run(self) -> None:
        """Poll until asked to end."""
        while not self._stopping.is_set():
            self._beat = time.monotonic()
            wait = self.round()
            self._beat = time.monotonic()
            (self._stopping if self._away else self._called).wait(wait)
            self._called.clear()
        self._server.close()

    def wake(self) -> None:
        """Look for work before the time: results were delivered, so the server may have the next jobs."""
        if self.claims:
            self._called.set()

    def end(self) -> None:
        """Ask it to end after the request in hand."""
        self._stopping.set()
        self._called.set()

    def healthy(self) -> bool:
        """Whether polls come and go."""
        return time.monotonic() - self._beat < _STUCK + self._settings.poll_interval.total_seconds()

    def round(self) -> float:
        """One poll, whatever happens; how long to wait for the next, in seconds."""
        wait, outcome = self._settings.poll_interval.total_seconds(), "failed"
        self._away = True
        try:
            self.poll()
            outcome, self._away = "success", False
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
        every = _CONNECTIONS_EVERY * self._settings.poll_interval.total_seconds()
        looks = time.monotonic() - self._looked >= every
        if looks:
            self._look_at_connections()
            self._looked = time.monotonic()
        claimed = self._claim(idle=not looks) if self._may_claim() else None
        taken = sum(self._take(kind) for kind in self._settings.kinds) if claimed is None else claimed
        self._presence.back("poll", self._clock())
        self.seen.success = self._clock()
        self._tell_agent()
        if taken:
            self.seen.taken += taken
            self._wake()
        return taken

    def _take(self, kind: Kind) -> int:
        try:
            found = [job for job in self._server.pending(kind) if job.attachment is None and not job.held]
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

    # --- by claims ---------------------------------------------------------------------------

    def _may_claim(self) -> bool:
        """Whether jobs are asked for by claims: those that other agents hold aren't ours to look for."""
        wanted = self._settings.take == "auto" and not self._observing
        return wanted and time.monotonic() >= self._claims_from

    def _claim(self, *, idle: bool) -> int | None:
        """Take what there is room for; how many weren't known, None if the server gives no claims."""
        with self._database.read() as c:
            held, paused = outbox.held(c, self._remote), pauses.whole(c) is not None
            skip = intake.paused(c, self._remote)
        room = self._room - sum(one.state is not State.FINISHED for one in held)
        if paused or self._refusing():
            if self.claims is False:
                return None
            if idle:  # for whoever wants to know whether it is there
                self._look_at_connections()
            return 0
        if room <= 0:
            return 0
        try:
            found = self._server.claim(
                self._settings.kinds,
                self._wanted_systems(),
                agent=intake.our_name(self._database),
                holding=[one.remote_id for one in held],
                skip=sorted(skip | self._unreadable),
                limit=min(room, _MOST_CLAIMED),
            )
        except TokenRefused:
            raise
        except AccessDenied:
            self.seen.unscoped, found = True, None
        else:
            self.seen.unscoped = False
        if found is None:
            self.claims, self._claims_from = False, time.monotonic() + _CLAIMS_AGAIN
            return None
        self.claims = True
        return sum(map(self._keep_claimed, found))

    def _wanted_systems(self) -> list[str]:
        """The systems that jobs are claimed of: those that are run here and want no file."""
        usable = {one.id for one in self._systems().values() if one.broken is None and not one.file_upload}
        return sorted(usable.intersection(self._settings.systems) if self._settings.systems else usable)

    def _keep_claimed(self, claimed: Claimed) -> bool:
        job = claimed.job
        verdict = self._judge(job.connection)
        if verdict.system is None or job.attachment is not None:
            # Others may be able to run it; it isn't asked for again.
            self._unreadable.add(job.connection.id)
            name = intake.our_name(self._database)
            self._server.give_back(job.kind, job.id, Grip(name, claimed.uuid, claimed.attempt))
            return False
        mine = RemoteJob(
            connection=self._kept(job.connection, verdict.system),
            origin=Origin(remote_id=job.id, seen=seen_as(claimed.uuid), held=claimed.attempt),
            automatic=job.automatic,
            only=claimed.only,
            memory=claimed.memory,
        )
        take = partial(intake.take_claimed, job=mine, now=self._clock(), vault=self._vault)
        return self._database.write(take) is not None

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
            run=None if job.uuid is None else seen_as(job.uuid),
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
            "claims": self.claims is True,
            "warning": BLIND if seen.blind else UNSCOPED if seen.unscoped else None,
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
