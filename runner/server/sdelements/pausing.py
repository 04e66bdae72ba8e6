"""Pausing and resuming, everything or one connection (an extension)."""

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.log import redactor
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.replies import forbidden, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.connections import Style, find
from runner.server.services import services_of
from runner.server.unit import systems_of, writing
from runner.store import connections, pauses
from runner.store.accounts import Scope


async def pause(request: Request) -> Response:
    """Take no job any more, until somebody resumes; what runs goes on."""
    body, now = await read_body(request), services_of(request).clock()

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        fields = Fields(body.object())
        why = fields.text("why", blank=False, longest=500)
        fields.done()
        pauses.pause(c, why=redactor.clean(why or f"{caller.email} asked for it."), now=now)
        return _whole(pauses.whole(c))

    return reply(await writing(request, work, Scope.ADMIN))


async def resume(request: Request) -> Response:
    """Take jobs again."""

    def work(c: sa.Connection, _caller: Caller) -> shapes.Shown:
        pauses.resume(c)
        return _whole(None)

    shown = await writing(request, work, Scope.ADMIN)
    services_of(request).engine.wake()
    return reply(shown)


def _whole(found: pauses.Pause | None) -> shapes.Shown:
    if found is None:
        return {"paused": False, "since": None, "why": None}
    return {"paused": True, "since": shapes.instant(found.since), "why": found.why}


async def pause_connection(request: Request) -> Response:
    """Let a connection's jobs wait, until somebody resumes it; one that runs goes on."""
    return await _set(request, paused=True)


async def resume_connection(request: Request) -> Response:
    """Take a connection's jobs again."""
    return await _set(request, paused=False)


async def _set(request: Request, *, paused: bool) -> Response:
    services, systems = services_of(request), dict(await systems_of(request))
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        entry = find(c, request)
        if not caller.edits(entry.connection.kind):
            raise forbidden()
        if entry.connection.paused is not paused:
            pauses.set_connection(c, entry.connection.id, paused=paused, now=now)
        changed = connections.get(c, entry.connection.id)
        assert changed is not None  # it was found in this transaction
        style = Style(systems, caller, last_job=False)
        return shapes.connection(changed, systems=style.systems, caller=style.caller)

    shown = await writing(request, work)
    services.engine.wake()
    return reply(shown)
