"""The application that both listeners serve."""

import json

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runner import __version__
from runner.errors import RunnerError
from runner.server import health, measures
from runner.server.groupid import routes as groupid
from runner.server.guard import Guard
from runner.server.openapi import Operation, add, describe, register_convertors
from runner.server.replies import TYPE, from_error, method_not_allowed, reply
from runner.server.sdelements.routes import add_routes
from runner.server.sdelements.schemas import SCHEMAS
from runner.server.services import Services
from runner.server.throttle import Throttle
from runner.server.unit import reading


def create_app(services: Services) -> FastAPI:
    """Build the application. It holds no thread and opens nothing."""
    register_convertors()
    app = FastAPI(
        title="Integration runner",
        version=__version__,
        openapi_url=None,  # the description wants a token, like all but the health checks
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.systems_known = False
    app.state.throttle = Throttle()
    app.state.streams = 0  # of events, open now
    add_routes(app.router)
    groupid.add_groupid_routes(app.router)
    _add_operations(app.router)
    app.add_middleware(Guard)
    app.add_exception_handler(RunnerError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


def _add_operations(router: APIRouter) -> None:
    add(router, "GET", "/-/healthy", health.healthy, Operation(summary="Is it alive", answer="Health"))
    add(router, "GET", "/-/ready", health.ready, Operation(summary="Does it take jobs", answer="Health"))
    told = Operation(summary="Tell the metrics", produces="text/plain", extension=True)
    add(router, "GET", "/metrics", measures.show_metrics, told)
    described = Operation(summary="Describe this API", answer="Description", extension=True)
    add(router, "GET", "/api/openapi.json", show_description, described)


def create_metrics_app(services: Services) -> FastAPI:
    """Build the application of ``[metrics] listen``: what is open to whoever watches, and nothing else."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    add(app.router, "GET", "/metrics", measures.show_open_metrics, Operation(summary="Tell the metrics"))
    for path, handler in (("/-/healthy", health.healthy), ("/-/ready", health.ready)):
        add(app.router, "GET", path, handler, Operation(summary=path))
    app.add_middleware(Guard)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


async def show_description(request: Request) -> Response:
    """Tell the description of the API."""
    await reading(request, lambda _c, _caller: None)
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = describe(app, {**SCHEMAS, **groupid.SCHEMAS})
    return Response(json.dumps(app.openapi_schema), media_type=TYPE)


async def _on_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RunnerError)
    return from_error(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Errors of the router: an address or a method that there isn't."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:  # noqa: PLR2004 - the HTTP status
        return reply({"detail": "Not found."}, 404)
    if error.status_code == 405:  # noqa: PLR2004 - the HTTP status
        return method_not_allowed(request)
    return reply({"detail": str(error.detail)}, error.status_code)
