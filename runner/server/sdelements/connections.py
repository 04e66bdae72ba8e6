"""Looking at connections: ``/connections/`` and ``/connections/{kind}/…``."""

from functools import partial
from typing import NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.engine.catalogue import System
from runner.errors import Refused
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.paging import Item, Source, listing
from runner.server.replies import not_found, reply
from runner.server.sdelements import shapes
from runner.server.unit import reading, systems_of
from runner.store import connections as store
from runner.store import listing as jobs
from runner.store.accounts import Scope
from runner.store.connections import Entry, Wanted
from runner.store.pages import Cut

FILTERS = ("alias", "frequency", "system", "project", "search")


class Style(NamedTuple):
    """How connections are to be shown in one answer."""

    systems: dict[str, System]
    caller: Caller
    last_job: bool


async def list_connections(request: Request) -> Response:
    """Tell the connections of one kind, or of all whose params the caller may see."""
    query = Query(request)
    found = partial(
        Wanted,
        alias=query.text("alias"),
        frequency=query.text("frequency"),
        system=query.text("system"),
        project_id=query.integer("project"),
        search=query.text("search"),
    )
    last_job = "last_job" in query.words("include")
    query.done()
    kind = request.path_params.get("kind")
    systems = dict(await systems_of(request))

    def prepare(_c: sa.Connection, caller: Caller) -> Source:
        wanted = found(kinds=(Kind(kind),) if kind else caller.kinds_seen())
        style = Style(systems, caller, last_job)
        return Source(page=partial(_page, wanted, style), count=lambda c: store.count(c, wanted))

    return await listing(request, prepare, Scope.READ)


def _page(wanted: Wanted, style: Style, c: sa.Connection, part: Cut) -> list[Item]:
    return _show(c, store.page(c, wanted, part), style)


def _show(c: sa.Connection, entries: list[Entry], style: Style) -> list[Item]:
    last = store.last_jobs(c, [entry.connection.id for entry in entries]) if style.last_job else {}
    items = []
    for entry in entries:
        ident = entry.connection.id
        shown = shapes.connection(entry, systems=style.systems, caller=style.caller)
        if style.last_job:
            shown["last_job"] = _last_job(c, last.get(ident))
        items.append((ident, shown))
    return items


def _last_job(c: sa.Connection, job_id: int | None) -> shapes.Shown | None:
    view = None if job_id is None else jobs.one(c, job_id)
    if view is None:
        return None
    return {
        "id": view.id,
        "succeeded": view.outcome == "succeeded",
        "ready": view.state == "finished",
        "automatic": view.automatic,
        "last_run": shapes.micros(view.last_run),
        "result_message": view.result_message,
        "user": view.user or "",
    }


async def show_connection(request: Request) -> Response:
    """Tell one connection."""
    query = Query(request)
    last_job = "last_job" in query.words("include")
    systems = dict(await systems_of(request))

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        return _show(c, [find(c, request)], Style(systems, caller, last_job))[0][1]

    return reply(await reading(request, work, Scope.READ))


def find(c: sa.Connection, request: Request) -> Entry:
    """The connection that a path names, by kind and id."""
    entry = store.get(c, request.path_params["connection_id"])
    if entry is None or entry.connection.kind.value != request.path_params["kind"]:
        raise not_found()
    return entry


def changeable(entry: Entry) -> Entry:
    """The connection, if the API may change it: not if the configuration files declare it."""
    if entry.connection.declared is not None:
        msg = f"It is declared in the configuration files, as {entry.connection.declared!r}; change it there."
        raise Refused(msg, status=403)
    return entry
