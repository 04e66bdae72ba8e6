"""Tasks of a project: ``/projects/{id}/tasks/``."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query, no_such
from runner.server.paging import Source, listing
from runner.server.replies import Invalid, conflict, not_found, reply
from runner.server.sdelements.reference import PHASES, STATUSES, phase_id, phase_slug
from runner.server.sdelements.shapes import Shown, instant
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import tasks as store
from runner.store import work
from runner.store.accounts import Scope
from runner.store.tasks import TaskEntry, Wanted

FILTERS = ("status", "phase", "priority", "verification", "search")

_TASK_ID = re.compile(r"(?:([0-9]{1,18})-)?([A-Za-z]{1,8}[0-9]{1,18})")


def task(value: TaskEntry, *, include: frozenset[str], expand: frozenset[str]) -> Shown:
    """A task as the API shows it; what this server has no notion of has its empty value."""
    shown: Shown = {
        "id": value.id,
        "task_id": value.task_id,
        "url": f"/api/v2/projects/{value.project_id}/tasks/{value.id}/",
        "title": value.title,
        "text": value.text,
        "priority": value.priority,
        "phase": PHASES.get(value.phase, value.phase) if "phase" in expand else phase_id(value.phase),
        "status": STATUSES.get(value.status, value.status) if "status" in expand else value.status,
        "status_updated": instant(value.status_updated),
        "verification_status": value.verification_status,
        "note_count": value.note_count,
        "project_specific": value.task_id.startswith("PT"),
        "manually_added_from_library": False,
        "relevant": True,
        "accepted": True,
        "assigned_to": [],
        "artifact_proxy": "",
        "updated": instant(value.updated),
        "updater": None,
        "library_task_created": instant(value.created),
        "library_task_updated": instant(value.updated),
    }
    for name in include & _MORE.keys():
        shown[name] = _MORE[name](value)
    return shown


def _problem(value: TaskEntry) -> Shown:
    cwes = [
        {
            "id": number,
            "title": f"CWE-{number}",
            "url": f"https://cwe.mitre.org/data/definitions/{number}.html",
        }
        for number in value.cwes
    ]
    return {"id": value.task_id.replace("T", "P", 1), "title": value.title, "text": "", "cwe": cwes}


_MORE: dict[str, Callable[[TaskEntry], Any]] = {
    "problem": _problem,
    "tags": lambda value: value.tags,
    "categories": lambda value: value.categories,
    "catch_all": lambda value: value.catch_all,
    "results": lambda value: value.results,
}
"""What ``include=`` adds; the last three are extensions."""


async def list_tasks(request: Request) -> Response:
    """Tell a project's tasks."""
    query = Query(request)
    phase = query.text("phase")
    wanted = Wanted(
        project_id=request.path_params["project_id"],
        status=query.text("status"),
        phase=None if phase is None else phase_slug(phase),
        priority=query.integer("priority"),
        verification=query.text("verification"),
        search=query.text("search"),
    )
    show = partial(task, include=query.words("include"), expand=query.words("expand"))
    query.done()

    def prepare(c: sa.Connection, _caller: Caller) -> Source:
        check_project(c, request)
        return Source(
            page=lambda c, part: [(row.row_id, show(row)) for row in store.page(c, wanted, part)],
            count=lambda c: store.count(c, wanted),
        )

    return await listing(request, prepare, Scope.READ)


def check_project(c: sa.Connection, request: Request) -> None:
    """Refuse (404) a path that names a project there isn't."""
    if work.project(c, request.path_params["project_id"]) is None:
        raise not_found()


def find(c: sa.Connection, request: Request) -> TaskEntry:
    """The task that a path names, as "7-T21" or "T21"."""
    project_id = request.path_params["project_id"]
    named = _TASK_ID.fullmatch(request.path_params["task_id"])
    if named is None or (named[1] is not None and int(named[1]) != project_id):
        raise not_found()
    found = store.get(c, project_id=project_id, task_id=named[2])
    if found is None:
        raise not_found()
    return found


def named(c: sa.Connection, project_id: int, name: Any, field: str) -> TaskEntry:
    """The project's task that a body names, as "7-T21" or "T21"; ``Invalid`` if there is none."""
    found = _TASK_ID.fullmatch(name) if isinstance(name, str) else None
    task = None
    if found is not None and (found[1] is None or int(found[1]) == project_id):
        task = store.get(c, project_id=project_id, task_id=found[2])
    if task is None:
        raise Invalid({field: [no_such(name)]})
    return task


async def show_task(request: Request) -> Response:
    """Tell one task."""
    query = Query(request)
    show = partial(task, include=query.words("include"), expand=query.words("expand"))
    return reply(await reading(request, lambda c, _caller: show(find(c, request)), Scope.READ))


async def create_task(request: Request) -> Response:
    """Add a task of the project alone; its id is given: "PT1", "PT2" and so on."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, _caller: Caller) -> Shown:
        check_project(c, request)
        project_id = request.path_params["project_id"]
        fields = Fields(body.object())
        title = fields.text("title", required=True, blank=False, longest=500)
        phase = phase_slug(fields.text("phase", required=True) or "")
        priority = fields.integer("priority", required=True, least=1, most=10)
        text = fields.text("text")
        tags = fields.texts("tags")
        if phase and phase not in PHASES:
            fields.wrong("phase", no_such(phase))
        fields.done()
        task_id = f"PT{store.next_own_number(c, project_id)}"
        entry = {
            "task_id": task_id,
            "title": title,
            "phase": phase,
            "priority": priority,
            "text": text or "",
            "tags": tags or [],
        }
        store.add(c, project_id, [entry], now=now)
        made = store.get(c, project_id=project_id, task_id=task_id)
        assert made is not None  # it was written in this transaction
        return task(made, include=frozenset({"tags"}), expand=frozenset())

    return reply(await writing(request, create, Scope.ADMIN), 201)


async def delete_task(request: Request) -> Response:
    """Remove a task of the project alone; others come from where the original has its library."""

    def delete(c: sa.Connection, _caller: Caller) -> None:
        there = find(c, request)
        if not there.task_id.startswith("PT"):
            raise conflict("Only tasks of the project alone (PT…) can be removed.")
        store.delete(c, there.row_id)

    await writing(request, delete, Scope.ADMIN)
    return Response(status_code=204)


async def patch_task(request: Request) -> Response:
    """Set a task's status or tags; ``status_note`` is kept as a note."""
    body, now = await read_body(request), services_of(request).clock()

    def change(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        status = fields.text("status", blank=False)
        tags = fields.texts("tags")
        note = fields.text("status_note", null=True)
        if status is not None and status not in STATUSES:
            fields.wrong("status", f'Invalid pk "{status}" - object does not exist.')
        fields.done()
        there = find(c, request)
        values = {name: value for name, value in (("status", status), ("tags", tags)) if value is not None}
        if values:
            store.change(c, there.row_id, values, now=now)
        if note:
            store.add_note(c, task=there.row_id, text=note, automatic=False, user_id=caller.user_id, now=now)
        return task(find(c, request), include=frozenset({"tags"}), expand=frozenset())

    return reply(await writing(request, change, Scope.VERIFY))
