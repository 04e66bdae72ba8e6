"""Making a plan that was judged: batch by batch, the destructive last.

A change for the outside is committed as ``intended`` before it is sent. While a batch is made
over there, what became of the one before is committed here, and the next one is read.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from runner.engine.ledger import Ledger
from runner.engine.talk import PAGE, Surroundings, Talk, out_of_turn
from runner.errors import Internal, Refused
from runner.messages import OutcomeRow, Outcomes, PlanRow, encode_apply
from runner.model.changes import ASSIGNED, ChangeState, StoredChange, Target
from runner.model.jobs import Job
from runner.sdelements.platform import Known, Platform
from runner.store import changes, platform
from runner.store.values import from_json, to_json


class Making:
    """The writes of one attempt's plan."""

    def __init__(self, job: Job, talk: Talk, ledger: Ledger, around: Surroundings) -> None:
        self._job = job
        self._talk = talk
        self._ledger = ledger
        self._around = around
        self._wanted: set[tuple[str, str]] = set()  # whose assigned values later changes refer to
        self._assigned: dict[tuple[str, str], dict[str, Any]] = {}

    def note_references(self, rows: Iterable[PlanRow]) -> None:
        """Remember which changes' assigned values the plan refers to."""
        for row in rows:
            if row.after is not None and ASSIGNED in row.after:
                self._wanted.update(platform.references(json.loads(row.after)))

    def make(self, batch_size: int | None) -> None:
        """Make all that is planned; ``batch_size`` is what apply() takes, None = there is none."""
        for destructive in (False, True):
            pages = _Pages(partial(self._page, destructive=destructive))
            for page in pages:
                for target, group in groupby(page, key=attrgetter("target")):
                    if target == Target.PLATFORM:
                        self._ledger.flush()
                        self._on_platform([changes.planned(row) for row in group])
                    else:
                        self._outside(list(group), batch_size, meanwhile=pages.read_ahead)
        self._ledger.flush()

    def _page(self, after: int, *, destructive: bool) -> list[Any]:
        with self._around.database.read() as c:
            return changes.page(c, self._job.id, destructive=destructive, after=after, limit=PAGE)

    def _on_platform(self, rows: list[StoredChange]) -> None:
        """Write the batch and its outcomes in one transaction; a remote one's as those outside."""
        if self._talk.remote is not None:
            self._on_remote(self._talk.remote, rows)
            return

        def write(c: sa.Connection) -> list[OutcomeRow]:
            now = self._around.clock()
            outcomes = platform.apply(
                c,
                rows,
                author=self._job.user_id,
                connection_id=self._job.connection_id,
                now=now,
                assigned=self._assigned,
                refers=bool(self._wanted),
            )
            cleaned = [self._talk.cleaner.outcome(row) for row in outcomes]
            self._ledger.settle(c, cleaned)
            return outcomes

        self._keep_assigned(rows, self._ledger.write(write))

    def _on_remote(self, remote: Platform, rows: list[StoredChange]) -> None:
        self._ledger.intend([row.sequence for row in rows])
        outcomes = remote.apply(rows, resolve=self._resolved)
        self._ledger.note([self._talk.cleaner.outcome(row) for row in outcomes])
        self._keep_assigned(rows, outcomes)

    def _resolved(self, row: StoredChange, known: Known) -> StoredChange:
        """A change with what the server gave to earlier ones filled in."""
        assigned = {**self._assigned, **known}
        why = platform.missing(platform.references(row.after), assigned)
        if why is not None:
            raise Refused(why)
        return replace(row, after=platform.resolve(row.after, assigned))

    def _outside(self, rows: list[Any], batch_size: int | None, *, meanwhile: Callable[[], None]) -> None:
        if batch_size is None:
            msg = "The plan has changes for the outside system, but its connector has no apply()."
            raise Internal(msg)
        for batch in self._batches(rows, batch_size):
            self._ledger.intend([row.sequence for row in batch])
            self._talk.send(encode_apply(batch))
            self._ledger.flush()
            meanwhile()
            self._await_outcomes(batch)

    def _batches(self, rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
        """Batches of ``size``, none with a change that refers to what another of it will be given."""
        if not self._wanted:
            for first in range(0, len(rows), size):
                yield rows[first : first + size]
            return
        batch: list[Any] = []
        named: set[tuple[str, str]] = set()
        for row in rows:
            wanted = platform.references(from_json(row.after)) if ASSIGNED in (row.after or "") else ()
            if batch and (len(batch) == size or not named.isdisjoint(wanted)):
                yield batch
                batch, named = [], set()
            missing = platform.missing(wanted, self._assigned)
            if missing is not None:
                self._ledger.note([OutcomeRow(row.sequence, ChangeState.SKIPPED, missing, None)])
            else:
                after = platform.resolve(from_json(row.after), self._assigned) if wanted else None
                batch.append(row._replace(after=to_json(after)) if wanted else row)
                named.add((row.kind, row.key))
        if batch:
            yield batch

    def _await_outcomes(self, batch: Sequence[Any]) -> None:
        known = {row.sequence for row in batch}
        while True:
            message = self._talk.receive()
            if not isinstance(message, Outcomes) or not known.issuperset(
                row.sequence for row in message.rows
            ):
                raise out_of_turn(message)
            self._ledger.note(message.rows)
            self._keep_assigned(batch, message.rows)
            if message.last:
                return

    def _keep_assigned(self, batch: Sequence[Any], outcomes: Sequence[OutcomeRow]) -> None:
        if not self._wanted:
            return
        named = {row.sequence: (row.kind, row.key) for row in batch}
        for outcome in outcomes:
            if outcome.assigned is not None and named[outcome.sequence] in self._wanted:
                self._assigned[named[outcome.sequence]] = from_json(outcome.assigned)


class _Pages:
    """Pages of a plan, one after another; the next may be read before it is asked for."""

    def __init__(self, read: Callable[[int], list[Any]]) -> None:
        self._read = read  # what comes after a sequence
        self._page: list[Any] = []
        self._ahead: list[Any] | None = None

    def read_ahead(self) -> None:
        """Read the next page, unless that has been done."""
        if self._ahead is None:
            self._ahead = self._read(self._page[-1].sequence if self._page else 0)

    def __iter__(self) -> Iterator[list[Any]]:
        while True:
            self.read_ahead()
            self._page, self._ahead = self._ahead or [], None
            if not self._page:
                return
            yield self._page
