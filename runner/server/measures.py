"""``/metrics``: what was counted, and how everything is at this moment."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from runner import __version__
from runner.errors import StoreError
from runner.metrics import CONTENT_TYPE, Gauges
from runner.model.calendar import Timetable
from runner.server.health import why_not_ready
from runner.server.local import LOCAL
from runner.server.services import Services, services_of
from runner.server.unit import in_thread, reading
from runner.store import measures, pauses, schedule
from runner.store.accounts import Scope
from runner.store.measures import Health

_STATES = ("starting", "running", "draining")

Series = list[tuple[Mapping[str, str], float]]


async def show_metrics(request: Request) -> Response:
    """Tell the metrics: to this machine openly, to others, and through a proxy, for a token only."""
    if not _from_this_machine(request):
        await reading(request, lambda _c, _caller: None, Scope.READ)
    return await show_open_metrics(request)


def _from_this_machine(request: Request) -> bool:
    if LOCAL in request.scope:
        return True
    if services_of(request).settings.server.behind_proxy or request.client is None:
        return False  # whoever asks, it is the proxy that is seen
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def show_open_metrics(request: Request) -> Response:
    """Tell the metrics to whoever asks, on the listener that is for this only."""
    services = services_of(request)
    body = await in_thread(lambda: services.metrics.expose(gauges(services)))
    return Response(body, headers={"Content-Type": CONTENT_TYPE})


def gauges(services: Services) -> Gauges:
    """All gauges as they are now; what the store knows is left out while it is away."""
    found = _of_process(services)
    try:
        found |= _of_store(services)
    except StoreError:
        return found  # runner_ready says so, and the counters are needed most at such a time
    return found


def _of_process(services: Services) -> dict[str, Series]:
    try:
        about = services.about()
    except StoreError:
        about = {}  # a part of what it says is in the store
    configuration = about.get("configuration") or {}
    python = platform.python_version()
    found: dict[str, Series] = {
        "runner_build_info": [({"version": __version__, "python": python}, 1)],
        "runner_ready": [({}, not why_not_ready(services))],
        "runner_state": [
            ({"state": state}, about["state"] == state) for state in _STATES if "state" in about
        ],
        "runner_slots": [({}, services.engine.status().get("slots", 0))],
        "runner_config_last_reload_successful": [({}, not configuration["refused"])] if configuration else [],
    }
    found |= _of_remotes(about.get("remotes") or [])
    if (loaded := configuration.get("loaded")) is not None:
        found["runner_config_last_reload_success_timestamp_seconds"] = [({}, _seconds(loaded))]
    return found


def _of_remotes(remotes: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    names = [({"remote": str(one["name"])}, one) for one in remotes]
    return {
        "runner_poll_last_success_timestamp_seconds": [
            (name, _seconds(one["last_poll"])) for name, one in names if one["last_poll"] is not None
        ],
        "runner_results_undelivered": [(name, one["undelivered"]) for name, one in names],
        "runner_results_refused": [(name, one["refused"]) for name, one in names],
        "runner_connections_unserved": [(name, len(one["unserved"])) for name, one in names],
    }


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def _of_store(services: Services) -> dict[str, Series]:
    now = services.clock()
    with services.database.read() as c:
        waiting, oldest, due = measures.waiting(c), measures.oldest_pending(c), schedule.next_due(c)
        paused = pauses.whole(c) is not None
        healths = measures.connection_health(c, most=services.settings.metrics.connections)
    for system in {health.system for health in healths}:
        services.metrics.expect(system)
    lag = timedelta(0) if due is None else max(timedelta(0), now - due)
    found: dict[str, Series] = {
        "runner_jobs_pending": [({}, waiting)],
        "runner_jobs_oldest_pending_timestamp_seconds": [({}, oldest.timestamp())] if oldest else [],
        "runner_paused": [({}, paused)],
        "runner_schedule_lag_seconds": [({}, lag.total_seconds())],
    }
    return found | _of_connections(healths, services.settings.scheduler.timetable(), now)


def _of_connections(healths: list[Health], timetable: Timetable, now: datetime) -> dict[str, Series]:
    names = [({"connection": str(one.id)}, one) for one in healths]
    return {
        "runner_connection_info": [
            ({**name, "alias": one.alias, "system": one.system}, 1) for name, one in names
        ],
        "runner_connection_created_timestamp_seconds": [
            (name, one.created.timestamp()) for name, one in names
        ],
        "runner_connection_last_success_timestamp_seconds": [
            (name, one.last_success.timestamp()) for name, one in names if one.last_success is not None
        ],
        "runner_connection_last_run_succeeded": [
            (name, one.succeeded) for name, one in names if one.succeeded is not None
        ],
        "runner_connection_period_seconds": [
            (name, period) for name, one in names for period in _period(one, timetable, now)
        ],
    }


def _period(health: Health, timetable: Timetable, now: datetime) -> Iterator[float]:
    """The longest time between two slots; nothing for a connection that isn't due by itself."""
    if health.waits:
        return
    try:
        slots = timetable.slots(health.frequency, health.schedule, health.timezone)
    except ValueError:
        return  # its zone isn't known on this machine; the scheduler's log tells it
    if slots is not None:
        # From midnight on, so that one answer does for the day.
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        yield slots.longest_gap(midnight).total_seconds()
