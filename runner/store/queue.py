"""The queue: enqueue, claim, finish, hand back, cancel, rescue.

States go ``behind`` → ``pending`` → ``running`` → ``finished``. The partial unique index
``jobs_one_at_a_time`` keeps one pending or running row per connection; whoever finishes a
row promotes the oldest ``behind`` one in the same transaction. Uniqueness is settled here at
enqueue, not at claim: claiming many rows against a unique index deadlocks on PostgreSQL.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from runner.errors import Reason
from runner.model.jobs import Claim, Connection, Frequency, Job, Kind, Outcome, State
from runner.store.pauses import PAUSED
from runner.store.prepared import Prepared
from runner.store.schema import (
    applications,
    business_units,
    connections,
    facts,
    jobs,
    projects,
    reads,
    uploads,
)
from runner.store.schema import changes as changes_table
from runner.store.values import from_json, from_micros, maybe_from_micros, to_json, to_micros

# Literals, not parameters: only so does SQLite use the partial indexes.
_BEHIND: sa.ColumnElement[str] = sa.literal_column("'behind'")
_PENDING: sa.ColumnElement[str] = sa.literal_column("'pending'")
_RUNNING: sa.ColumnElement[str] = sa.literal_column("'running'")

LEASE = timedelta(seconds=30)
"""How long a daemon on PostgreSQL, or an agent, may be silent before its jobs are taken back."""

_MICROSECOND = timedelta(microseconds=1)


class _DatabaseNow(FunctionElement[int]):
    """Microseconds since 1970 by the database's clock: leases of all daemons go by the same one."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(_DatabaseNow, "postgresql")
