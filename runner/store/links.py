"""What things are over there that a connection's runs have made or taken over, by kind and key.

A link is written in the transaction that settles its change, so it is there whenever the
journal says "done", whatever becomes of the run.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Job
from runner.store.prepared import Prepared
from runner.store.schema import changes, connections, links
from runner.store.values import from_json

PERSON = "person"
"""Kind of the links that say who an account of a remote platform is in a directory; the key is its number."""

_this = sa.and_(
    links.c.connection_id == sa.bindparam("b_connection"),
    links.c.kind == sa.bindparam("b_kind"),
    links.c.key == sa.bindparam("b_key"),
)
_forget = Prepared(sa.delete(links).where(_this))
_insert = Prepared(sa.insert(links).values({c.name: sa.bindparam(f"v_{c.name}") for c in links.c}))


def learn(c: sa.Connection, job: Job, sequences: Sequence[int], *, kinds: Collection[str]) -> None:
    """Keep what changes of these kinds were given, now that they are settled; forget the deleted."""
    if not sequences or not kinds:
        return
    rows = c.execute(
        sa.select(changes.c.op, changes.c.target, changes.c.kind, changes.c.key, changes.c.assigned)
        .where(changes.c.job_id == job.id, changes.c.sequence.between(min(sequences), max(sequences)))
        .where(changes.c.state == ChangeState.DONE.value, changes.c.kind.in_(sorted(kinds)))
        .order_by(changes.c.sequence)
    ).all()
    fresh: dict[tuple[str, str], str | None] = {}
    for row in rows:
        if row.op == Op.DELETE.value:
            fresh[row.kind, row.key] = None
        elif row.assigned is not None or row.target == Target.PLATFORM.value:
            fresh[row.kind, row.key] = row.assigned or "{}"
    names = [{"b_connection": job.connection_id, "b_kind": kind, "b_key": key} for kind, key in fresh]
    _forget.each(c, names)
    _insert.each(
        c,
        [
            {
                "v_connection_id": job.connection_id,
                "v_kind": kind,
                "v_key": key,
                "v_value": value,
                "v_job_id": job.id,
            }
            for (kind, key), value in fresh.items()
            if value is not None
        ],
    )


def page(
    c: sa.Connection, connection_id: int, kind: str, *, after: str, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Links of a kind past the key ``after``, as the pipe carries them; the next key or None."""
    rows = c.execute(
        sa.select(links.c.key, links.c.value, links.c.job_id)
        .where(links.c.connection_id == connection_id, links.c.kind == kind, links.c.key > after)
        .order_by(links.c.key)
        .limit(limit)
    ).all()
    found = [{"key": row.key, "values": from_json(row.value), "job": row.job_id} for row in rows]
    return found, rows[-1].key if len(rows) == limit else None


def tie(c: sa.Connection, job: Job, outcomes: Sequence[OutcomeRow]) -> None:
    """Keep who accounts of a remote platform are in a directory, as the outcomes of a run say."""
    told: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.state is ChangeState.DONE and outcome.assigned is not None:
            values = from_json(outcome.assigned)
            if "directory_id" in values:
                told[str(values["id"])] = outcome.assigned
    _forget.each(c, [{"b_connection": job.connection_id, "b_kind": PERSON, "b_key": key} for key in told])
    _insert.each(
        c,
        [
            {
                "v_connection_id": job.connection_id,
                "v_kind": PERSON,
                "v_key": key,
                "v_value": value,
                "v_job_id": job.id,
            }
            for key, value in told.items()
        ],
    )


def ties(c: sa.Connection, remote: str, connection_id: int) -> list[tuple[dict[str, Any], bool]]:
    """Who accounts of a remote platform are, by whichever connection to it; whether by this one."""
    rows = c.execute(
        sa.select(links.c.value, links.c.connection_id)
        .join(connections, connections.c.id == links.c.connection_id)
        .where(connections.c.remote == remote, links.c.kind == PERSON)
        .order_by(links.c.connection_id)
    )
    return [(from_json(row.value), row.connection_id == connection_id) for row in rows]
