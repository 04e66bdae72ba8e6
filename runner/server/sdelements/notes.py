"""Notes on tasks, what analyses said of them, and the imports that analyses came from."""

from collections.abc import Callable

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.paging import Item, Source, listing
from runner.server.replies import conflict, not_found, reply
from runner.server.sdelements.shapes import Shown, instant
from runner.server.sdelements.tasks import check_project, find
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import tasks as store
from runner.store.accounts import Scope
from runner.store.pages import Cut
from runner.store.tasks import Note, Session


def note(value: Note) -> Shown:
    """A note as the API shows it."""
    return {
        "id": value.id,
        "task": value.task,
        "text": value.text,
        "automatic": value.automatic,
        "updater": None if value.user_id is None else {"id": value.user_id, "email": value.user},
        "created": instant(value.created),
        "updated": instant(value.updated),
    }


def analysis_note(value: Note) -> Shown:
    """A note that an analysis wrote, with what the scanner said."""
    kind = value.analysis_type or ""
    return {
        **note(value),
        "analysis_session": value.session_id,
        "analysis_type": {"slug": kind, "name": kind},
        "status": value.status,
        "confidence": value.confidence,
        "behaviour": value.behaviour,
        "findings": value.findings,
    }


async def _notes(request: Request, show: Callable[[Note], Shown], *, of_analyses: bool) -> Response:
    def prepare(c: sa.Connection, _caller: Caller) -> Source:
        ident = find(c, request).row_id

        def page(c: sa.Connection, part: Cut) -> list[Item]:
            return [(row.id, show(row)) for row in store.note_page(c, ident, part, of_analyses=of_analyses)]

        return Source(page=page, count=lambda c: store.note_count(c, ident, of_analyses=of_analyses))

    return await listing(request, prepare, Scope.READ)


async def list_notes(request: Request) -> Response:
    """Tell a task's notes, those of analyses among them."""
    return await _notes(request, note, of_analyses=False)


async def list_analysis_notes(request: Request) -> Response:
    """Tell what analyses said of a task."""
    return await _notes(request, analysis_note, of_analyses=True)


async def create_note(request: Request) -> Response:
    """Write a note on a task."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        text = fields.text("text", required=True, blank=False)
        automatic = fields.boolean("automatic") or False
        fields.done()
        ident = find(c, request).row_id
        made = store.add_note(
            c, task=ident, text=text or "", automatic=automatic, user_id=caller.user_id, now=now
        )
        return note(_note(c, ident, made))

    return reply(await writing(request, create, Scope.VERIFY), 201)


def _note(c: sa.Connection, ident: int, note_id: int) -> Note:
    found = store.note(c, task=ident, note_id=note_id)
    if found is None:
        raise not_found()
    return found


async def show_note(request: Request) -> Response:
    """Tell one note."""
    note_id = request.path_params["note_id"]
    return reply(
        await reading(
            request, lambda c, _caller: note(_note(c, find(c, request).row_id, note_id)), Scope.READ
        )
    )


async def patch_note(request: Request) -> Response:
    """Write another text; what an analysis said stays as it was said."""
    body, now = await read_body(request), services_of(request).clock()
    note_id = request.path_params["note_id"]

    def change(c: sa.Connection, _caller: Caller) -> Shown:
        fields = Fields(body.object())
        text = fields.text("text", required=True, blank=False)
        fields.done()
        ident = find(c, request).row_id
        there = _note(c, ident, note_id)
        if there.session_id is not None:
            raise conflict("An analysis said this; it can't be changed.")
        store.change_note(c, there.id, text=text or "", now=now)
        return note(_note(c, ident, note_id))

    return reply(await writing(request, change, Scope.VERIFY))


async def delete_note(request: Request) -> Response:
    """Remove a note."""
    note_id = request.path_params["note_id"]

    def delete(c: sa.Connection, _caller: Caller) -> None:
        store.delete_note(c, _note(c, find(c, request).row_id, note_id).id)

    await writing(request, delete, Scope.VERIFY)
    return Response(status_code=204)


def session(value: Session) -> Shown:
    """An import of a report as the API shows it."""
    return {
        "id": value.id,
        "project": value.project_id,
        "analysis_ref": value.analysis_ref,
        "analysis_type": value.analysis_type,
        "extra": {},
        "created": instant(value.created),
        "updated": instant(value.created),
        "updater": None,
    }


async def list_sessions(request: Request) -> Response:
    """Tell the imports of a project."""
    project_id = request.path_params["project_id"]

    def prepare(c: sa.Connection, _caller: Caller) -> Source:
        check_project(c, request)
        return Source(
            page=lambda c, part: [(row.id, session(row)) for row in store.session_page(c, project_id, part)],
            count=lambda c: store.session_count(c, project_id),
        )

    return await listing(request, prepare, Scope.READ)
