"""Starting jobs and recording results: ``POST /jobs/{kind}/``.

One address does both: ``ready: false`` asks for a run, ``ready: true`` (or none) with
``succeeded`` tells how a run elsewhere ended.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.log import redactor
from runner.model.jobs import Kind, State
from runner.server.auth import Caller
from runner.server.body import Body, read_body
from runner.server.fields import REQUIRED, Fields, no_such
from runner.server.once import once
from runner.server.replies import Invalid, conflict, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.jobs import check_project
from runner.server.sdelements.shapes import JobStyle
from runner.server.services import services_of
from runner.server.unit import systems_of, writing
from runner.store import accounts, connections, queue, results
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.connections import Entry
from runner.store.listing import JobView


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a POST says, read strictly."""

    connection_id: int
    automatic: bool
    job_id: int | None
    apart: bool  # a result of none of the jobs that wait: it says "id": null
    run: bool  # asks for a run; else it tells a result
    succeeded: bool
    message: str
    preview: bool
    only: str | None


def read(body: Body) -> Asked:
    """Read the fields of a POST; ``Invalid`` names all that are wrong."""
    values = body.object()
    fields = Fields(values)
    connection_id = fields.integer("connection", required=True)
    automatic = fields.boolean("automatic", required=True)
    ready = fields.boolean("ready")
    succeeded = fields.boolean("succeeded", null=True)
    message = fields.text("result_message", null=True)
    preview = fields.boolean("preview") or False
    only = fields.text("only", blank=False, null=True, longest=500)
    job_id = fields.integer("id", null=True)
    run = ready is False
    if run and (succeeded or message):
        fields.wrong("ready", "It says that there is no result yet, and yet one is given.")
    if not run:
        _check_result(fields, values, ready=ready, extensions={"preview": preview, "only": only})
    fields.done()
    return Asked(
        connection_id=connection_id or 0,
        automatic=bool(automatic),
        job_id=job_id,
        apart="id" in values and job_id is None,
        run=run,
        succeeded=bool(succeeded),
        message=redactor.clean(message or ""),
        preview=preview,
        only=only,
    )


def _check_result(
    fields: Fields, values: dict[str, object], *, ready: bool | None, extensions: dict[str, object]
) -> None:
    if values.get("succeeded") is None:
        fields.wrong("succeeded", REQUIRED)
    if values.get("result_message") is None and ready is not True:
        fields.wrong("result_message", REQUIRED)
    for name, value in extensions.items():
        if value:
            fields.wrong(name, "It asks for a run, which wants ready: false.")


async def post_job(request: Request) -> Response:
    """Queue a run, or record a result."""
    body, systems = await read_body(request), await systems_of(request)
    services = services_of(request)
    kind, now = Kind(request.path_params["kind"]), services.clock()

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        asked = read(body)
        caller.need(*((Scope.RUN,) if asked.run else (Scope.RUN, Scope.AGENT)))
        check_project(c, request)
        entry = _connection(c, request, kind, asked.connection_id)
        job_id = (_run if asked.run else _record)(c, caller, entry, asked, now)
        return shapes.job(_view(c, job_id), JobStyle(systems, masking(caller), _include(asked)))

    done = await writing(request, once(request, body.raw, work))
    services.engine.wake()
    return reply(done.shown, 201)


def masking(caller: Caller) -> Caller:
    """The caller as one who is shown no secret: answers to what is sent are kept."""
    return replace(caller, clear=None)


def _include(asked: Asked) -> frozenset[str]:
    return frozenset({"preview", "only"}) if asked.preview or asked.only else frozenset()


def _connection(c: sa.Connection, request: Request, kind: Kind, connection_id: int) -> Entry:
    """The connection a POST is for: of the path's kind, and project if the path names one."""
    entry = connections.get(c, connection_id)
    project_id = request.path_params.get("project_id")
    if (
        entry is None
        or entry.connection.kind is not kind
        or (project_id is not None and entry.connection.project_id != project_id)
    ):
        raise Invalid({"connection": [no_such(connection_id)]})
    return entry


def _view(c: sa.Connection, job_id: int) -> JobView:
    view = store.one(c, job_id)
    assert view is not None  # it was written in this transaction
    return view


def _run(c: sa.Connection, caller: Caller, entry: Entry, asked: Asked, now: datetime) -> int:
    connection = entry.connection
    if not connection.enabled:
        raise Invalid({"connection": [f"{connection.alias} is disabled; enable it first."]})
    if connection.inaccessible and connection.remote is None and asked.preview:
        raise Invalid({"preview": [f"{connection.alias} is run by agents; previews are made here only."]})
    if connection.is_file_upload:
        raise Invalid({"connection": ["It runs when a file is sent to /api/v2/jobs/analysis-file/."]})
    job_id, _ = queue.enqueue(
        c,
        connection_id=connection.id,
        kind=connection.kind,
        now=now,
        automatic=asked.automatic,
        preview=asked.preview,
        only=asked.only,
        user_id=caller.user_id,
        triggered_by_id=caller.user_id,
    )
    return job_id


def _record(c: sa.Connection, caller: Caller, entry: Entry, asked: Asked, now: datetime) -> int:
    results.lock_connection(c, entry.connection.id)
    end = partial(results.end_waiting, c, succeeded=asked.succeeded, message=asked.message, now=now)
    if asked.job_id is not None:
        _check_named(c, entry, asked.job_id)
        if end(job_id=asked.job_id) is None:
            raise conflict("The job was taken to be run a moment ago.")
        return asked.job_id
    while not asked.apart:
        waiting = results.oldest_waiting(c, connection_id=entry.connection.id, automatic=asked.automatic)
        if waiting is None:
            break
        if end(job_id=waiting) is not None:
            return waiting
    return results.add_finished(
        c,
        connection_id=entry.connection.id,
        kind=entry.connection.kind,
        automatic=asked.automatic,
        succeeded=asked.succeeded,
        message=asked.message,
        user_id=accounts.service_account(c, now=now) if caller.reports else caller.user_id,
        now=now,
    )


def _check_named(c: sa.Connection, entry: Entry, job_id: int) -> None:
    view = store.one(c, job_id)
    if view is None or view.connection_id != entry.connection.id or view.preview:
        raise Invalid({"id": [no_such(job_id)]})
    if view.state == State.RUNNING:
        raise conflict("The job is being run; its result can't be given from outside.")
    if view.state == State.FINISHED:
        raise conflict("The job has its result already.")
