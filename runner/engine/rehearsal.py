"""The preview of a revert: what would be left alone on the platform, because somebody changed it since.

A run's plan comes from what was read a moment ago; a revert's comes from the journal, which may
be weeks old. So its preview looks at what is there now. Outside only the connector's ``apply``
knows what it would leave alone, and it is asked by the revert itself.
"""

from typing import Any

import sqlalchemy as sa

from runner.engine.ledger import Ledger
from runner.engine.talk import PAGE, Surroundings, Talk
from runner.model.changes import ChangeState, StoredChange, Target
from runner.model.jobs import Job
from runner.store import changes, platform


def rehearse(job: Job, *, talk: Talk, ledger: Ledger, around: Surroundings) -> None:
    """Mark what is planned on the platform and would be left alone."""
    for destructive in (False, True):
        after = 0
        while page := _page(job, around, destructive=destructive, after=after):
            after = page[-1].sequence
            rows = [changes.planned(row) for row in page if row.target == Target.PLATFORM]
            if talk.remote is not None:
                ledger.note(talk.remote.conflicts(rows))
            elif rows:
                _here(job, rows, ledger, around)
    ledger.flush()


def _page(job: Job, around: Surroundings, *, destructive: bool, after: int) -> list[Any]:
    with around.database.read() as c:
        return changes.page(c, job.id, destructive=destructive, after=after, limit=PAGE)


def _here(job: Job, rows: list[StoredChange], ledger: Ledger, around: Surroundings) -> None:
    """Write them in earnest, keep what was refused, and take all back before it can be seen."""

    def write(c: sa.Connection) -> None:
        with c.begin_nested() as rehearsed:
            outcomes = platform.apply(
                c,
                rows,
                author=job.user_id,
                connection_id=job.connection_id,
                now=around.clock(),
                assigned={},
            )
            rehearsed.rollback()
        ledger.settle(c, [row for row in outcomes if row.state is ChangeState.SKIPPED])

    ledger.write(write)