def _now_on_postgresql(_element: _DatabaseNow, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(_DatabaseNow, "sqlite")
def _now_on_sqlite(_element: _DatabaseNow, _compiler: Any, **_options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"


_ahead = jobs.alias("ahead")
_occupied = (
    sa.exists()
    .where(_ahead.c.connection_id == sa.bindparam("b_connection_id"))
    .where(sa.or_(_ahead.c.state == _PENDING, _ahead.c.state == _RUNNING))
)
_insert = Prepared(
    sa.insert(jobs)
    .values(
        uuid=sa.bindparam("b_uuid"),
        kind=sa.bindparam("b_kind"),
        connection_id=sa.bindparam("b_connection_id"),
        state=sa.case((_occupied, _BEHIND), else_=_PENDING),
        automatic=sa.bindparam("b_automatic"),
        preview=sa.bindparam("b_preview"),
        only=sa.bindparam("b_only"),
        user_id=sa.bindparam("b_user_id"),
        triggered_by_id=sa.bindparam("b_triggered_by_id"),
        upload_id=sa.bindparam("b_upload_id"),
        slot=sa.bindparam("b_slot"),
        retry_of=sa.bindparam("b_retry_of"),
        revert_of=sa.bindparam("b_revert_of"),
        not_before=sa.bindparam("b_now"),
        created=sa.bindparam("b_now"),
        last_run=sa.bindparam("b_now"),
    )
    .returning(jobs.c.id, jobs.c.state)
)
_lock_connection = (
    sa.select(connections.c.id)
    .where(connections.c.id == sa.bindparam("b_connection_id"))
    .with_for_update(key_share=True)
)


def _lock(c: sa.Connection, connection_id: int) -> None:
    """On PostgreSQL, let an enqueue and a finish of one connection wait for each other.

    Else a row may go ``behind`` one that finishes at the same moment, and stay there.
    """
    if c.dialect.name == "postgresql":
        c.execute(_lock_connection, {"b_connection_id": connection_id})


def enqueue(
    c: sa.Connection,
    *,
    connection_id: int,
    kind: Kind,
    now: datetime,
    automatic: bool = False,
    preview: bool = False,
    only: str | None = None,
    user_id: int | None = None,
    triggered_by_id: int | None = None,
    upload_id: int | None = None,
    slot: datetime | None = None,
    retry_of: int | None = None,
    revert_of: int | None = None,
) -> tuple[int, State]:
    """Add a job; return its id and whether it is ``pending`` or ``behind``.

    Who adds several in one transaction does so in the order of their connections' ids: else two
    of them wait for each other on PostgreSQL, for a second each time.
    """
    _lock(c, connection_id)
    [row] = _insert.rows(
        c,
        {
            "b_uuid": uuid.uuid4().hex,
            "b_kind": kind.value,
            "b_connection_id": connection_id,
            "b_automatic": automatic,
            "b_preview": preview,
            "b_only": only,
            "b_user_id": user_id,
            "b_triggered_by_id": triggered_by_id,
            "b_upload_id": upload_id,
            "b_slot": None if slot is None else to_micros(slot),
            "b_retry_of": retry_of,
            "b_revert_of": revert_of,
            "b_now": to_micros(now),
        },
    )
    return row.id, State(row.state)


# What is asked of a job before it is taken: pauses are stored, so they hold for every daemon.
_admitted = (
    ~sa.exists().where(facts.c.name == sa.literal_column(f"'{PAUSED}'")),
    ~connections.c.paused,
    sa.or_(jobs.c.preview, ~sa.bindparam("b_frozen", type_=sa.Boolean)),
)
_claimable = Prepared(
    sa.select(
        jobs,
        connections.c.system.label("c_system"),
        connections.c.alias.label("c_alias"),
        connections.c.command.label("c_command"),
        connections.c.frequency.label("c_frequency"),
        connections.c.project_id.label("c_project_id"),
        connections.c.params.label("c_params"),
        connections.c.safety.label("c_safety"),
        connections.c.enabled.label("c_enabled"),
        connections.c.is_file_upload.label("c_is_file_upload"),
        connections.c.debug_mode.label("c_debug_mode"),
        connections.c.inaccessible.label("c_inaccessible"),
        connections.c.memory.label("c_memory"),
        projects.c.name.label("p_name"),
        applications.c.name.label("a_name"),
        business_units.c.name.label("b_name"),
        uploads.c.file.label("u_file"),
        uploads.c.name.label("u_name"),
        uploads.c.size.label("u_size"),
    )
    .join(connections, connections.c.id == jobs.c.connection_id)
    .outerjoin(projects, projects.c.id == connections.c.project_id)
    .outerjoin(applications, applications.c.id == projects.c.application_id)
    .outerjoin(business_units, business_units.c.id == applications.c.business_unit_id)
    .outerjoin(uploads, uploads.c.id == jobs.c.upload_id)
    .where(jobs.c.state == _PENDING, jobs.c.not_before <= sa.bindparam("b_now"), *_admitted)
    .order_by(jobs.c.not_before, jobs.c.id)
    .limit(sa.bindparam("b_limit"))
    .with_for_update(skip_locked=True, of=jobs)
)
_take = Prepared(
    sa.update(jobs)
    .where(jobs.c.id == sa.bindparam("b_job_id"))
    .values(
        state=_RUNNING,
        owner=sa.bindparam("b_owner"),
        attempt=jobs.c.attempt + 1,
        started=sa.bindparam("b_now"),
        last_run=sa.bindparam("b_now"),
        lease_until=_DatabaseNow() + sa.bindparam("b_lease", type_=sa.BigInteger),
    )
)


def claim(
    c: sa.Connection,
    *,
    owner: str,
    now: datetime,
    limit: int = 1,
    lease: timedelta = LEASE,
    frozen: bool = False,
) -> list[Claim]:
    """Take up to ``limit`` pending jobs for ``owner``, the longest waiting first.

    None while all or their connection is paused; ``frozen`` lets previews through only.
    """
    micros = to_micros(now)
    rows = _claimable.rows(c, {"b_now": micros, "b_limit": limit, "b_frozen": frozen})
    for row in rows:
        _take.count(
            c, {"b_job_id": row.id, "b_owner": owner, "b_now": micros, "b_lease": lease // _MICROSECOND}
        )
    return [_claim(row, owner, now) for row in rows]


def _claim(row: Any, owner: str, now: datetime) -> Claim:
    job = job_from_row(row, state=State.RUNNING, owner=owner, attempt=row.attempt + 1, started=now)
    return Claim(
        job=job,
        connection=Connection(
            id=row.connection_id,
            kind=job.kind,
            system=row.c_system,
            alias=row.c_alias,
            command=row.c_command,
            frequency=Frequency(row.c_frequency),
            project_id=row.c_project_id,
            params=from_json(row.c_params),
            enabled=bool(row.c_enabled),
            is_file_upload=bool(row.c_is_file_upload),
            debug_mode=bool(row.c_debug_mode),
            inaccessible=bool(row.c_inaccessible),
            safety=from_json(row.c_safety),
        ),
        project=None
        if row.p_name is None
        else {
            "id": row.c_project_id,
            "name": row.p_name,
            "application": row.a_name,
            "business_unit": row.b_name,
        },
        upload=None if row.u_file is None else {"file": row.u_file, "name": row.u_name, "size": row.u_size},
        memory=from_json(row.c_memory),
    )


def job_from_row(row: Any, **changed: Any) -> Job:
    """A row of ``jobs`` as a value, with ``changed`` fields in place of the row's."""
    fields: dict[str, Any] = {
        "id": row.id,
        "uuid": row.uuid,
        "kind": Kind(row.kind),
        "connection_id": row.connection_id,
        "state": row.state,
        "outcome": None if row.outcome is None else Outcome(row.outcome),
        "reason": None if row.reason is None else Reason(row.reason),
        "result_message": row.result_message,
        "automatic": bool(row.automatic),
        "preview": bool(row.preview),
        "only": row.only,
        "user_id": row.user_id,
        "triggered_by_id": row.triggered_by_id,
        "upload_id": row.upload_id,
        "attempt": row.attempt,
        "retries": row.retries,
        "owner": row.owner,
        "cancel_requested": bool(row.cancel_requested),
        "retry_of": row.retry_of,
        "revert_of": row.revert_of,
        "totals": from_json(row.totals),
        "progress": row.progress,
        "created": from_micros(row.created),
        "started": maybe_from_micros(row.started),
        "finished": maybe_from_micros(row.finished),
        "last_run": from_micros(row.last_run),
    }
    fields.update(changed)
    fields["state"] = State(fields["state"])
    return Job(**fields)


_mine = sa.and_(
    jobs.c.id == sa.bindparam("b_job_id"),
    jobs.c.owner == sa.bindparam("b_owner"),
    jobs.c.attempt == sa.bindparam("b_attempt"),
    jobs.c.state == _RUNNING,
)
_end = Prepared(
    sa.update(jobs)
    .where(_mine)
    .values(
        state="finished",
        outcome=sa.bindparam("b_outcome"),
        reason=sa.bindparam("b_reason"),
        result_message=sa.bindparam("b_message"),
        totals=sa.bindparam("b_totals"),
        finished=sa.bindparam("b_now"),
        last_run=sa.bindparam("b_now"),
        lease_until=None,
        progress="",
    )
)
_next = jobs.alias("next")
_oldest_behind = (
    sa.select(_next.c.id)
    .where(_next.c.connection_id == sa.bindparam("b_connection_id"), _next.c.state == _BEHIND)
    .order_by(_next.c.id)
    .limit(1)
    .scalar_subquery()
)
_promote = Prepared(sa.update(jobs).where(jobs.c.id == _oldest_behind).values(state=_PENDING))
_remember = (
    sa.update(connections)
    .where(connections.c.id == sa.bindparam("b_connection_id"))
    .values(memory=sa.bindparam("b_memory"))
)


def finish(
    c: sa.Connection,
    *,
    job: Job,
    outcome: Outcome,
    reason: Reason | None,
    message: str,
    totals: Mapping[str, int],
    now: datetime,
    memory: Mapping[str, Any] | None = None,
) -> bool:
    """End a running job of ours; False if it isn't ours any more (nothing is written then)."""
    _lock(c, job.connection_id)
    hit = _end.count(
        c,
        {
            "b_job_id": job.id,
            "b_owner": job.owner,
            "b_attempt": job.attempt,
            "b_outcome": outcome.value,
            "b_reason": None if reason is None else reason.value,
            "b_message": message,
            "b_totals": to_json(dict(totals)),
            "b_now": to_micros(now),
        },
    )
    if not hit:
        return False
    if memory:
        c.execute(_remember, {"b_connection_id": job.connection_id, "b_memory": to_json(dict(memory))})
    promote(c, job.connection_id)
    return True


def promote(c: sa.Connection, connection_id: int) -> bool:
    """Let the oldest job that waits behind the connection's last one be claimed."""
    return bool(_promote.count(c, {"b_connection_id": connection_id}))


def hand_back(c: sa.Connection, *, job: Job) -> bool:
    """Make a running job of ours pending again; False if it isn't ours any more."""
    return bool(
        c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
            .where(jobs.c.state == _RUNNING)
            .values(state=_PENDING, owner=None, lease_until=None)
        ).rowcount
    )


def put_off(c: sa.Connection, *, job: Job, until: datetime, why: str, now: datetime) -> bool:
    """Make a running job of ours pending again, to be taken at ``until`` at the earliest.

    False if it isn't ours any more, or is asked to end.
    """
    return bool(
        c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
            .where(jobs.c.state == _RUNNING, ~jobs.c.cancel_requested)
            .values(
                state=_PENDING,
                owner=None,
                lease_until=None,
                retries=jobs.c.retries + 1,
                not_before=to_micros(until),
                progress=why,
                last_run=to_micros(now),
            )
        ).rowcount
    )


class LostClaim(Exception):
    """A run's job isn't its own any more: another daemon took it back."""


_still_mine = sa.select(jobs.c.id).where(_mine).with_for_update(read=True)


def hold(c: sa.Connection, job: Job) -> None:
    """Make sure, for this transaction, that a running job is ours; else ``LostClaim``."""
    values = {"b_job_id": job.id, "b_owner": job.owner, "b_attempt": job.attempt}
    if c.execute(_still_mine, values).first() is None:
        raise LostClaim


def note_progress(c: sa.Connection, *, job: Job, text: str) -> bool:
    """Show how far a running job is; tells whether its cancellation was asked for meanwhile."""
    row = c.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
        .where(jobs.c.state == _RUNNING)  # nobody waits for this write: the job may have ended before it
        .values(progress=text)
        .returning(jobs.c.cancel_requested)
    ).one_or_none()
    return row is not None and row.cancel_requested


