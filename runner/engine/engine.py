"""The engine: slots that run jobs, and the keeper that watches over claims.

It owns no intake and no delivery: whoever commits a job calls ``wake``.
"""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from runner.engine.attempt import Result
from runner.engine.catalogue import System, is_secret
from runner.engine.cleaning import Cleaner, secrets_of
from runner.engine.probes import Probes, StepTold
from runner.engine.providers import Naming
from runner.engine.retention import Remover
from runner.engine.slot import HandedBack, Slot
from runner.engine.talk import Surroundings, answer
from runner.engine.telling import Telling
from runner.engine.workers import WorkerFactory
from runner.errors import Cancelled, StoreError
from runner.messages import encode
from runner.metrics import Metrics
from runner.model.jobs import Claim, Connection
from runner.sdelements.side import RemoteSide
from runner.secrets import has_credentials
from runner.settings import Settings
from runner.store import claims, facts, outbox, queue, rescue
from runner.store.database import Database
from runner.store.vault import KEY_FILE, Vault

_LOOK_EVERY = {"sqlite": 5.0, "postgresql": 0.25}
"""Seconds after which an idle slot looks for work by itself: others may enqueue on PostgreSQL."""

_GIVE_BACK = 15.0  # seconds that interrupted runs have to end
_KEEP_EVERY = 1.0  # seconds between the keeper's rounds
_STUCK = 300.0  # seconds after which a loop that came round no more makes no progress
_SPARED = timedelta(minutes=1)  # for agents to find this server again
_RENEWALS = 3  # of a lease before it runs out, so that one may fail


def _nobody() -> None:
    """Nobody wants to know."""


