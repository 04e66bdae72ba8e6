"""First answers to requests that carry an Idempotency-Key, kept to be given again."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.store.schema import answers
from runner.store.values import from_json, to_json, to_micros


class Kept(NamedTuple):
    """An answer that was given."""

    request: str  # what was asked, as its SHA-256
    answer: Any


def find(c: sa.Connection, *, user_id: int, key: str) -> Kept | None:
    """What a user was answered to a request with this key; None = it is new."""
    row = c.execute(
        sa.select(answers.c.request, answers.c.answer).where(
            answers.c.user_id == user_id, answers.c.key == key
        )
    ).one_or_none()
    return None if row is None else Kept(row.request, from_json(row.answer))


def lock(c: sa.Connection, *, user_id: int, key: str) -> None:
    """On PostgreSQL, let two requests with one key come one after the other."""
    if c.dialect.name == "postgresql":
        number = sa.func.hashtextextended(f"{user_id} {key}", 0)
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def keep(c: sa.Connection, *, user_id: int, key: str, request: str, answer: Any, now: datetime) -> None:
    """Keep the first answer to a request."""
    c.execute(
        sa.insert(answers).values(
            user_id=user_id, key=key, request=request, answer=to_json(answer), created=to_micros(now)
        )
    )


def remove(c: sa.Connection, *, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` answers that are older; how many."""
    old = (
        sa.select(answers.c.user_id, answers.c.key).where(answers.c.created < to_micros(before)).limit(limit)
    )
    rows = c.execute(old).all()
    for row in rows:
        c.execute(sa.delete(answers).where(answers.c.user_id == row.user_id, answers.c.key == row.key))
    return len(rows)