CANCELLED_EARLY = "Cancelled before it started; nothing was changed."
CANCELLED_BETWEEN = "Cancelled before its next attempt; the journal of changes tells what was written before."


def cancel(c: sa.Connection, *, job_id: int, now: datetime) -> State | None:
    """Cancel a job: at once if it waits, by request if it runs. Returns the state it was in."""
    connection_id = c.scalar(sa.select(jobs.c.connection_id).where(jobs.c.id == job_id))
    if connection_id is None:
        return None
    # Locked before its state is read: on PostgreSQL it may be claimed or promoted at this moment.
    _lock(c, connection_id)
    found = sa.select(jobs.c.state, jobs.c.attempt).where(jobs.c.id == job_id)
    row = c.execute(found.with_for_update(key_share=True)).one()
    state = State(row.state)
    if state is State.FINISHED:
        return state
    micros = to_micros(now)
    values: dict[str, Any] = {
        "state": "finished",
        "outcome": Outcome.CANCELLED.value,
        "reason": Reason.CANCELLED.value,
        "result_message": CANCELLED_EARLY if row.attempt == 0 else CANCELLED_BETWEEN,
        "progress": "",
        "finished": micros,
        "last_run": micros,
    }
    if state is State.RUNNING:
        values = {"cancel_requested": True}
    c.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))
    if state is State.PENDING:
        promote(c, connection_id)
    return state


