"""A job while it runs: its log, and its progress as server-sent events (both extensions)."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Router

from runner.errors import Refused
from runner.server.auth import Caller
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import to_bytes
from runner.server.sdelements import jobs, shapes
from runner.server.services import services_of
from runner.server.unit import in_thread, reading
from runner.store import job_log
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.database import Database
from runner.store.listing import JobView
from runner.store.pages import Cut

STREAMS = 100
"""Open streams of events at the most: each looks into the store twice a second."""

_LOOK_EVERY = 0.5  # seconds
_KEEP_ALIVE = 15.0  # seconds of silence after which a comment is sent, for proxies that count them
MEDIA = "text/event-stream"


def add_routes(router: Router, root: str) -> None:
    """Add the addresses below ``root``."""
    get, one = partial(add, router, "GET"), f"{root}/{{kind:kind}}/{{job_id:number}}/"
    lines = Op(summary="Show what a run wrote to its log", answer="LogLine", listing=True, extension=True)
    get(f"{one}log/", show_log, lines)
    events = Op(summary="Watch a job until it ends, as server-sent events", produces=MEDIA, extension=True)
    get(f"{one}events/", watch, events)


async def show_log(request: Request) -> Response:
    """Tell the lines that the job's connector wrote."""

    def prepare(c: sa.Connection, _caller: Caller) -> Source:
        job_id = jobs.find(c, request).id

        def page(c: sa.Connection, part: Cut) -> list[Item]:
            return [(entry.id, _line(entry)) for entry in job_log.page(c, job_id, part)]

        return Source(page=page, count=lambda c: job_log.count(c, job_id))

    return await listing(request, prepare, Scope.READ)


def _line(entry: job_log.Entry) -> shapes.Shown:
    return {
        "id": entry.id,
        "when": shapes.instant(entry.at),
        "attempt": entry.attempt,
        "event": entry.event,
        "fields": entry.fields,
    }


async def watch(request: Request) -> Response:
    """Tell each change of a job's state and progress; the stream ends with the job."""

    def look(c: sa.Connection, _caller: Caller) -> JobView:
        return jobs.find(c, request)

    view = await reading(request, look, Scope.READ)
    state = request.app.state
    if state.streams >= STREAMS:
        text = f"{STREAMS} streams of events are open; ask again later, or look at the job itself."
        raise Refused(text, status=503)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, view), media_type=MEDIA, headers=headers)


async def _events(request: Request, view: JobView) -> AsyncIterator[bytes]:
    state, database = request.app.state, services_of(request).database
    state.streams += 1
    told: dict[str, Any] = {}
    spoke = time.monotonic()
    try:
        while True:
            now = _told(view)
            if now != told:
                told, spoke = now, time.monotonic()
                yield b"event: job\ndata: " + to_bytes(now) + b"\n\n"
            elif time.monotonic() - spoke > _KEEP_ALIVE:
                spoke = time.monotonic()
                yield b": still there\n\n"
            if view.state == "finished":
                return
            await asyncio.sleep(_LOOK_EVERY)
            found = await in_thread(partial(_look_again, database, view.id))
            if found is None:
                return  # it was removed meanwhile
            view = found
    finally:
        state.streams -= 1


def _look_again(database: Database, job_id: int) -> JobView | None:
    with database.read() as c:
        return store.one(c, job_id)


def _told(view: JobView) -> dict[str, Any]:
    return {
        "id": view.id,
        "state": view.state,
        "ready": view.state == "finished",
        "succeeded": view.outcome == "succeeded",
        "progress": view.progress,
        "result_message": view.result_message,
        "attempt": view.attempt,
    }
