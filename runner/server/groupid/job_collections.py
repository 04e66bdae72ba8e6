"""Collections: datasync jobs that run one after the other.

A collection has jobs of its own. One that is put in by the id of an existing job is a copy of it, so
that neither changes with the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.engine.catalogue import System
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import integer
from runner.server.groupid import documents, jobs
from runner.server.groupid.collection_body import INFO, Member, info_of, members_of, rest_of
from runner.server.groupid.documents import DATASYNC
from runner.server.groupid.envelope import Deed, dialect, done, listed
from runner.server.groupid.filters import Asked
from runner.server.replies import Invalid, conflict, not_found
from runner.server.sdelements import shapes
from runner.server.sdelements.params import sealed
from runner.server.sdelements.shapes import instant
from runner.server.services import Services, services_of
from runner.server.unit import in_thread, reading, systems_of, writing
from runner.store import connections, listing
from runner.store import job_collections as store
from runner.store.accounts import Scope
from runner.store.connections import Entry
from runner.store.job_collections import Held, Run, Step

_MANY = 200  # runs, and collections taken out at once
_MEMBER = 2  # the type of a collection's job
_RUNS = "One of the collection's jobs is running; cancel it first."


def find(c: sa.Connection, collection_id: int) -> Held:
    """The collection; ``Refused`` if there is none."""
    held = store.get(c, collection_id)
    if held is None:
        raise not_found()
    return held


# --- documents -----------------------------------------------------------------------------------


@dialect(Deed.CREATE)
async def create_collection(request: Request) -> Response:
    """Make a collection with its jobs."""
    services, systems, body = services_of(request), dict(await systems_of(request)), await read_body(request)

    def look(c: sa.Connection, caller: Caller) -> list[Member]:
        jobs.may_edit(caller)
        return members_of(c, body.object(), {}, services.vault)

    members = await reading(request, look)
    name, document, schedule = _checked(body.object())
    await _validate(services, members)

    def create(c: sa.Connection, caller: Caller) -> int:
        jobs.may_edit(caller)
        return store.create(
            c,
            name=name,
            document=document,
            steps=_kept(c, members, services, systems.get(DATASYNC)),
            schedule=schedule,
            now=services.clock(),
        )

    return done(Deed.CREATE, await writing(request, create))


def _checked(body: Mapping[str, Any]) -> tuple[str, dict[str, Any], str | None]:
    """A body's name, what is kept of it, and its schedule."""
    info = info_of(body)
    return str(info["name"]).strip()[:500], rest_of(body), documents.schedule(info, f"{INFO}.schedule")


async def _validate(services: Services, members: list[Member]) -> None:
    for member in members:
        await in_thread(lambda params=member.params: services.engine.validate(DATASYNC, params))  # type: ignore[misc]  # bound early


def _kept(c: sa.Connection, members: list[Member], services: Services, system: System | None) -> list[Step]:
    """Write a collection's jobs; its steps."""
    now = services.clock()
    steps: list[Step] = []
    for member in members:
        # The collection says when its jobs run, and whether.
        columns: dict[str, Any] = {"alias": member.alias, "enabled": True, "schedule": None}
        params = sealed(member.params, system=system, vault=services.vault)
        connection_id = member.connection_id
        if connection_id is None:
            connection_id = connections.create(
                c,
                kind=Kind.DATASYNC,
                system=DATASYNC,
                command=DATASYNC if system is None else system.command,
                project_id=None,
                params=params,
                now=now,
                **columns,
            )
        else:
            connections.update(c, connection_id, {**columns, "params": params}, now=now)
        steps.append(Step(connection_id=connection_id, aborts=member.aborts, enabled=member.enabled))
    return steps


@dialect(Deed.OTHER)
async def update_collection(request: Request) -> Response:
    """Replace a collection, which the body names by its id; jobs that it doesn't name are taken out."""
    services, systems, body = services_of(request), dict(await systems_of(request)), await read_body(request)

    def look(c: sa.Connection, caller: Caller) -> Held:
        jobs.may_edit(caller)
        return find(c, integer(info_of(body.object()).get("id"), f"{INFO}.id"))

    def read(c: sa.Connection, caller: Caller) -> tuple[Held, dict[int, Entry], list[Member]]:
        held = look(c, caller)
        own = _own(c, held)
        return held, own, members_of(c, body.object(), own, services.vault)

    held, own, members = await reading(request, read)
    name, document, schedule = _checked(body.object())
    await _validate(services, members)

    def change(c: sa.Connection, caller: Caller) -> int:
        if look(c, caller).updated != held.updated or _marks(_own(c, held)) != _marks(own):
            raise conflict("Somebody else changed this collection at the same moment; look at it again.")
        staying = {member.connection_id for member in members}
        jobs.take_out(c, [each for each in own if each not in staying], _RUNS, services)
        steps = _kept(c, members, services, systems.get(DATASYNC))
        store.update(
            c, held.id, name=name, document=document, steps=steps, schedule=schedule, now=services.clock()
        )
        return held.id

    return done(Deed.OTHER, await writing(request, change))


def _marks(own: Mapping[int, Entry]) -> dict[int, int]:
    return {number: entry.updated for number, entry in own.items()}


def _own(c: sa.Connection, held: Held) -> dict[int, Entry]:
    """The collection's jobs that are still there, by their ids."""
    found = {step.connection_id: connections.get(c, step.connection_id) for step in held.steps}
    return {number: entry for number, entry in found.items() if entry is not None}


@dialect(Deed.DELETE)
async def delete_collections(request: Request) -> Response:
    """Remove collections with their jobs; what these did stays in the journal."""
    services = services_of(request)

    def delete(c: sa.Connection, caller: Caller) -> None:
        jobs.may_edit(caller)
        wanted = [find(c, number) for number in jobs.named(request, most=_MANY)]
        jobs.take_out(c, [each for held in wanted for each in _own(c, held)], _RUNS, services)
        for held in wanted:
            store.delete(c, held.id)

    await writing(request, delete)
    return done(Deed.DELETE)