def cancel_requested(c: sa.Connection, job_ids: Sequence[int]) -> set[int]:
    """Which of these running jobs are asked to end."""
    return set(c.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.cancel_requested)))


def renew(c: sa.Connection, *, owner: str, lease: timedelta = LEASE) -> int:
    """Renew the leases of all that ``owner`` runs; how many."""
    return c.execute(
        sa.update(jobs)
        .where(jobs.c.state == _RUNNING, jobs.c.owner == owner)
        .values(lease_until=_DatabaseNow() + lease // _MICROSECOND)
    ).rowcount


GAVE_UP = (
    "The daemon stopped {times} times while this job ran, so it isn't tried again. "
    "See the journal of changes for what it wrote, and run the connection again when the cause is found."
)


def rescue(c: sa.Connection, *, now: datetime, max_attempts: int, expired_only: bool) -> tuple[int, int]:
    """Take back running jobs whose owner is dead; how many go on and how many gave up.

    With ``expired_only`` those whose lease ran out; else all (on SQLite the state lock
    proves that no other process runs any).
    """
    dead = jobs.c.state == _RUNNING
    if expired_only:
        dead = sa.and_(dead, jobs.c.lease_until < _DatabaseNow())
    found = c.execute(sa.select(jobs.c.id, jobs.c.connection_id).where(dead).order_by(jobs.c.connection_id))
    again = gave_up = 0
    for job_id, connection_id in found.all():
        _lock(c, connection_id)
        row = c.execute(
            sa.select(jobs.c.deaths, jobs.c.cancel_requested)
            .where(jobs.c.id == job_id, dead)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None:
            continue  # it ended, or somebody else took it back, before the lock
        goes_on = not row.cancel_requested and row.deaths + 1 < max_attempts
        values = _again(row) if goes_on else _given_up(row, to_micros(now))
        c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id)
            .values(owner=None, lease_until=None, last_run=to_micros(now), **values)
        )
        if goes_on:
            again += 1
        else:
            gave_up += 1
            promote(c, connection_id)
    return again, gave_up