class Engine:
    """Runs what is pending, ``concurrency`` jobs at a time."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.metrics = metrics or Metrics()
        self.telling = Telling(self.metrics, clock)
        self.owner = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self.factory = WorkerFactory(
            state_dir=settings.state_dir, allow=list(settings.plugins.allow), path=settings.plugins.path
        )
        self.surroundings = Surroundings(
            database=database,
            clock=clock,
            safety=settings.safety,
            settings=settings,
            systems=self.systems,
            uploads=str(settings.state_dir / "uploads"),
            memory_limit=settings.engine.memory_limit,
            remotes=RemoteSide(settings.remote, settings.safety.network()),
        )
        self.timetable = settings.scheduler.timetable()
        self.vault = Vault(settings.state_dir / KEY_FILE)
        self.probes = Probes(self.factory)
        self.claiming = True
        self._wanting = True  # whether to claim again once the store takes writes again
        self.store_trouble: str | None = None  # why the store takes nothing, for /-/ready
        self.work_version = 0
        self.stopped = False
        self.on_ended: Callable[[], None] = _nobody  # told of each job whose end is committed
        self._stopping = False
        self._work = threading.Condition()
        self._slots: list[Slot] = []
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper_stop = threading.Event()
        self.remover = Remover(
            database, keep=settings.retention, uploads=settings.state_dir / "uploads", clock=clock
        )
        self._beat = time.monotonic()  # when the keeper last came round
        self._log = structlog.get_logger(part="engine")

    # --- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Take back what a dead daemon left running, then take jobs."""
        leftovers = self.factory.end_leftovers()
        if leftovers:
            self._log.warning("leftover_workers_were_ended", number=leftovers)
        self.database.write(partial(rescue.spare_agents, lease=_SPARED))
        self._rescue(expired_only=self.database.dialect != "sqlite")
        self._slots = [Slot(self, number) for number in range(self.settings.engine.concurrency)]
        for slot in self._slots:
            slot.prepare()
            slot.start()
        self._keeper.start()
        self.remover.start()

    def stop(self, *, deadline: float) -> bool:
        """Let running jobs end for ``deadline`` seconds, then give them back.

        True if all ended by themselves.
        """
        self.stop_claiming()
        self._stopping = True
        self.wake()
        end = time.monotonic() + deadline
        for slot in self._slots:
            slot.join(max(0.0, end - time.monotonic()))
        drained = not any(slot.is_alive() for slot in self._slots)
        if not drained:
            self.give_back()
        self._keeper_stop.set()
        self.remover.end()
        if self._keeper.is_alive():
            self._keeper.join()
        self.probes.close()
        self.stopped = True
        return drained

    def stop_claiming(self) -> None:
        """Take no new job; those that run go on."""
        self._wanting = self.claiming = False

    def frozen_until(self) -> datetime | None:
        """When something may be written again, if a window of ``[scheduler] freeze`` is open."""
        return self.timetable.frozen_until(self.clock())

    def swap(self, settings: Settings) -> None:
        """Go by other limits, ceilings and times from the next job on."""
        self.settings = settings
        self.timetable = settings.scheduler.timetable()
        self.remover.keep = settings.retention
        self.surroundings = replace(
            self.surroundings,
            safety=settings.safety,
            settings=settings,
            memory_limit=settings.engine.memory_limit,
        )
        self.wake()

    def running(self) -> bool:
        """Whether any job runs here, or its end isn't recorded yet."""
        return any(slot.busy for slot in self._slots)

    def give_back(self) -> None:
        """Stop all runs at once and hand their jobs back to the queue."""
        end = time.monotonic() + _GIVE_BACK
        while any(slot.is_alive() for slot in self._slots) and time.monotonic() < end:
            for slot in self._slots:
                # Again and again: one may be just about to begin the job it claimed.
                slot.stop_job(HandedBack("The daemon stops."))
                slot.join(0.05)

    # --- what others call ----------------------------------------------------------------

    def wake(self) -> None:
        """Look for work: something was enqueued."""
        self.more_work()

    def cancel(self, job_id: int, why: str = "Cancelled.") -> None:
        """End a running job that is asked to end."""
        for slot in self._slots:
            slot.stop_job(Cancelled(why), job_id=job_id)

    def hand_back(self, job_id: int, why: str) -> None:
        """Stop a run, which begins anew when it may."""
        for slot in self._slots:
            slot.stop_job(HandedBack(why), job_id=job_id)

    def systems(self) -> Mapping[str, System]:
        """All systems there are connectors for."""
        return self.probes.systems()

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """Raise ``Refused`` if a system's connector doesn't take these parameters."""
        self.probes.validate(system, params)

    def completed(self, connection: Connection) -> Connection:
        """The connection with its secrets open, and all that its params only name; ``RunnerError``."""
        return Naming(settings=self.settings, database=self.database, vault=self.vault).completed(connection)

    def sealed(self, system: str, params: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
        """Params of a system as they are to be stored over ``stored``."""
        known = self.systems().get(system)

        def secret(name: str) -> bool:
            return is_secret(name, known) or has_credentials(params[name])

        return self.vault.resealed(params, stored, secret)

    def check(self, connection: Connection) -> list[StepTold]:
        """Test a connection, which needn't be stored, without effects; what each step told."""
        question = encode(
            "check",
            system=connection.system,
            params=connection.params,
            job={
                "id": 0,
                "uuid": "",
                "attempt": 0,
                "automatic": False,
                "preview": True,
                "only": None,
            },
            attachment=None,
            memory={},
            mapping="",
            now=self.clock().isoformat(),
            network=self.settings.safety.network().to_json(),
            memory_limit=self.settings.engine.memory_limit,
        )
        return self.probes.check(
            question,
            cleaner=Cleaner(secrets_of(connection, self.systems)),
            asked=partial(answer, self.database, connection),
        )

    def ask_directory(self, settings: Mapping[str, str], *, match: str | None) -> list[dict[str, str]]:
        """Test a directory (``match`` None: the steps), or look for people in it.

        Raises ``RunnerError`` with what went wrong.
        """
        question = encode(
            "directory",
            settings=dict(settings),
            match=match,
            network=self.settings.safety.network().to_json(),
            memory_limit=self.settings.engine.memory_limit,
        )
        return self.probes.ask_directory(question, cleaner=Cleaner({settings.get("password", "")} - {""}))

    def status(self) -> dict[str, Any]:
        """What a person wants to know of the engine."""
        until = self.frozen_until()
        return {
            "owner": self.owner,
            "slots": len(self._slots),
            "running": [slot.job.id for slot in self._slots if slot.job is not None],
            "claiming": self.claiming,
            "frozen_until": None if until is None else until.isoformat().replace("+00:00", "Z"),
            "trouble": self.store_trouble,
        }

    def healthy(self) -> bool:
        """Whether the loops make progress."""
        if not self.database.healthy():
            return False
        if self._keeper.ident is None or self._stopping:
            return True  # the slots' workers are still being made, or it ends
        late = time.monotonic() - _STUCK
        return self._beat > late and all(
            slot.is_alive() and (slot.job is not None or slot.beat > late) for slot in self._slots
        )

    def idle(self) -> bool:
        """Whether nothing runs, and nothing waits but what is paused or frozen."""
        with self.database.read() as c:
            return not queue.anything_to_take(c, frozen=self.frozen_until() is not None)

    # --- what slots call -----------------------------------------------------------------

    def wait_for_work(self, seen: int) -> bool:
        """Sleep until there may be work that wasn't there at version ``seen``; False = stop."""
        with self._work:
            self._work.wait_for(
                lambda: self._stopping or self.work_version != seen, _LOOK_EVERY[self.database.dialect]
            )
            return not self._stopping

    def more_work(self) -> None:
        """Let one idle slot look for work."""
        with self._work:
            self.work_version += 1
            if self._stopping:
                self._work.notify_all()
            else:
                self._work.notify()

    def job_ended(self, claim: Claim, result: Result | None, *, recorded: bool) -> None:
        """A job's end is committed (or wasn't ours to record any more)."""
        if claim.connection.remote is not None:
            self.on_ended()
        self.telling.ended(claim, result, recorded=recorded)

    def store_refused(self, error: StoreError) -> None:
        """A commit failed for want of space or connection: claim nothing until one fits."""
        if self.store_trouble is None:
            self._log.error("store_refused", why=error.message, detail=error.detail)
        self.store_trouble = error.message
        self.claiming = False

    def store_took(self) -> None:
        """A commit went through."""
        if self.store_trouble is not None:
            self._log.info("store_takes_again")
            self.store_trouble = None
            self.claiming = self._wanting

    # --- the keeper ----------------------------------------------------------------------

    def _keep(self) -> None:
        """Renew leases, take back those of dead daemons, pass on cancellations."""
        renewed, lease = 0.0, self.settings.engine.lease
        every = lease.total_seconds() / _RENEWALS
        while not self._keeper_stop.wait(_KEEP_EVERY):
            self._beat = time.monotonic()
            try:
                self._freeze()
                if self.store_trouble is not None:
                    self._probe_store()
                self._pass_on_cancellations()
                if self.database.dialect != "sqlite" and time.monotonic() - renewed >= every:
                    renewed = time.monotonic()
                    self.database.write(partial(claims.renew, owner=self.owner, lease=lease))
                    self._rescue(expired_only=True)
                elif self.database.dialect == "sqlite" and self._agents_lost():
                    self._rescue(expired_only=True, agents_only=True)
            except StoreError as error:
                self.store_refused(error)
            except Exception:  # noqa: BLE001 - the keeper outlives whatever one round meets
                self._log.exception("keeper_failed")

    def _freeze(self) -> None:
        """Hand back what runs when a window begins in which nothing may be written."""
        if not self.timetable.freeze or self.frozen_until() is None:
            return
        for slot in self._slots:
            job = slot.job
            if job is not None and not job.preview:
                slot.stop_job(HandedBack("Nothing may be written now ([scheduler] freeze)."), job_id=job.id)

    def _probe_store(self) -> None:
        # A fact that changes: a commit of nothing fits on a full disk too.
        self.database.write(lambda c: facts.put(c, "store_probed", self.clock().isoformat()))
        self.store_took()
        self.more_work()

    def _pass_on_cancellations(self) -> None:
        running = [slot.job.id for slot in self._slots if slot.job is not None]
        if running:
            with self.database.read() as c:
                asked = claims.cancel_requested(c, running)
                why = outbox.why_let_go(c, asked) if asked else {}
            for job_id in asked:
                self.cancel(job_id, why.get(job_id, "Cancelled."))

    def _agents_lost(self) -> bool:
        """Whether an agent let its lease run out: on SQLite only theirs do, a daemon has the lock."""
        with self.database.read() as c:
            return rescue.expired_agents(c)

    def _rescue(self, *, expired_only: bool, agents_only: bool = False) -> None:
        again, gave_up = self.database.write(
            partial(
                rescue.rescue,
                now=self.clock(),
                max_attempts=self.settings.engine.max_attempts,
                expired_only=expired_only,
                agents_only=agents_only,
            )
        )
        if again or gave_up:
            self._log.warning("jobs_were_rescued", again=again, gave_up=gave_up)
            self.metrics.count("runner_jobs_rescued_total", again + gave_up)
            self.more_work()
