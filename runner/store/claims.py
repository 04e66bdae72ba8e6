"""Claims: who takes a job holds it, by owner and attempt, until it ends or is given back."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from runner.errors import Reason
from runner.model.jobs import Claim, Connection, Frequency, Job, Outcome, State
from runner.store import queue
from runner.store.prepared import Prepared
from runner.store.schema import applications, business_units, connections, connectors, jobs, projects, uploads
from runner.store.values import from_json, to_json, to_micros

LEASE = timedelta(seconds=30)
"""How long a daemon on PostgreSQL, or an agent, may be silent before its jobs are taken back."""

_MICROSECOND = timedelta(microseconds=1)


class DatabaseNow(FunctionElement[int]):
    """Microseconds since 1970 by the database's clock: leases of all daemons go by the same one."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _now_on_postgresql(_element: DatabaseNow, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(DatabaseNow, "sqlite")
def _now_on_sqlite(_element: DatabaseNow, _compiler: Any, **_options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"


_whole = (
    sa.select(
        jobs,
        connections.c.system.label("c_system"),
        connections.c.alias.label("c_alias"),
        connections.c.command.label("c_command"),
        connections.c.frequency.label("c_frequency"),
        connections.c.project_id.label("c_project_id"),
        connections.c.params.label("c_params"),
        connectors.c.params.label("c_inherited"),
        connections.c.safety.label("c_safety"),
        connections.c.enabled.label("c_enabled"),
        connections.c.is_file_upload.label("c_is_file_upload"),
        connections.c.debug_mode.label("c_debug_mode"),
        connections.c.inaccessible.label("c_inaccessible"),
        connections.c.memory.label("c_memory"),
        connections.c.remote.label("c_remote"),
        connections.c.remote_id.label("c_remote_id"),
        connections.c.remote_project.label("c_remote_project"),
        connections.c.declared.label("c_declared"),
        projects.c.name.label("p_name"),
        applications.c.name.label("a_name"),
        business_units.c.name.label("b_name"),
        uploads.c.file.label("u_file"),
        uploads.c.name.label("u_name"),
        uploads.c.size.label("u_size"),
    )
    .join(connections, connections.c.id == jobs.c.connection_id)
    .outerjoin(connectors, connectors.c.id == connections.c.connector_id)
    .outerjoin(projects, projects.c.id == connections.c.project_id)
    .outerjoin(applications, applications.c.id == projects.c.application_id)
    .outerjoin(business_units, business_units.c.id == applications.c.business_unit_id)
    .outerjoin(uploads, uploads.c.id == jobs.c.upload_id)
)
_waiting = (
    _whole.where(jobs.c.state == queue.PENDING, jobs.c.not_before <= sa.bindparam("b_now"), *queue.ADMITTED)
    .order_by(jobs.c.not_before, jobs.c.id)
    .limit(sa.bindparam("b_limit"))
    .with_for_update(skip_locked=True, of=jobs)
)
_claimable = Prepared(_waiting.where(queue.HERE))
_take = Prepared(
    sa.update(jobs)
    .where(jobs.c.id == sa.bindparam("b_job_id"))
    .values(
        state=queue.RUNNING,
        owner=sa.bindparam("b_owner"),
        attempt=jobs.c.attempt + 1,
        started=sa.bindparam("b_now"),
        last_run=sa.bindparam("b_now"),
        lease_until=DatabaseNow() + sa.bindparam("b_lease", type_=sa.BigInteger),
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
    rows = _claimable.rows(c, {"b_now": to_micros(now), "b_limit": limit, "b_frozen": frozen})
    return _taken(c, rows, owner=owner, now=now, lease=lease)


def claim_for_agent(
    c: sa.Connection,
    *,
    owner: str,
    kinds: Sequence[str],
    systems: Sequence[str],
    skip: Sequence[int] = (),
    now: datetime,
    limit: int,
    lease: timedelta,
    frozen: bool,
) -> list[Claim]:
    """Take pending jobs of connections that only agents reach; no ``systems`` = of any.

    ``skip`` names connections that the agent leaves to others.
    Previews and reverts are none of an agent's: both are made from the journal here.
    """
    query = _waiting.where(
        ~queue.HERE, ~jobs.c.preview, jobs.c.revert_of.is_(None), jobs.c.kind.in_(sorted(kinds))
    )
    if systems:
        query = query.where(connections.c.system.in_(sorted(systems)))
    if skip:
        query = query.where(connections.c.id.not_in(sorted(skip)))
    rows = c.execute(query, {"b_now": to_micros(now), "b_limit": limit, "b_frozen": frozen}).all()
    return _taken(c, rows, owner=owner, now=now, lease=lease)


def _taken(
    c: sa.Connection, rows: Sequence[Any], *, owner: str, now: datetime, lease: timedelta
) -> list[Claim]:
    micros, length = to_micros(now), lease // _MICROSECOND
    for row in rows:
        _take.count(c, {"b_job_id": row.id, "b_owner": owner, "b_now": micros, "b_lease": length})
    return [_claim(row, owner, now) for row in rows]


def claimed_before(
    c: sa.Connection, *, owner: str, known: Sequence[int], now: datetime, limit: int, lease: timedelta
) -> list[Claim]:
    """What ``owner`` holds and doesn't know of, held from now on for as long as ``lease``."""
    query = _whole.where(
        jobs.c.state == queue.RUNNING, jobs.c.owner == owner, jobs.c.id.not_in(sorted(known))
    )
    rows = c.execute(query.order_by(jobs.c.id).limit(limit).with_for_update(of=jobs)).all()
    found = [_claim(row, owner, now, again=True) for row in rows]
    for one in found:
        extend(c, job=one.job, lease=lease, text=None)
    return found


def held(c: sa.Connection, *, job_id: int, owner: str, attempt: int) -> Job | None:
    """The running job that ``owner`` holds since this attempt; None if it isn't theirs any more."""
    row = c.execute(
        sa.select(jobs).where(_mine).with_for_update(),
        {"b_job_id": job_id, "b_owner": owner, "b_attempt": attempt},
    ).one_or_none()
    return None if row is None else queue.job_from_row(row)


def ended_by(c: sa.Connection, *, job_id: int, owner: str, attempt: int) -> bool:
    """Whether ``owner`` ended the job in this attempt."""
    last = sa.select(jobs.c.id).where(
        jobs.c.id == job_id, jobs.c.owner == owner, jobs.c.attempt == attempt, jobs.c.state == "finished"
    )
    return c.execute(last).first() is not None


def extend(c: sa.Connection, *, job: Job, lease: timedelta, text: str | None) -> None:
    """Hold a running job for longer, and say how far it is."""
    values: dict[str, Any] = {"lease_until": DatabaseNow() + lease // _MICROSECOND}
    if text is not None:
        values["progress"] = text
    c.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**values))


def lease_until(c: sa.Connection, job_ids: Sequence[int]) -> dict[int, int]:
    """When leases run out, in microseconds since 1970 by the database's clock."""
    rows = c.execute(sa.select(jobs.c.id, jobs.c.lease_until).where(jobs.c.id.in_(job_ids)))
    return {row.id: row.lease_until for row in rows}


def _claim(row: Any, owner: str, now: datetime, *, again: bool = False) -> Claim:
    job = (
        queue.job_from_row(row)
        if again
        else queue.job_from_row(row, state=State.RUNNING, owner=owner, attempt=row.attempt + 1, started=now)
    )
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
            params={**(from_json(row.c_inherited) or {}), **from_json(row.c_params)},
            enabled=bool(row.c_enabled),
            is_file_upload=bool(row.c_is_file_upload),
            debug_mode=bool(row.c_debug_mode),
            inaccessible=bool(row.c_inaccessible),
            safety=from_json(row.c_safety),
            remote=row.c_remote,
            remote_id=row.c_remote_id,
            remote_project=row.c_remote_project,
            declared=row.c_declared,
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


_mine = sa.and_(
    jobs.c.id == sa.bindparam("b_job_id"),
    jobs.c.owner == sa.bindparam("b_owner"),
    jobs.c.attempt == sa.bindparam("b_attempt"),
    jobs.c.state == queue.RUNNING,
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
    queue.lock(c, job.connection_id)
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
    queue.promote(c, job.connection_id)
    return True


def hand_back(c: sa.Connection, *, job: Job, now: datetime) -> State | None:
    """Make a running job of ours pending again; or end it, if it was asked to end.

    The state it has now; None if it isn't ours any more.
    """
    hit = c.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
        .where(jobs.c.state == queue.RUNNING, ~jobs.c.cancel_requested)
        .values(state=queue.PENDING, owner=None, lease_until=None)
    ).rowcount
    if hit:
        return State.PENDING
    cancelled = finish(
        c,
        job=job,
        outcome=Outcome.CANCELLED,
        reason=Reason.CANCELLED,
        message=queue.CANCELLED_BETWEEN,
        totals={},
        now=now,
    )
    return State.FINISHED if cancelled else None


def put_off(
    c: sa.Connection, *, job: Job, until: datetime, why: str, now: datetime, counted: bool = True
) -> bool:
    """Make a running job of ours pending again, to be taken at ``until`` at the earliest.

    Not ``counted``: it wasn't even begun.

    False if it isn't ours any more, or is asked to end.
    """
    return bool(
        c.execute(
            sa.update(jobs)
            .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
            .where(jobs.c.state == queue.RUNNING, ~jobs.c.cancel_requested)
            .values(
                state=queue.PENDING,
                owner=None,
                lease_until=None,
                retries=jobs.c.retries + (1 if counted else 0),
                not_before=to_micros(until),
                progress=why,
                last_run=to_micros(now),
            )
        ).rowcount
    )


class LostClaim(Exception):
    """A run's job isn't its own any more: another daemon took it back."""


_still_mine = Prepared(sa.select(jobs.c.id).where(_mine).with_for_update(read=True))


def hold(c: sa.Connection, job: Job) -> None:
    """Make sure, for this transaction, that a running job is ours; else ``LostClaim``."""
    values = {"b_job_id": job.id, "b_owner": job.owner, "b_attempt": job.attempt}
    if not _still_mine.rows(c, values):
        raise LostClaim


def note_progress(c: sa.Connection, *, job: Job, text: str) -> bool:
    """Show how far a running job is; tells whether its cancellation was asked for meanwhile."""
    row = c.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempt == job.attempt)
        .where(jobs.c.state == queue.RUNNING)  # nobody waits for this write: the job may have ended before it
        .values(progress=text)
        .returning(jobs.c.cancel_requested)
    ).one_or_none()
    return row is not None and row.cancel_requested


def cancel_requested(c: sa.Connection, job_ids: Sequence[int]) -> set[int]:
    """Which of these running jobs are asked to end."""
    return set(c.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.cancel_requested)))


def renew(c: sa.Connection, *, owner: str, lease: timedelta = LEASE) -> int:
    """Renew the leases of all that ``owner`` runs; how many."""
    return c.execute(
        sa.update(jobs)
        .where(jobs.c.state == queue.RUNNING, jobs.c.owner == owner)
        .values(lease_until=DatabaseNow() + lease // _MICROSECOND)
    ).rowcount
