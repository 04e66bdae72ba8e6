"""What all writers of the platform share: what a batch is written with, and how outcomes are told."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, StoredChange
from runner.store.values import to_json


class Writing(NamedTuple):
    """What a batch is written with."""

    c: sa.Connection
    author: int | None  # the account that the run works under
    connection_id: int | None
    micros: int


def done(change: StoredChange, assigned: Mapping[str, Any] | None = None) -> OutcomeRow:
    """It is made."""
    return OutcomeRow(
        change.sequence, ChangeState.DONE, "", None if assigned is None else to_json(dict(assigned))
    )


def failed(change: StoredChange, message: str) -> OutcomeRow:
    """It can't be made."""
    return OutcomeRow(change.sequence, ChangeState.FAILED, message, None)


def conflict(change: StoredChange, message: str) -> OutcomeRow:
    """Somebody else was there meanwhile, and it is left alone."""
    return OutcomeRow(change.sequence, ChangeState.SKIPPED, f"conflict: {message}", None)
