"""Datasync jobs: documents that are connections of the kind datasync."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.model import datasync
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.body import Body, read_body
from runner.server.groupid import documents
from runner.server.groupid.envelope import Deed, dialect, done, listed
from runner.server.groupid.filters import Asked
from runner.server.replies import Invalid, conflict, forbidden, not_found, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.params import sealed
from runner.server.sdelements.shapes import instant
from runner.server.services import Services, services_of
from runner.server.unit import in_thread, reading, systems_of, writing
from runner.store import changes, job_collections, listing, queue
from runner.store import connections as store
from runner.store.accounts import Scope
from runner.store.connections import Entry, Wanted
from runner.store.listing import JobView
from runner.store.pages import Cut

_ALL = 100_000  # jobs that one answer has at the most
_MANY = 200  # runs, and jobs taken out at once


def find(c: sa.Connection, job_id: int) -> Entry:
    """The job's connection; ``Refused`` if there is none."""
    entry = find_or_none(c, job_id)
    if entry is None:
        raise not_found()
    return entry


def find_or_none(c: sa.Connection, job_id: int) -> Entry | None:
    """The job's connection, if there is one."""
    entry = store.get(c, job_id)
    return entry if entry is not None and entry.connection.kind is Kind.DATASYNC else None


def may_edit(caller: Caller) -> None:
    """Refuse whoever may not change datasync jobs."""
    if not caller.edits(Kind.DATASYNC):
        raise forbidden()


def may_see(caller: Caller) -> None:
    """Refuse whoever may not see documents."""
    if not caller.sees(Kind.DATASYNC):
        raise forbidden()


# --- documents -------------------------------------------------------------------------------


@dialect(Deed.CREATE)
async def create_job(request: Request) -> Response:
    """Make a job of a document."""
    services, systems, body = services_of(request), dict(await systems_of(request)), await read_body(request)
    await reading(request, lambda _c, caller: may_edit(caller))
    document = body.object()
    columns, params = documents.columns(document), documents.prepared(document, {}, services.vault)
    system = systems.get(documents.DATASYNC)
    await in_thread(lambda: services.engine.validate(documents.DATASYNC, params))

    def create(c: sa.Connection, caller: Caller) -> int:
        may_edit(caller)
        return store.create(
            c,
            kind=Kind.DATASYNC,
            system=documents.DATASYNC,
            command=documents.DATASYNC if system is None else system.command,
            project_id=None,
            params=sealed(params, system=system, vault=services.vault),
            now=services.clock(),
            **columns,
        )

    return done(Deed.CREATE, await writing(request, create))


@dialect(Deed.OTHER)
async def update_job(request: Request) -> Response:
    """Replace a job's document; ``SET`` where a password stood leaves it as it is."""
    services, systems, body = services_of(request), await systems_of(request), await read_body(request)
    job_id = request.path_params["job_id"]

    def look(c: sa.Connection, caller: Caller) -> Entry:
        may_edit(caller)
        return find(c, job_id)

    entry = await reading(request, look)
    document = body.object()
    columns = documents.columns(document)
    params = documents.prepared(document, entry.connection.params, services.vault)
    await in_thread(lambda: services.engine.validate(documents.DATASYNC, params))
    columns["params"] = sealed(params, system=systems.get(documents.DATASYNC), vault=services.vault)

    def change(c: sa.Connection, caller: Caller) -> None:
        if look(c, caller).updated != entry.updated:
            raise conflict("Somebody else changed this job at the same moment; look at it again.")
        store.update(c, job_id, columns, now=services.clock())

    await writing(request, change)
    return done(Deed.OTHER, job_id)


@dialect(Deed.OTHER)
async def show_details(request: Request) -> Response:
    """Tell a job's document as it came, with what is known of its runs."""

    def work(c: sa.Connection, caller: Caller) -> dict[str, Any]:
        may_see(caller)
        return shown(c, find(c, request.path_params["job_id"]))

    return listed(await reading(request, work))


def shown(c: sa.Connection, entry: Entry) -> dict[str, Any]:
    """A job's document as it came, with what is known of its runs."""
    return {"isTemplate": False, **documents.shown(entry.connection.params, _info(c, entry))}


