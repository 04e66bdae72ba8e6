"""What can be done to a job besides: cancel it, run it again, take it back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.model.jobs import Kind, State
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.once import once
from runner.server.replies import Invalid, conflict, not_found, reply
from runner.server.sdelements import jobs, shapes
from runner.server.sdelements.initiate import masking
from runner.server.sdelements.shapes import JobStyle
from runner.server.services import services_of
from runner.server.unit import systems_of, writing
from runner.store import approvals, changes, connections, queue
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.listing import JobView

_MORE = frozenset({"state", "outcome", "preview", "retry_of", "revert_of", "only"})
"""What answers of this module tell of a job besides the usual."""


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
        allowed = _allowed(fields, caller)
        fields.done()
        view = jobs.find(c, request)
        _check_retry(c, view)
        again = {
            "automatic": view.automatic,
            "preview": view.preview,
            "only": view.only,
            "upload_id": view.upload_id,
            "retry_of": view.id,
        }
        queued = _queue(c, view, caller, fields=again, allowed=allowed, now=now)
        return shapes.job(queued, JobStyle(systems, masking(caller), _MORE))

    done = await writing(request, once(request, body.raw, work), Scope.RUN)
    services.engine.wake()
    return reply(done.shown, 201)


async def revert_job(request: Request) -> Response:
    """Take back what a finished job changed, as a new job: planned, judged and journaled like any."""
    services, systems, body = services_of(request), await systems_of(request), await read_body(request)
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        fields = Fields(body.object())
        allowed = _allowed(fields, caller)
        preview = fields.boolean("preview") or False
        fields.done()
        view = jobs.find(c, request)
        _check_revert(c, view)
        back = {"preview": preview, "revert_of": view.id}
        queued = _queue(c, view, caller, fields=back, allowed=allowed, now=now)
        return shapes.job(queued, JobStyle(systems, masking(caller), _MORE))

    done = await writing(request, once(request, body.raw, work), Scope.RUN)
    services.engine.wake()
    return reply(done.shown, 201)


def _allowed(fields: Fields, caller: Caller) -> int | None:
    """How many destructive changes a body allows; that is an administrator's to say."""
    allowed = fields.integer("allow_destructive", null=True, most=2**31 - 1)
    if allowed is not None:
        caller.need(Scope.ADMIN)
    return allowed


def _queue(
    c: sa.Connection,
    view: JobView,
    caller: Caller,
    *,
    fields: Mapping[str, Any],
    allowed: int | None,
    now: datetime,
) -> JobView:
    """Queue another job of a job's connection, with what may be destroyed by it alone."""
    job_id, _ = queue.enqueue(
        c,
        connection_id=view.connection_id,
        kind=Kind(view.kind),
        now=now,
        user_id=caller.user_id,
        triggered_by_id=caller.user_id,
        **fields,
    )
    if allowed is not None:
        approvals.grant(
            c,
            connection_id=view.connection_id,
            job_id=job_id,
            allowed=allowed,
            user_id=caller.user_id,
            now=now,
        )
    queued = store.one(c, job_id)
    assert queued is not None  # it was written in this transaction
    return queued


def _check_revert(c: sa.Connection, view: JobView) -> None:
    if view.state != State.FINISHED:
        raise conflict("The job isn't finished yet.")
    if view.preview:
        raise conflict("The job was a preview; it changed nothing.")
    if not changes.done_backwards(c, view.id, before=None, limit=1):
        raise conflict("The journal has no change that the job made; there is nothing to take back.")
    # A disabled connection may be reverted: who stops it after an accident wants just that.
    if connections.get(c, view.connection_id) is None:
        raise Invalid({"connection": [f"{view.alias} is deleted."]})


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
