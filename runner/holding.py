"""Holding what was claimed at a remote server, a thread for each.

A claimed job is ours as long as the server hears of us in time. One that it doesn't leave to
us any more is ended here; one that nobody may be holding for us any more, because the server
wasn't reached for a lease, is stopped, for another agent may begin it at that moment. What
will not be run here soon is given back.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from runner.engine.remote_jobs import TAKEN_BACK
from runner.errors import RunnerError, StoreError
from runner.model.jobs import State
from runner.model.network import Network
from runner.sdelements.jobs import run_of
from runner.sdelements.server import LEASE, Grip, Presence, Server
from runner.settings import Remote
from runner.store import intake, outbox, pauses, queue
from runner.store.database import Database
from runner.store.outbox import Held

_BEATS = 4  # in a lease, so that some may fail
_SAFE = 0.9  # of a lease: for so long since it was last renewed it is surely ours
_TIMEOUT = timedelta(seconds=10)  # of a request, at the most
_ROUND = 1.0  # seconds between two looks at what is held
_STUCK = 600.0  # seconds in one round after which it makes no progress

GIVEN_BACK = "It was given back to the server before it began: {why}."
OUT_OF_REACH = "The server wasn't reached for so long that it may have given this job to another agent."


class Holder(threading.Thread):
    """Holds what was claimed at one server."""

    def __init__(
        self,
        name: str,
        settings: Remote,
        database: Database,
        *,
        presence: Presence,
        network: Network,
        clock: Callable[[], datetime],
        refusing: Callable[[], str],
        hand_back: Callable[[int, str], None],
    ) -> None:
        super().__init__(name=f"holder-{name}", daemon=True)
        self._remote = name
        self._database = database
        self._presence = presence
        self._clock = clock
        self._refusing = refusing  # why nothing is begun now; "" = it is
        self._hand_back = hand_back  # a run, by its job
        # Short enough that one that hangs ends before a lease does.
        quick = settings.model_copy(update={"timeout": min(settings.timeout, _TIMEOUT)})
        self._server = Server(name, quick, network)
        self._stopping = threading.Event()
        self._renewed: dict[tuple[int, int], float] = {}  # when, by job and attempt and the monotonic clock
        self._looked = time.monotonic() - LEASE / _BEATS  # when it last looked at what is held
        self._beat = time.monotonic()
        self._log = structlog.get_logger(part="holder", remote=name)

    # --- life --------------------------------------------------------------------------

    def run(self) -> None:
        """Hold until asked to end."""
        while not self._stopping.wait(_ROUND):
            self._beat = time.monotonic()
            try:
                self.round()
            except StoreError as error:
                self._log.warning("holding_failed", why=error.message, detail=error.detail)
            except RunnerError as error:
                self._presence.away("hold", error, self._clock())
            except Exception:  # noqa: BLE001 - the next round tries again
                self._log.exception("holding_failed")
        self._server.close()

    def last_round(self) -> None:
        """Give back what will not be run, for who ends the daemon, after the thread has ended."""
        try:
            self.round()
        except RunnerError as error:  # then the server takes it back when the lease is over
            self._log.warning("jobs_were_not_given_back", why=error.message)
        self._server.close()

    def end(self) -> None:
        """Ask it to end after the request in hand."""
        self._stopping.set()

    def healthy(self) -> bool:
        """Whether rounds come and go."""
        return time.monotonic() - self._beat < _STUCK

    # --- a round -----------------------------------------------------------------------

    def round(self) -> None:
        """Give back what will not be run, hold the rest for longer, stop what may be another's."""
        now = time.monotonic()
        with self._database.read() as c:
            held = outbox.held(c, self._remote)
            paused = pauses.whole(c) is not None
        known = {(one.job_id, one.attempt) for one in held}
        # What wasn't there at the last look was claimed since.
        self._renewed = {key: self._renewed.get(key, self._looked) for key in known}
        self._looked = now
        try:
            refusing = "everything is paused" if paused else self._refusing()
            for one in held:
                why = refusing or ("its connection is paused" if one.paused else "")
                if why and not one.begun and one.state in {State.PENDING, State.BEHIND}:
                    self._give_back(one, GIVEN_BACK.format(why=why))
                elif now - self._renewed[one.job_id, one.attempt] >= LEASE / _BEATS:
                    self._renew(one)
        finally:
            self._stop_what_may_be_anothers(held)
        if not held:
            self._presence.back("hold", self._clock())  # there is nothing that it could be missed for

    def _grip(self, one: Held) -> Grip:
        name = intake.our_name(self._database)
        return Grip(name, run_of(one.seen), one.attempt)

    def _give_back(self, one: Held, why: str) -> None:
        # First here: from then on it is begun by nobody of ours.
        if self._database.write(partial(_let_wait_no_more, one=one, why=why, now=self._clock())):
            self._server.give_back(one.kind, one.remote_id, self._grip(one))
            self._log.info("job_was_given_back", job=one.job_id, why=why)

    def _renew(self, one: Held) -> None:
        asked = time.monotonic()
        cancelled = self._server.hold(one.kind, one.remote_id, self._grip(one))
        self._presence.back("hold", self._clock())
        self._renewed[one.job_id, one.attempt] = asked
        if one.state is State.FINISHED:
            return  # whether its result is still wanted is found out when it is told
        if cancelled is None:
            if self._database.write(partial(_end, one=one, now=self._clock())):
                self._log.warning("claim_was_lost", job=one.job_id)
        elif cancelled:
            self._database.write(partial(queue.cancel, job_id=one.job_id, now=self._clock()))

    def _stop_what_may_be_anothers(self, held: list[Held]) -> None:
        late = time.monotonic() - _SAFE * LEASE
        for one in held:
            if one.state is State.RUNNING and self._renewed[one.job_id, one.attempt] < late:
                self._hand_back(one.job_id, OUT_OF_REACH)


def _let_wait_no_more(c: sa.Connection, *, one: Held, why: str, now: datetime) -> bool:
    return outbox.stands(c, one) and outbox.let_go(c, one.job_id, why=why, now=now, waiting=True)


def _end(c: sa.Connection, *, one: Held, now: datetime) -> bool:
    # Meanwhile it may have been claimed again.
    return outbox.stands(c, one) and outbox.let_go(c, one.job_id, why=TAKEN_BACK, now=now)