def _info(c: sa.Connection, entry: Entry) -> dict[str, Any]:
    """What the server itself says of a job."""
    runs = _runs(c, entry.connection.id, limit=1)
    wanted = listing.Wanted(kinds=(Kind.DATASYNC,), connection_id=entry.connection.id)
    last = runs[0] if runs else None
    outcome = "None" if last is None or last.outcome is None else last.outcome.capitalize()
    return {
        "jobId": entry.connection.id,
        "jobGuid": None,
        "name": entry.connection.alias,
        "lastRun": None if last is None else _when(last.finished or last.started),
        "lastOutCome": outcome,
        "lastOutComeDisplayText": None if last is None else last.result_message,
        "nextRun": None if entry.next_run is None else instant(entry.next_run),
        "timesRun": listing.count(c, wanted),
        "created": _when(entry.created),
        "modified": _when(entry.updated),
        "collectionId": None,
        "isEnable": entry.connection.enabled,
    }


def _when(micros: int | None) -> str | None:
    return shapes.micros(micros)


@dialect(Deed.OTHER)
async def list_jobs(request: Request) -> Response:
    """Tell the jobs that fit the filter in the body, a page of them."""
    body = await read_body(request)

    def work(c: sa.Connection, caller: Caller) -> tuple[list[dict[str, Any]], int]:
        may_see(caller)
        asked = Asked.read(body.object())
        infos = [{**_given(entry), **_info(c, entry)} for entry in _alone(c)]
        found = asked.chosen(infos)
        return asked.page(found), len(found)

    data, count = await reading(request, work)
    return listed(data, count)


def _alone(c: sa.Connection) -> list[Entry]:
    """The jobs that aren't a collection's."""
    inside = job_collections.members(c)
    found = store.page(c, Wanted(kinds=(Kind.DATASYNC,)), Cut(limit=_ALL))
    return [entry for entry in found if entry.connection.id not in inside]


def _given(entry: Entry) -> dict[str, Any]:
    info = entry.connection.params.get("jobInfo")
    return dict(info) if isinstance(info, dict) else {}


@dialect(Deed.OTHER)
async def list_names(request: Request) -> Response:
    """Tell the jobs' names, as a bare list."""

    def work(c: sa.Connection, caller: Caller) -> list[dict[str, str]]:
        may_see(caller)
        return [{"name": entry.connection.alias, "type": "1"} for entry in _alone(c)]

    return reply(await reading(request, work))


@dialect(Deed.DELETE)
async def delete_jobs(request: Request) -> Response:
    """Take jobs out of use; their history stays."""
    services = services_of(request)

    def delete(c: sa.Connection, caller: Caller) -> None:
        may_edit(caller)
        wanted, inside = named(request, most=_MANY), job_collections.members(c)
        for job_id in wanted:
            if job_id in inside:
                raise conflict(f"Job {job_id} is one of collection {inside[job_id]}; take it out there.")
        there = [find(c, job_id).connection.id for job_id in wanted]
        take_out(c, there, "One of the jobs is running; cancel it first.", services)

    await writing(request, delete)
    return done(Deed.DELETE)


def take_out(c: sa.Connection, job_ids: Sequence[int], runs: str, services: Services) -> None:
    """Take jobs out of use; refused with the sentence ``runs``, before anything is written, if one runs."""
    waiting = {job_id: store.open_jobs(c, job_id) for job_id in job_ids}
    if any("running" in found.values() for found in waiting.values()):
        raise conflict(runs)
    now = services.clock()
    for job_id, found in waiting.items():
        for run in sorted(found, reverse=True):
            queue.cancel(c, job_id=run, now=now)
        store.delete(c, job_id, now=now)


def named(request: Request, *, most: int) -> list[int]:
    """The ids that ``?jobids=1&jobids=2`` names."""
    given = request.query_params.getlist("jobids")
    if not given or len(given) > most or not all(text.isdecimal() and len(text) < 19 for text in given):  # noqa: PLR2004 - digits of the largest id
        raise Invalid({"jobids": ["Name them: ?jobids=1&jobids=2."]})
    return sorted({int(text) for text in given})


