"""What can be done to a job besides: see its changes, cancel it, run it again."""

from typing import NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.model.changes import StoredChange
from runner.model.jobs import Kind, State
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query
from runner.server.replies import Invalid, conflict, forbidden, not_found, reply
from runner.server.sdelements import jobs, shapes
from runner.server.sdelements.shapes import JobStyle
from runner.server.services import services_of
from runner.server.unit import reading, systems_of, writing
from runner.store import approvals, changes, connections, queue
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.listing import JobView

CHANGES = 500
"""Changes told at once, if nothing else is asked for."""

_MORE = frozenset({"state", "outcome", "preview", "retry_of", "only"})
"""What answers of this module tell of a job besides the usual."""


async def list_changes(request: Request) -> Response:
    """Tell a job's changes from a sequence number on: its plan, progress and journal."""
    query = Query(request)
    after = query.integer("after") or 0
    size = query.integer("page_size", least=1, most=10 * CHANGES) or CHANGES
    query.done()

    def work(c: sa.Connection, caller: Caller) -> list[StoredChange]:
        view = jobs.find(c, request)
        if not caller.sees(Kind(view.kind)):
            raise forbidden()
        return changes.journal(c, view.id, after=after, limit=size + 1)

    found = await reading(request, work, Scope.READ)
    more = len(found) > size
    link = request.url.include_query_params(after=found[size - 1].sequence) if more else None
    return reply(
        {"next": None if link is None else str(link), "results": [_change(row) for row in found[:size]]}
    )


def _change(row: StoredChange) -> shapes.Shown:
    return {
        "sequence": row.sequence,
        "target": row.target.value,
        "op": row.op.value,
        "kind": row.kind,
        "key": row.key,
        "subject": row.subject,
        "before": row.before,
        "after": row.after,
        "state": row.state.value,
        "error": row.error,
        "why": row.why,
        "assigned": row.assigned,
    }


class _Done(NamedTuple):
    """A job after something was done to it."""

    id: int
    shown: shapes.Shown
    was: State


async def cancel_job(request: Request) -> Response:
    """Cancel a job: at once while it waits, by request while it runs."""
    services, systems = services_of(request), await systems_of(request)
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> _Done:
        view = jobs.find(c, request)
        if view.state == State.FINISHED:
            raise conflict("The job is finished.")
        was = queue.cancel(c, job_id=view.id, now=now)
        if was is None:
            raise not_found()
        view = _again(c, view)
        return _Done(view.id, shapes.job(view, JobStyle(systems, caller, _MORE)), was)

    done = await writing(request, work, Scope.RUN)
    if done.was is State.RUNNING:
        services.engine.cancel(done.id)
        return reply(done.shown, 202)
    services.engine.wake()
    return reply(done.shown)


def _again(c: sa.Connection, view: JobView) -> JobView:
    found = store.one(c, view.id)
    assert found is not None  # it was read in this transaction
    return found


async def retry_job(request: Request) -> Response:
    """Run a finished job again as a new one, perhaps with more destruction allowed."""
    services, systems, body = services_of(request), await systems_of(request), await read_body(request)
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        fields = Fields(body.object())
        allowed = fields.integer("allow_destructive", null=True, most=2**31 - 1)
        fields.done()
        if allowed is not None:
            caller.need(Scope.ADMIN)
        view = jobs.find(c, request)
        _check_retry(c, view)
        if allowed is not None:
            approvals.grant(
                c, connection_id=view.connection_id, allowed=allowed, user_id=caller.user_id, now=now
            )
        job_id, _ = queue.enqueue(
            c,
            connection_id=view.connection_id,
            kind=Kind(view.kind),
            now=now,
            automatic=view.automatic,
            preview=view.preview,
            only=view.only,
            user_id=caller.user_id,
            triggered_by_id=caller.user_id,
            upload_id=view.upload_id,
            retry_of=view.id,
        )
        fresh = store.one(c, job_id)
        assert fresh is not None  # it was written in this transaction
        return shapes.job(fresh, JobStyle(systems, caller, _MORE))

    shown = await writing(request, work, Scope.RUN)
    services.engine.wake()
    return reply(shown, 201)


def _check_retry(c: sa.Connection, view: JobView) -> None:
    if view.state != State.FINISHED:
        raise conflict("The job isn't finished yet.")
    if view.revert_of is not None:
        raise conflict("A revert can't be run again; revert the job it was for.")
    if view.is_file_upload and (view.upload_id is None or view.upload_removed is not None):
        raise conflict("Its file isn't kept any more; send it again.")
    entry = connections.get(c, view.connection_id)
    if entry is None or not entry.connection.enabled:
        raise Invalid({"connection": [f"{view.alias} is disabled or deleted."]})
