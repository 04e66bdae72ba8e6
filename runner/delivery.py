"""Giving results to the servers they belong to, a thread for each.

Results of one connection go in the order of their jobs. A result is marked as sent before
its request leaves; one whose request was not answered is looked for over there before it is
sent again. What the server will never take is kept, shown and counted.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from runner.errors import AccessDenied, Refused, RunnerError, StoreError, TryLater
from runner.model.jobs import Kind
from runner.model.network import Network
from runner.sdelements.jobs import FoundJob, run_of
from runner.sdelements.server import Grip, Presence, Server
from runner.sdelements.wire import TokenRefused
from runner.settings import Remote
from runner.store import intake, outbox
from runner.store.database import Database
from runner.store.outbox import Delivery, Letter, Settled

PAGE = 100
"""Results that are marked as sent, and settled, in one write."""

_SHORTEST, _LONGEST = 0.5, 60.0  # seconds between two tries at a server that is away
_IDLE = 5.0  # seconds between two looks at an outbox that nobody has called about
_HELD = timedelta(seconds=5)  # that a result waits for another job of its connection to go first
_DENIED = timedelta(minutes=5)  # before a result is tried again whose kind we may not write
_STUCK = 600.0
_CONFLICT = 409
_NOT_HELD = frozenset({404, 405, _CONFLICT})  # a server that was restored, or has no claims any more
_TOO_LATE = (
    "The server has another result of this job: it was silent here for too long, or a person ended it."
)
_CUT = 200  # characters from which on a server may have cut a message

_CHANCE = random.Random()  # noqa: S311 - it spreads retries, it guards nothing


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that has no result over there."""

    connection: int
    automatic: bool
    last_run: str


