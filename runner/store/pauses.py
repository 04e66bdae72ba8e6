"""Pauses: while one is stored no job is claimed, whichever daemon asks, before and after a restart.

``claims.claim`` looks at both kinds itself.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.store import facts
from runner.store.schema import connections
from runner.store.values import from_json, from_micros, to_json, to_micros

PAUSED = "paused"
"""The fact that holds the pause of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Since when nothing is claimed, and why."""

    since: datetime
    why: str  # a sentence


def whole(c: sa.Connection) -> Pause | None:
    """The pause of everything, if there is one."""
    stored = facts.get(c, PAUSED)
    if stored is None:
        return None
    value = from_json(stored)
    return Pause(since=from_micros(value["since"]), why=value["why"])


def pause(c: sa.Connection, *, why: str, now: datetime) -> None:
    """Claim nothing from now on. A pause that is in force stays as it is."""
    if whole(c) is None:
        facts.put(c, PAUSED, to_json({"since": to_micros(now), "why": why}))


def resume(c: sa.Connection) -> bool:
    """End the pause of everything; whether there was one."""
    return facts.drop(c, PAUSED)


def set_connection(c: sa.Connection, connection_id: int, *, paused: bool, now: datetime) -> None:
    """Pause one connection, or end its pause. Its jobs wait; one that runs goes on."""
    c.execute(
        sa.update(connections)
        .where(connections.c.id == connection_id)
        .values(paused=paused, updated=to_micros(now))
    )
