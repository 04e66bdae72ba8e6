"""The status page at ``/``: what runs, what comes next, what is wrong. No script, no secret.

A browser has no header for a token, so it is asked for as browsers ask: e-mail as the name,
a token with the scope ``read`` as the password.
"""

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner import __version__
from runner.model.jobs import Connection, Kind
from runner.server.auth import Caller
from runner.server.health import why_not_ready
from runner.server.replies import Unauthenticated, reply
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, systems_of
from runner.store import connections, listing, queue
from runner.store.accounts import Scope
from runner.store.connections import Entry
from runner.store.listing import JobView, Wanted
from runner.store.pages import Cut
from runner.store.values import from_micros

if TYPE_CHECKING:
    import jinja2

_JOBS, _CONNECTIONS = 25, 200
"""How many of each are shown."""

_LONGEST = 300  # characters of a message

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


async def show_page(request: Request) -> Response:
    """Tell how things are, as a page."""
    try:
        shown = await reading(request, _look, Scope.READ)
    except Unauthenticated as error:
        headers = {**_HEADERS, "WWW-Authenticate": 'Basic realm="runner: e-mail and token", charset="UTF-8"'}
        return reply({"detail": error.message}, 401, headers=headers)
    services = services_of(request)
    wrong = await in_thread(lambda: why_not_ready(services))
    systems = await systems_of(request)
    wrong += [
        f"The connector {one.id} can't be loaded: {one.broken}" for one in systems.values() if one.broken
    ]
    wrong += shown.pop("failed")
    page = _template().render(
        **shown,
        wrong=wrong,
        version=__version__,
        now=f"{services.clock():%Y-%m-%d %H:%M:%S} UTC",
    )
    return Response(page, 200, _HEADERS, "text/html")


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2

    loader = jinja2.PackageLoader("runner.server")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("status.html")


def _look(c: sa.Connection, _caller: Caller) -> dict[str, Any]:
    everything = connections.Wanted(kinds=tuple(Kind))
    entries = connections.page(c, everything, Cut(limit=_CONNECTIONS))
    last = connections.last_jobs(c, [entry.connection.id for entry in entries])
    views = [view for ident in last.values() if (view := listing.one(c, ident)) is not None]
    recent = listing.page(c, Wanted(kinds=tuple(Kind)), Cut(limit=_JOBS))
    return {
        "jobs": {state.value: number for state, number in queue.open_count(c).items()},
        "recent": [_job(view) for view in recent],
        "connections": [_connection(entry) for entry in entries],
        "more": connections.count(c, everything) - len(entries),
        "failed": [
            f"{view.alias}: the last run failed: {view.result_message[:_LONGEST]}"
            for view in views
            if view.outcome == "failed"
        ],
    }


def _job(view: JobView) -> dict[str, Any]:
    return {
        "id": view.id,
        "alias": view.alias,
        "state": view.state,
        "outcome": view.outcome,
        "last_run": f"{from_micros(view.last_run):%Y-%m-%d %H:%M:%S}",
        "message": (view.progress if view.outcome is None else view.result_message)[:_LONGEST],
    }


def _connection(entry: Entry) -> dict[str, Any]:
    value = entry.connection
    return {
        "id": value.id,
        "alias": value.alias,
        "system": value.system,
        "frequency": value.schedule or value.frequency.value,
        "next_run": _next(value, entry),
    }


def _next(value: Connection, entry: Entry) -> str:
    if not value.enabled:
        return "disabled"
    if value.paused:
        return "paused"
    return "" if entry.next_run is None else f"{entry.next_run:%Y-%m-%d %H:%M} UTC"