class Deliverer(threading.Thread):
    """Delivers to one server."""

    def __init__(
        self,
        name: str,
        settings: Remote,
        database: Database,
        *,
        presence: Presence,
        network: Network,
        clock: Callable[[], datetime],
        on_delivered: Callable[[], None] = _nobody,
    ) -> None:
        super().__init__(name=f"delivery-{name}", daemon=True)
        self._remote = name
        self._settings = settings
        self._database = database
        self._presence = presence
        self._clock = clock
        self._server = Server(name, settings, network)
        self._on_delivered = on_delivered
        self._stopping = False
        self._called = threading.Event()
        self._until = math.inf  # when the last round has to end, by the monotonic clock
        self._failures = 0
        self._beat = time.monotonic()
        self._log = structlog.get_logger(part="delivery", remote=name)
        self._waiting: dict[tuple[Kind, int], Waiting] | None = None  # over there, as this round found them
        self._marks: dict[int, int] = {}  # by connection here: the highest number over there
        self.delivered = 0  # since the start

    # --- life --------------------------------------------------------------------------

    def wake(self) -> None:
        """Look into the outbox: a job has ended."""
        self._called.set()

    def end(self) -> None:
        """Ask it to end after the request in hand."""
        self._stopping = True
        self._called.set()

    def healthy(self) -> bool:
        """Whether rounds come and go."""
        return time.monotonic() - self._beat < _STUCK + _LONGEST

    def run(self) -> None:
        """Deliver until asked to end."""
        while not self._stopping:
            self._beat = time.monotonic()
            wait = self._try()
            if self._failures:
                self._pause(wait)
            else:
                self._called.wait(wait)
            self._called.clear()
        self._server.close()

    def _pause(self, seconds: float) -> None:
        """Wait this long whoever calls; only the end cuts it short."""
        end = time.monotonic() + seconds
        while not self._stopping and (left := end - time.monotonic()) > 0:
            self._called.wait(min(left, _SHORTEST))
            self._called.clear()

    def _try(self) -> float:
        """A round, whatever happens; how long to wait for the next, in seconds."""
        delivered = self.delivered
        try:
            self.round()
        except StoreError as error:
            self._log.warning("delivery_failed", why=error.message, detail=error.detail)
        except RunnerError as error:
            self._presence.away("delivery", error, self._clock())
            if isinstance(error, TryLater) and error.retry_after is not None:
                self._failures += 1
                return max(error.retry_after, _SHORTEST)
        except Exception:  # noqa: BLE001 - the next round tries again
            self._log.exception("delivery_failed")
        else:
            self._presence.back("delivery", self._clock())
            self._failures = 0
            return _IDLE
        # A server that takes some results between its failures isn't made to wait for the rest.
        self._failures = 1 if self.delivered > delivered else self._failures + 1
        longest = min(_SHORTEST * 2.0 ** min(self._failures, 10), _LONGEST)
        return _CHANCE.uniform(longest / 2, longest)

    def flush(self, *, deadline: float) -> bool:
        """Deliver what is due until ``time.monotonic()`` passes ``deadline``; whether all of it went.

        For who ends the daemon, after the thread has ended.
        """
        self._stopping, self._until = False, deadline
        while time.monotonic() < deadline:
            try:
                self.round()
            except RunnerError:
                return False
            if all(one.waits for one in self._due(0)):
                break
            time.sleep(_SHORTEST)
        return not self._due(0)

    # --- a round -------------------------------------------------------------------------

    def round(self) -> int:
        """Deliver all that is due now; how many results the server has taken."""
        self._waiting = None
        after, done = 0, 0
        blocked: set[int] = set()  # connections whose earlier result has to go first
        while letters := self._due(after):
            after = letters[-1].job_id
            blocked |= {one.connection_id for one in letters if one.waits}
            done += self._page([one for one in letters if one.connection_id not in blocked], blocked)
            self._beat = time.monotonic()
            if self._ends():
                break
        return done

    def _ends(self) -> bool:
        return self._stopping or time.monotonic() > self._until

    def _due(self, after: int) -> list[Letter]:
        with self._database.read() as c:
            return outbox.due(c, self._remote, now=self._clock(), after=after, limit=PAGE)

    def _page(self, letters: list[Letter], blocked: set[int]) -> int:
        """Deliver some; what became of them is recorded even if the last one failed."""
        fresh = [one.job_id for one in letters if one.state is Delivery.OWED]
        settled: list[Settled] = []
        if fresh:
            self._database.write(lambda c: outbox.note_sent(c, fresh))
        try:
            for letter in letters:
                if letter.connection_id in blocked:
                    continue
                one = self._deliver(letter, blocked)
                if one is not None:
                    settled.append(one)
                if self._ends():
                    break
        finally:
            done = self._keep(settled)
        return done

    def _keep(self, settled: list[Settled]) -> int:
        """Record what became of results and the marks learnt meanwhile; how many were delivered."""
        marks, self._marks = self._marks, {}

        def write(c: sa.Connection) -> None:
            outbox.settle(c, settled, now=self._clock())
            for connection_id, mark in marks.items():
                intake.note_mark(c, connection_id, mark)

        if settled or marks:
            self._database.write(write)
        done = sum(one.state is Delivery.DELIVERED for one in settled)
        self.delivered += done
        if done:
            self._on_delivered()
        return done

    def _deliver(self, letter: Letter, blocked: set[int]) -> Settled | None:
        """Deliver one result; None if it has to wait."""
        try:
            settled = self._settle(letter)
        except AccessDenied as error:
            if isinstance(error, TokenRefused):
                raise
            self._presence.back("delivery", self._clock())  # it answered, if not as one would wish
            self._put_off(letter, _DENIED, error.message)
            blocked.add(letter.connection_id)
            return None
        except Refused as error:
            self._presence.back("delivery", self._clock())
            self._log.error("result_was_refused", job=letter.job_id, why=error.message)
            return Settled(job_id=letter.job_id, state=Delivery.REFUSED, error=error.message)
        self._presence.back("delivery", self._clock())
        return settled

    def _settle(self, letter: Letter) -> Settled | None:
        if letter.held is not None and letter.remote_id is not None and letter.seen is not None:
            return self._end_claimed(letter, letter.remote_id, run_of(letter.seen), letter.held)
        if letter.state is Delivery.SENT:
            there = self._find(letter)
            if there is not None:
                return self._arrived(letter, there)
        if self._waits_there(letter):
            try:
                return self._arrived(letter, self._post(letter, named=True))
            except Refused as error:
                # It ended meanwhile, by our own request or somebody else's, or it is another's now.
                if error.status != _CONFLICT:
                    raise
                there = self._find(letter)
                if there is not None:
                    return self._arrived(letter, there)
                self._waiting = None
        return self._add_row(letter)

    def _end_claimed(self, letter: Letter, ident: int, run: str, attempt: int) -> Settled | None:
        """Tell the result of a job that we hold, or held: another may have run it meanwhile."""
        result = {
            "succeeded": letter.succeeded,
            "result_message": letter.message,
            "reason": None if letter.succeeded else letter.reason,
            "totals": dict(letter.totals),
            "memory": dict(letter.memory),
        }
        claim = Grip(intake.our_name(self._database), run, attempt)
        try:
            return self._arrived(letter, self._server.end_claimed(letter.kind, ident, claim, result))
        except Refused as error:
            if error.status not in _NOT_HELD:
                raise
        job = self._server.job(letter.kind, ident)
        if job is None or job.uuid != run:
            return self._add_row(letter)  # the server was restored, and knows nothing of this job
        if job.ready:
            self._log.warning("result_came_too_late", job=letter.job_id)
            return Settled(job_id=letter.job_id, state=Delivery.DROPPED, error=_TOO_LATE)
        if not job.held:  # nobody has begun it again, and so nobody need to
            try:
                return self._arrived(letter, self._post(letter, named=True))
            except Refused as error:
                if error.status != _CONFLICT:
                    raise
        self._put_off(letter, _HELD, "Another agent was given the job; its result goes first.")
        return None

    def _add_row(self, letter: Letter) -> Settled | None:
        """Post a result that no job over there waits for, as a row of its own."""
        if self._other_waits(letter):
            # Posted now, the server would take it for the result of that one.
            self._put_off(
                letter, _HELD, "It waits for another job of its connection to be finished over there."
            )
            return None
        if self._mark(letter) is None:
            self._learn_mark(letter)
        return self._arrived(letter, self._post(letter, named=False))

    def _post(self, letter: Letter, *, named: bool) -> int:
        return self._server.post_result(
            letter.kind,
            connection=letter.remote_connection,
            automatic=letter.automatic,
            succeeded=letter.succeeded,
            message=letter.message,
            job_id=letter.remote_id if named else None,
            key=letter.uuid if named else f"{letter.uuid}-row",
        )

    def _arrived(self, letter: Letter, there: int) -> Settled:
        if self._waiting is not None:
            self._waiting.pop((letter.kind, there), None)
        self._marks[letter.connection_id] = max(there, self._mark(letter) or there)
        return Settled(job_id=letter.job_id, state=Delivery.DELIVERED, result_id=there)

    def _put_off(self, letter: Letter, wait: timedelta, why: str) -> None:
        until = self._clock() + wait
        self._database.write(lambda c: outbox.put_off(c, letter.job_id, until=until, why=why))

    # --- what is there -------------------------------------------------------------------

    def _there(self) -> dict[tuple[Kind, int], Waiting]:
        """The jobs without a result over there, as this round found them."""
        if self._waiting is None:
            self._waiting = {
                (kind, job.id): Waiting(job.connection.id, job.automatic, job.last_run)
                for kind in self._settings.kinds
                for job in self._server.pending(kind)
            }
        return self._waiting

    def _waits_there(self, letter: Letter) -> bool:
        """Whether the job that this is the result of waits over there; another may have its number now."""
        if letter.remote_id is None:
            return False
        there = self._there().get((letter.kind, letter.remote_id))
        return there is not None and there.last_run == letter.seen

    def _other_waits(self, letter: Letter) -> bool:
        """Whether a job waits that the server could take this result for."""
        alike = (letter.kind, letter.remote_connection, letter.automatic)
        found = [
            (ident, job.last_run)
            for (kind, ident), job in self._there().items()
            if (kind, job.connection, job.automatic) == alike
        ]
        if not found:
            return False
        with self._database.read() as c:
            return any(
                not outbox.was_told(c, self._remote, letter.kind, ident, seen=seen) for ident, seen in found
            )

    def _find(self, letter: Letter) -> int | None:
        """The row over there that has this result already; None if none has."""
        if letter.remote_id is not None:
            job = self._server.job(letter.kind, letter.remote_id)
            # A server that was restored may have given the number, and this very answer, to another job.
            if job is not None and job.ready and _same(job, letter) and not self._is_another(letter, job.id):
                return job.id
            if job is not None and not job.ready and job.last_run == letter.seen:
                return None  # it waits for this very result, whatever else says the same
        mark = self._mark(letter)
        if mark is None:
            return None  # never sent as a row of its own: the mark is learnt before
        for job in self._server.finished(letter.kind, letter.remote_connection):
            if job.id > mark and _same(job, letter) and not self._is_another(letter, job.id):
                return job.id
        return None

    def _is_another(self, letter: Letter, ident: int) -> bool:
        with self._database.read() as c:
            return outbox.row_is_taken(c, self._remote, letter.kind, ident)

    def _mark(self, letter: Letter) -> int | None:
        known = [self._marks.get(letter.connection_id), letter.mark, letter.remote_id]
        return max((one for one in known if one is not None), default=None)

    def _learn_mark(self, letter: Letter) -> None:
        """Before the first row of a connection: the highest number it has over there."""
        found = self._server.finished(letter.kind, letter.remote_connection)
        self._marks[letter.connection_id] = max((job.id for job in found), default=0)
        self._keep([])

    def status(self) -> dict[str, Any]:
        """What a person wants to know of it."""
        with self._database.read() as c:
            return {"delivered": self.delivered, **outbox.counts(c, self._remote)}


def _same(job: FoundJob, letter: Letter) -> bool:
    """Whether a finished job over there has this result; a server may cut long messages."""
    there, ours = job.message.strip(), letter.message.strip()
    cut = len(there) >= _CUT and ours.startswith(there)
    return (
        job.connection.id == letter.remote_connection
        and job.succeeded == letter.succeeded
        and job.automatic == letter.automatic
        and (there == ours or cut)
    )
