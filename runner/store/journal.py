"""The journal over all jobs: who changed what, when, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.model.changes import ChangeState, Op
from runner.model.jobs import Kind
from runner.store import approvals
from runner.store.pages import Cut
from runner.store.schema import changes, connections, jobs, users
from runner.store.values import to_micros

_PLACES = 31
"""Bits of an entry's number that hold its place in the plan; the job's number stands before."""


class Entry(NamedTuple):
    """A change with who made it. Instants in µs since 1970, values as JSON text."""

    job: int
    sequence: int
    when: int | None  # None = it isn't settled, and perhaps never will be
    user: str  # e-mail of the account that the job ran under
    triggered_by: str
    allowed_by: str  # who approved that it was over a ceiling
    connection: int
    alias: str
    system: str
    target: str
    op: str
    kind: str
    key: str
    subject: str
    before: str | None
    after: str | None
    state: str
    error: str
    why: str

    @property
    def number(self) -> int:
        """What the listing goes on by."""
        return self.job << _PLACES | self.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries a listing is of; None = no matter."""

    kinds: tuple[Kind, ...]  # of the jobs
    previews: bool = False
    subject: str | None = None
    subject_contains: str | None = None  # in any case
    connection_id: int | None = None
    job_id: int | None = None
    state: ChangeState | None = None
    op: Op | None = None
    kind: str | None = None  # of the thing that is changed
    since: datetime | None = None
    until: datetime | None = None  # itself left out


_runner = users.alias("runner")
_asker = users.alias("asker")
_entries = (
    sa.select(
        changes,
        jobs.c.connection_id,
        connections.c.alias,
        connections.c.system,
        sa.func.coalesce(_runner.c.email, "").label("user"),
        sa.func.coalesce(_asker.c.email, "").label("triggered_by"),
    )
    .join(jobs, jobs.c.id == changes.c.job_id)
    .join(connections, connections.c.id == jobs.c.connection_id)
    .outerjoin(_runner, _runner.c.id == jobs.c.user_id)
    .outerjoin(_asker, _asker.c.id == jobs.c.triggered_by_id)
)


def page(c: sa.Connection, wanted: Wanted, part: Cut) -> list[Entry]:
    """Some of the entries wanted: the newest job's first, and of a job the last change first."""
    query = _entries.where(*_conditions(wanted))
    rows: list[sa.Row[Any]] = []
    if part.key is not None:
        # The rest of one job, then the other jobs: so each of the two is a range of an index,
        # however many changes the job has.
        job_id, sequence = part.key >> _PLACES, part.key & (1 << _PLACES) - 1
        rest = changes.c.sequence > sequence if part.backwards else changes.c.sequence < sequence
        rows += _some(c, query.where(changes.c.job_id == job_id, rest), part, part.limit)
        query = query.where(jobs.c.id > job_id if part.backwards else jobs.c.id < job_id)
    if len(rows) < part.limit:
        rows += _some(c, query.offset(part.offset or None), part, part.limit - len(rows))
    used = approvals.used_by(c, {row.job_id for row in rows})
    entries = [_entry(row, used) for row in rows]
    return entries[::-1] if part.backwards else entries


def _some(c: sa.Connection, query: sa.Select[Any], part: Cut, limit: int) -> Sequence[sa.Row[Any]]:
    columns = (jobs.c.id, changes.c.sequence)
    order = (column.asc() if part.backwards else column.desc() for column in columns)
    return c.execute(query.order_by(*order).limit(limit)).all()


def count(c: sa.Connection, wanted: Wanted) -> int:
    """How many entries are wanted."""
    query = sa.select(sa.func.count()).select_from(changes).join(jobs, jobs.c.id == changes.c.job_id)
    return c.scalar(query.where(*_conditions(wanted))) or 0


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if len(wanted.kinds) < len(Kind):
        # Hidden from the planner: with its index on several kinds it would sort all of them.
        found.append(sa.func.coalesce(jobs.c.kind, "").in_([kind.value for kind in wanted.kinds]))
    if not wanted.previews:
        found.append(~jobs.c.preview)
    if wanted.subject_contains is not None:
        found.append(changes.c.subject.icontains(wanted.subject_contains, autoescape=True))
    if wanted.since is not None:
        found.append(changes.c.settled >= to_micros(wanted.since))
    if wanted.until is not None:
        found.append(changes.c.settled < to_micros(wanted.until))
    for column, value in (
        (changes.c.subject, wanted.subject),
        (jobs.c.connection_id, wanted.connection_id),
        (changes.c.job_id, wanted.job_id),
        (changes.c.state, wanted.state),
        (changes.c.op, wanted.op),
        (changes.c.kind, wanted.kind),
    ):
        if value is not None:
            found.append(column == value)
    return found


def _entry(row: sa.Row[Any], used: dict[int, approvals.Approval]) -> Entry:
    approval = used.get(row.job_id)
    return Entry(
        job=row.job_id,
        sequence=row.sequence,
        when=row.settled,
        user=row.user,
        triggered_by=row.triggered_by,
        allowed_by="" if approval is None else approval.user,
        connection=row.connection_id,
        alias=row.alias,
        system=row.system,
        target=row.target,
        op=row.op,
        kind=row.kind,
        key=row.key,
        subject=row.subject,
        before=row.before,
        after=row.after,
        state=row.state,
        error=row.error,
        why=row.why,
    )