def _again(row: Any) -> dict[str, Any]:
    return {"state": "pending", "deaths": row.deaths + 1}


def _given_up(row: Any, micros: int) -> dict[str, Any]:
    outcome, reason, message = (
        Outcome.FAILED,
        Reason.CRASH,
        GAVE_UP.format(times=row.deaths + 1),
    )
    if row.cancel_requested:
        outcome, reason = Outcome.CANCELLED, Reason.CANCELLED
        message = "Cancelled; the journal of changes tells what was written before."
    return {
        "state": "finished",
        "outcome": outcome.value,
        "reason": reason.value,
        "result_message": message,
        "progress": "",
        "finished": micros,
    }


def forget_attempt(c: sa.Connection, *, job: Job) -> None:
    """Drop what dead attempts of a job planned but never sent, and what they had read."""
    c.execute(
        sa.delete(changes_table).where(changes_table.c.job_id == job.id, changes_table.c.state == "planned")
    )
    c.execute(sa.delete(reads).where(reads.c.job_id == job.id))


def anything_open(c: sa.Connection) -> bool:
    """Whether any job waits or runs."""
    return any(
        c.execute(sa.select(jobs.c.id).where(jobs.c.state == state).limit(1)).first() is not None
        for state in (_RUNNING, _PENDING, _BEHIND)
    )


def anything_to_take(c: sa.Connection, *, frozen: bool) -> bool:
    """Whether any job runs, or will be taken without a person's doing: none is while it is paused."""
    if c.execute(sa.select(jobs.c.id).where(jobs.c.state == _RUNNING).limit(1)).first() is not None:
        return True
    waiting = sa.select(jobs.c.id).join(connections, connections.c.id == jobs.c.connection_id)
    found = c.execute(waiting.where(jobs.c.state == _PENDING, *_admitted).limit(1), {"b_frozen": frozen})
    return found.first() is not None


def open_count(c: sa.Connection) -> dict[State, int]:
    """How many jobs wait and run."""
    rows = c.execute(
        sa.select(jobs.c.state, sa.func.count())
        .where(sa.or_(jobs.c.state == _BEHIND, jobs.c.state == _PENDING, jobs.c.state == _RUNNING))
        .group_by(jobs.c.state)
    )
    found = {State(state): count for state, count in rows}
    return {state: found.get(state, 0) for state in (State.BEHIND, State.PENDING, State.RUNNING)}
