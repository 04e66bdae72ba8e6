"""Answers: JSON, and errors in the shape that Django REST framework gives them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from runner.errors import Refused, RunnerError, StoreError
from runner.log import get

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

TYPE = "application/json"

RETRY_AFTER = "30"
"""Seconds after which a client may ask again when the store takes nothing."""

_log = get("server")


class Invalid(Refused):
    """A request has wrong fields; each is told what is wrong with it."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items()))
        self.fields = dict(fields)


class Unauthenticated(Refused):
    """Nobody is known to make this request."""

    def __init__(self, message: str = "Authentication credentials were not provided.") -> None:
        super().__init__(message, status=401)


def not_found() -> Refused:
    """There is no such thing, or not for this caller."""
    return Refused("Not found.", status=404)


def forbidden() -> Refused:
    """The caller is known and may not."""
    return Refused("You do not have permission to perform this action.", status=403)


def conflict(message: str) -> Refused:
    """The state of things doesn't allow it now."""
    return Refused(message, status=409)


def to_bytes(value: Any) -> bytes:
    """A JSON value as it goes over the wire."""
    return _encode(value).encode()


def reply(value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a JSON value."""
    return Response(to_bytes(value), status, dict(headers) if headers else None, TYPE)


def from_error(error: RunnerError) -> Response:
    """The answer to a request that failed for a reason we can tell."""
    if isinstance(error, Invalid):
        return reply(error.fields, 400)
    if isinstance(error, Refused):
        return _refused(error)
    if isinstance(error, StoreError):
        _log.error("request_failed", why=error.message, detail=error.detail)
        return reply({"detail": error.message}, 503, headers={"Retry-After": RETRY_AFTER})
    _log.error("request_failed", why=error.message, detail=error.detail)
    return reply({"detail": error.message}, 500)


def _refused(error: Refused) -> Response:
    if error.status == 400 and error.field is not None:  # noqa: PLR2004 - the HTTP status
        return reply({error.field: [error.message]}, 400)
    headers = {}
    if error.status == 401:  # noqa: PLR2004 - the HTTP status
        headers["WWW-Authenticate"] = "Token"
    if error.status in {429, 503}:
        headers["Retry-After"] = RETRY_AFTER
    return reply({"detail": error.message}, error.status, headers=headers)


def server_error() -> Response:
    """The answer to a defect of ours; the log has the traceback, the client hasn't."""
    return reply({"detail": "A server error occurred."}, 500)


def method_not_allowed(request: Request) -> Response:
    """Say which methods the path takes, over all its routes."""
    return reply(
        {"detail": f'Method "{request.method}" not allowed.'}, 405, headers={"Allow": allowed(request)}
    )


def allowed(request: Request) -> str:
    """The methods that the path takes, as the header ``Allow`` has them."""
    return ", ".join(sorted(_methods(request)))


def _methods(request: Request) -> Iterable[str]:
    found: set[str] = set()
    for route in request.app.router.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return found
