"""The application that both listeners serve."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner import __version__
from runner.errors import Refused, RunnerError
from runner.server import console, health, measures
from runner.server.groupid import routes as groupid
from runner.server.guard import Guard
from runner.server.openapi import Operation, add, describe, register_convertors
from runner.server.paging import Counts
from runner.server.replies import TYPE, allowed, from_error, method_not_allowed, reply
from runner.server.sdelements.routes import add_routes
from runner.server.sdelements.schemas import SCHEMAS
from runner.server.securitycenter import routes as securitycenter
from runner.server.securitycenter.envelope import PREFIX, refused
from runner.server.securitycenter.schemas import SECURITYCENTER
from runner.server.securitycenter.sessions import Sessions
from runner.server.services import Services
from runner.server.throttle import Throttle
from runner.server.unit import reading


def create_app(services: Services) -> Starlette:
    """Build the application. It holds no thread and opens nothing."""
    register_convertors()
    app = _bare(services)
    app.state.systems_known = False
    app.state.throttle = Throttle()
    app.state.counts = Counts()
    app.state.streams = 0  # of events, open now
    app.state.sessions = Sessions()
    add_routes(app.router)
    groupid.add_groupid_routes(app.router)
    securitycenter.add_routes(app.router)
    _add_operations(app.router)
    app.add_exception_handler(RunnerError, _on_error)
    return app


def _bare(services: Services) -> Starlette:
    """An application without routes."""
    app = Starlette()
    app.router.redirect_slashes = False  # the guard completes paths
    app.state.services = services
    app.add_middleware(Guard)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


def _add_operations(router: Router) -> None:
    add(router, "GET", "/-/healthy", health.healthy, Operation(summary="Is it alive", answer="Health"))
    add(router, "GET", "/-/ready", health.ready, Operation(summary="Does it take jobs", answer="Health"))
    told = Operation(summary="Tell the metrics", produces="text/plain", extension=True)
    add(router, "GET", "/metrics", measures.show_metrics, told)
    page = Operation(summary="Show how things are, as a page", produces="text/html", extension=True)
    add(router, "GET", "/", console.show_page, page)
    described = Operation(summary="Describe this API", answer="Description", extension=True)
    add(router, "GET", "/api/openapi.json", show_description, described)


def create_metrics_app(services: Services) -> Starlette:
    """Build the application of ``[metrics] listen``: what is open to whoever watches, and nothing else."""
    app = _bare(services)
    add(app.router, "GET", "/metrics", measures.show_open_metrics, Operation(summary="Tell the metrics"))
    for path, handler in (("/-/healthy", health.healthy), ("/-/ready", health.ready)):
        add(app.router, "GET", path, handler, Operation(summary=path))
    return app


async def show_description(request: Request) -> Response:
    """Tell the description of the API."""
    await reading(request, lambda _c, _caller: None)
    app: Starlette = request.app
    return Response(json.dumps(description(app)), media_type=TYPE)


def description(app: Starlette) -> dict[str, Any]:
    """The description of an application that ``create_app`` made."""
    schemas = {**SCHEMAS, **groupid.SCHEMAS, **SECURITYCENTER}
    return describe(app.routes, schemas, title="Integration runner", version=__version__)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunnerError)
    if request.url.path.startswith(PREFIX):
        return refused(error)
    return from_error(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Errors of the router: an address or a method that there isn't."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(PREFIX):
        allow = allowed(request) if error.status_code == 405 else ""  # noqa: PLR2004 - the HTTP status
        return refused(Refused(str(error.detail), status=error.status_code), allow=allow)
    if error.status_code == 404:  # noqa: PLR2004 - the HTTP status
        return reply({"detail": "Not found."}, 404)
    if error.status_code == 405:  # noqa: PLR2004 - the HTTP status
        return method_not_allowed(request)
    return reply({"detail": str(error.detail)}, error.status_code)
