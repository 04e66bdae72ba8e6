"""What things are over there that a connection's runs have made or taken over, by kind and key.

A link is written in the transaction that settles its change, so it is there whenever the
journal says "done", whatever becomes of the run.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Job
from runner.store.prepared import Prepared
from runner.store.schema import changes, links
from runner.store.values import from_json

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