# --- looking ---------------------------------------------------------------------------------------


def _told(c: sa.Connection, held: Held) -> dict[str, Any]:
    """What the server says of a collection beside what was given."""
    last = next(iter(store.runs(c, held.id, limit=1, previews=False)), None)
    return {
        **held.document.get(INFO, {}),
        "id": held.id,
        "jobCollectionGuid": None,
        "name": held.name,
        "totalJobs": len(held.steps),
        "timesRun": store.count_runs(c, held.id),
        "lastRunDate": None if last is None else shapes.micros(last.finished or last.created),
        "lastOutCome": "None" if last is None or last.outcome is None else last.outcome.capitalize(),
        "lastOutComeDisplayText": None if last is None else last.message,
        "nextRun": None if held.next_run is None else instant(held.next_run),
        "created": shapes.micros(held.created),
        "modified": shapes.micros(held.updated),
    }


def _jobs(c: sa.Connection, held: Held) -> list[tuple[Step, dict[str, Any]]]:
    """The documents of a collection's jobs, in their order."""
    own = _own(c, held)
    found = []
    for step in held.steps:
        entry = own.get(step.connection_id)
        if entry is not None:
            shown = jobs.shown(c, entry)
            shown["jobInfo"] |= {"type": _MEMBER, "collectionId": held.id}
            found.append((step, shown))
    return found


def _infos(members: Sequence[tuple[Step, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What the collection says of its jobs."""
    return [
        {
            **shown["jobInfo"],
            "runOrder": place,
            "onFailure": "Abort" if step.aborts else "Continue",
            "isEnable": step.enabled and shown["jobInfo"]["isEnable"],
        }
        for place, (step, shown) in enumerate(members, start=1)
    ]


@dialect(Deed.OTHER)
async def list_collections(request: Request) -> Response:
    """Tell the collections that fit the filter in the body, a page of them."""
    body = await read_body(request)

    def work(c: sa.Connection, caller: Caller) -> tuple[list[dict[str, Any]], int]:
        jobs.may_see(caller)
        asked = Asked.read(body.object())
        found = asked.chosen([{**_told(c, held), "jobs": []} for held in store.every(c)])
        return asked.page(found), len(found)

    data, count = await reading(request, work)
    return listed(data, count)


@dialect(Deed.OTHER)
async def list_members(request: Request) -> Response:
    """Tell what is known of the jobs in a collection, which the body names, or in all."""
    body = await read_body(request)

    def work(c: sa.Connection, caller: Caller) -> tuple[list[dict[str, Any]], int]:
        jobs.may_see(caller)
        values = body.object()
        given = values.get("jobCollectionId")
        number = 0 if given is None else integer(given, "jobCollectionId")
        asked = Asked.read(values)
        chosen = [find(c, number)] if number else store.every(c)
        found = asked.chosen([info for held in chosen for info in _infos(_jobs(c, held))], ordered=True)
        return asked.page(found), len(found)

    data, count = await reading(request, work)
    return listed(data, count)


@dialect(Deed.OTHER)
async def show_collection(request: Request) -> Response:
    """Tell a collection with the documents of its jobs."""

    def work(c: sa.Connection, caller: Caller) -> dict[str, Any]:
        jobs.may_see(caller)
        held = find(c, request.path_params["collection_id"])
        members = _jobs(c, held)
        info = {**_told(c, held), "jobs": _infos(members)}
        return {**held.document, INFO: info, "jobs": [shown for _, shown in members]}

    found = await reading(request, work)
    return listed(found, len(found["jobs"]))


# --- runs ------------------------------------------------------------------------------------------


@dialect(Deed.OTHER)
async def run_collection(request: Request) -> Response:
    """Run a collection's jobs one after the other, or preview each; ``data`` is the run's id."""
    services, body = services_of(request), await read_body(request)
    preview = jobs.wants_preview(body)

    def work(c: sa.Connection, caller: Caller) -> int:
        held = find(c, request.path_params["collection_id"])
        own = _own(c, held)
        if not any(step.enabled and step.connection_id in own for step in held.steps):
            raise Invalid({"isEnable": [f"{held.name} has no job that may run: isEnable is false for each."]})
        return store.begin(
            c,
            held,
            preview=preview,
            user_id=caller.user_id,
            triggered_by_id=caller.user_id,
            now=services.clock(),
        )

    run = await writing(request, work, Scope.RUN)
    services.engine.wake()
    return done(Deed.OTHER, run)


@dialect(Deed.OTHER)
async def list_runs(request: Request) -> Response:
    """Tell a collection's last runs and previews, the newest first, each with the runs of its jobs."""

    def work(c: sa.Connection, caller: Caller) -> list[dict[str, Any]]:
        jobs.may_see(caller)
        held = find(c, request.path_params["collection_id"])
        return [_run(c, run) for run in store.runs(c, held.id, limit=_MANY)]

    return listed(await reading(request, work))


def _run(c: sa.Connection, run: Run) -> dict[str, Any]:
    steps = []
    for connection_id, job_id in run.steps:
        view = None if job_id is None else listing.one(c, job_id)
        steps.append({"jobId": connection_id, "run": None if view is None else jobs.told_run(view)})
    return {
        "collectionRunId": run.id,
        "outCome": "None" if run.outcome is None else run.outcome.capitalize(),
        "message": run.message,
        "preview": run.preview,
        "automatic": run.automatic,
        "created": shapes.micros(run.created),
        "finished": shapes.micros(run.finished),
        "jobs": steps,
    }