# --- runs --------------------------------------------------------------------------------------


@dialect(Deed.OTHER)
async def run_job(request: Request) -> Response:
    """Queue a run, or with ``preview`` a plan that nothing is written of; ``data`` is the run's id."""
    services, body = services_of(request), await read_body(request)
    preview = wants_preview(body)

    def work(c: sa.Connection, caller: Caller) -> int:
        entry = find(c, request.path_params["job_id"])
        if not entry.connection.enabled:
            raise Invalid({"isEnable": [f"{entry.connection.alias} may not run: its isEnable is false."]})
        run, _ = queue.enqueue(
            c,
            connection_id=entry.connection.id,
            kind=Kind.DATASYNC,
            now=services.clock(),
            preview=preview,
            user_id=caller.user_id,
            triggered_by_id=caller.user_id,
        )
        return run

    run = await writing(request, work, Scope.RUN)
    services.engine.wake()
    return done(Deed.OTHER, run)


def wants_preview(body: Body) -> bool:
    """Whether a body asks for a plan only."""
    preview = body.object().get("preview", False)
    if not isinstance(preview, bool):
        raise Invalid({"preview": ["Must be a valid boolean."]})
    return preview


def _runs(c: sa.Connection, job_id: int, *, limit: int, previews: bool = False) -> list[JobView]:
    wanted = listing.Wanted(kinds=(Kind.DATASYNC,), connection_id=job_id, previews=previews)
    return listing.page(c, wanted, Cut(limit=limit))


@dialect(Deed.OTHER)
async def list_runs(request: Request) -> Response:
    """Tell a job's last runs and previews, the newest first."""

    def work(c: sa.Connection, caller: Caller) -> list[dict[str, Any]]:
        may_see(caller)
        entry = find(c, request.path_params["job_id"])
        return [told_run(view) for view in _runs(c, entry.connection.id, limit=_MANY, previews=True)]

    return listed(await reading(request, work))


def told_run(view: JobView) -> dict[str, Any]:
    """One run of a job."""
    return {
        "runId": view.id,
        "state": view.state,
        "outCome": "None" if view.outcome is None else view.outcome.capitalize(),
        "message": view.result_message,
        "preview": view.preview,
        "automatic": view.automatic,
        "created": _when(view.created),
        "started": _when(view.started),
        "finished": _when(view.finished),
    }


@dialect(Deed.OTHER)
async def show_log(request: Request) -> Response:
    """Tell what a run did, or would do: its message and each change with its outcome."""

    def work(c: sa.Connection, caller: Caller) -> dict[str, Any]:
        may_see(caller)
        entry = find(c, request.path_params["job_id"])
        view = listing.one(c, request.path_params["run_id"])
        if view is None or view.connection_id != entry.connection.id:
            raise not_found()
        found = changes.journal(c, view.id, after=0, limit=_ALL)
        return {
            **told_run(view),
            "changes": [
                {
                    "sequence": change.sequence,
                    "action": change.op.value,
                    "objectType": change.kind,
                    "name": change.subject,
                    "key": change.key,
                    "before": change.before,
                    "after": change.after,
                    "state": change.state.value,
                    "message": change.error or change.why,
                }
                for change in found
            ],
        }

    return listed(await reading(request, work))


@dialect(Deed.OTHER)
async def ignore_scripts(request: Request) -> Response:
    """Accept, as an administrator, that this very code of a job is ignored."""
    services = services_of(request)

    def work(c: sa.Connection, caller: Caller) -> int:
        entry = find(c, request.path_params["job_id"])
        params = entry.connection.params
        digest = datasync.digest(params)
        if not digest:
            raise conflict("The job holds no code that could be ignored.")
        now: datetime = services.clock()
        accepted = {"digest": digest, "by": caller.email, "at": instant(now)}
        changed = {"params": {**params, datasync.IGNORED: accepted}}
        store.update(c, entry.connection.id, changed, now=now)
        return entry.connection.id

    return done(Deed.OTHER, await writing(request, work, Scope.ADMIN), "The job's code will be ignored.")
