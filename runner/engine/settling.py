"""Finding out what became of changes that were sent and never answered.

After a crash, of main or of a worker, the connector is asked what is there now; equal to
``after`` = done, to ``before`` = not done, anything else is reported and left alone.
"""

from itertools import groupby
from typing import Any

from runner.engine.ledger import Ledger
from runner.engine.talk import PAGE, Surroundings, Talk
from runner.messages import CurrentIs, OutcomeRow, Planned, encode
from runner.model.changes import ASSIGNED, GENERATED, ChangeState, StoredChange, Target, values_to_json
from runner.model.jobs import Job
from runner.store import changes
from runner.store.values import from_json


def anything_intended(job: Job, around: Surroundings) -> bool:
    """Whether the job has changes whose outcome isn't known."""
    with around.database.read() as c:
        return bool(changes.intended(c, job.id, after=0, limit=1))


def settle_intended(job: Job, *, talk: Talk, ledger: Ledger, around: Surroundings) -> None:
    """Settle all of the job's changes whose outcome isn't known."""
    talk.begin(first=1, resume_only=True)
    ledger.keeps = talk.expect(Planned).keeps
    after = 0
    while page := _page(job, around, after):
        after = page[-1].sequence
        outcomes: list[OutcomeRow] = []
        rows = [row for row in page if row.target is Target.OUTSIDE]
        if talk.remote is not None and len(rows) < len(page):
            outcomes += talk.remote.settle([row for row in page if row.target is Target.PLATFORM])
        for kind, group in groupby(rows, key=lambda change: change.kind):
            batch = list(group)
            talk.send(encode("current_of", kind=kind, keys=[row.key for row in batch]))
            there = talk.expect(CurrentIs).values
            outcomes += [_concluded(row, from_json(there.get(row.key))) for row in batch]
        ledger.note(outcomes)
        ledger.flush()


def _page(job: Job, around: Surroundings, after: int) -> list[StoredChange]:
    with around.database.read() as c:
        return changes.intended(c, job.id, after=after, limit=PAGE)


def _agrees(there: dict[str, Any] | None, expected: dict[str, Any] | None) -> bool:
    """Whether what is there has all that was expected; placeholders agree with anything."""
    if there is None or expected is None:
        return there is None and expected is None
    return all(
        values_to_json({"": there.get(name)}) == values_to_json({"": value})
        for name, value in expected.items()
        if not (isinstance(value, dict) and set(value) & {ASSIGNED, GENERATED})
    )


def _concluded(row: StoredChange, there: dict[str, Any] | None) -> OutcomeRow:
    """Conclude from what is there now whether a change was made."""
    if _agrees(there, row.after):
        assigned = None if there is None else there.get(ASSIGNED)
        return OutcomeRow(row.sequence, ChangeState.DONE, "", values_to_json(assigned))
    if _agrees(there, row.before):
        return OutcomeRow(row.sequence, ChangeState.SKIPPED, changes.NOT_MADE, None)
    return OutcomeRow(row.sequence, ChangeState.SKIPPED, f"conflict: {_UNCLEAR}", None)


_UNCLEAR = "what is there is neither the old state nor the new"
