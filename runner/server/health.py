"""``/-/healthy`` and ``/-/ready``: for whoever watches the daemon. No authentication."""

from starlette.requests import Request
from starlette.responses import Response

from runner.errors import StoreError
from runner.server.replies import reply
from runner.server.services import Services, services_of
from runner.server.unit import in_thread
from runner.store import pauses


async def healthy(request: Request) -> Response:
    """Tell whether the engine's loops make progress."""
    services = services_of(request)
    if services.engine.healthy() and services.ticking():
        return reply({"status": "ok"})
    return reply({"status": "stuck"}, 503)


async def ready(request: Request) -> Response:
    """Tell whether jobs are taken and run; 503 with the reasons if not."""
    services = services_of(request)
    reasons = await in_thread(lambda: why_not_ready(services))
    if reasons:
        return reply({"status": "not ready", "reasons": reasons}, 503)
    return reply({"status": "ok"})


def why_not_ready(services: Services) -> list[str]:
    """Sentences that say why jobs aren't taken or run; none = they are."""
    status = services.engine.status()
    reasons = []
    if status.get("trouble"):
        reasons.append(str(status["trouble"]))
    elif not status.get("claiming", True):
        reasons.append("The daemon takes no new jobs: it starts, or was asked to stop.")
    try:
        with services.database.read() as c:
            pause = pauses.whole(c)
        if pause is not None:
            reasons.append(f"It is paused: {pause.why}")
    except StoreError as error:
        reasons.append(error.message)
    return reasons
