"""``/status/`` (an extension): what a person wants to see at a glance."""

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner import __version__
from runner.model.jobs import Kind, State
from runner.server.auth import Caller
from runner.server.health import why_not_ready
from runner.server.replies import not_found, reply
from runner.server.sdelements.shapes import Shown, instant, micros
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, systems_of
from runner.store import connections, listing, migrate, pauses, queue
from runner.store.accounts import Scope
from runner.store.listing import JobView

FAILURES = 10
"""How many of the last failures are told."""


async def show_status(request: Request) -> Response:
    """Tell how the engine is, how many jobs there are by state, and what failed last."""
    services = services_of(request)
    systems = await systems_of(request)
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> Shown:
        kinds = caller.kinds_seen()
        everything = connections.Wanted(kinds=tuple(Kind))
        return {
            "jobs": _jobs(c),
            "failures": [_failure(view) for view in listing.last_failures(c, FAILURES) if view.kind in kinds],
            "connections": connections.count(c, everything),
            "paused": _pause(pauses.whole(c)),
        }

    shown = await reading(request, work, Scope.READ)
    shown["version"] = __version__
    shown["schema"] = migrate.HEAD
    shown["engine"] = services.engine.status()
    shown |= {
        "state": None,
        "scheduler": None,
        "remotes": None,
        "configuration": None,
        **await in_thread(services.about),
    }
    shown["not_ready"] = await in_thread(lambda: why_not_ready(services))
    shown["broken_systems"] = {one.id: one.broken for one in systems.values() if one.broken is not None}
    shown["now"] = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return reply(shown)


async def reconcile(request: Request) -> Response:
    """Compare what is known here of a remote server's jobs with what that server shows."""

    def allowed(_c: sa.Connection, caller: Caller) -> None:
        caller.need(Scope.ADMIN)

    await reading(request, allowed)
    name = str(request.path_params["name"])
    found = await in_thread(lambda: services_of(request).reconcile(name))
    if found is None:
        raise not_found()
    return reply(found)


def _pause(pause: pauses.Pause | None) -> Shown | None:
    return None if pause is None else {"since": instant(pause.since), "why": pause.why}


def _jobs(c: sa.Connection) -> dict[str, int]:
    found = {state.value: number for state, number in queue.open_count(c).items()}
    totals = listing.totals(c)
    found[State.FINISHED.value] = totals["all"] - sum(found.values())
    return found | {"unsuccessful": totals["unsuccessful"]}


def _failure(view: JobView) -> Shown:
    return {
        "id": view.id,
        "kind": view.kind,
        "connection": {"id": view.connection_id, "alias": view.alias},
        "reason": view.reason,
        "result_message": view.result_message,
        "last_run": micros(view.last_run),
    }
