"""A run's writes to the store, each made sure of by the job's owner and attempt."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import TypeVar

import sqlalchemy as sa

from runner.engine.talk import Surroundings
from runner.messages import OutcomeRow
from runner.model.jobs import Claim
from runner.store import changes, claims, links

T = TypeVar("T")

_AHEAD = 4
"""Messages of a plan that may wait for their commit while the next is read."""


class Ledger:
    """The writes of one attempt."""

    def __init__(self, claim: Claim, around: Surroundings) -> None:
        self._job = claim.job
        self._ties = claim.connection.remote is not None  # a remote platform keeps no ties to directories
        self._around = around
        self._ahead: list[Future[None]] = []
        self._settled: list[OutcomeRow] = []  # outcomes that wait for the next commit
        self.keeps: Collection[str] = ()  # kinds of things whose links are kept

    def write(self, write: Callable[[sa.Connection], T]) -> T:
        """Commit ``write`` if the job is still ours; ``LostClaim`` if not."""
        return self._around.database.write(self._held(write))

    def write_ahead(self, write: Callable[[sa.Connection], None]) -> None:
        """Have ``write`` committed in the background, but never many at a time."""
        self._ahead.append(self._around.database.submit(self._held(write)))
        if len(self._ahead) > _AHEAD:
            self._ahead.pop(0).result()

    def catch_up(self) -> None:
        """Wait for all that was written ahead."""
        while self._ahead:
            self._ahead.pop(0).result()

    def note(self, outcomes: Sequence[OutcomeRow]) -> None:
        """Keep outcomes for the next commit."""
        self._settled += outcomes

    def intend(self, sequences: Sequence[int]) -> None:
        """Commit what is sent next."""
        self.write(lambda c: changes.intend(c, self._job.id, sequences))

    def flush(self) -> None:
        """Commit the outcomes that wait."""
        settled, self._settled = self._settled, []
        if settled:
            self.write(lambda c: self.settle(c, settled))

    def settle(self, c: sa.Connection, outcomes: Sequence[OutcomeRow]) -> None:
        """Record outcomes in the transaction in hand, and with them what things are over there."""
        changes.settle(c, self._job.id, outcomes, now=self._around.clock())
        links.learn(c, self._job, [row.sequence for row in outcomes], kinds=self.keeps)
        if self._ties:
            links.tie(c, self._job, outcomes)

    def give_up(self) -> None:
        """Commit what is known, after the run was stopped; never raises."""
        for future in self._ahead:
            with contextlib.suppress(Exception):
                future.result()
        with contextlib.suppress(Exception):
            self.flush()

    def _held(self, write: Callable[[sa.Connection], T]) -> Callable[[sa.Connection], T]:
        def held(c: sa.Connection) -> T:
            claims.hold(c, self._job)
            return write(c)

        return held
