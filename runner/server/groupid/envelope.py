"""The dialect's answers: HTTP 200 with status 0, and errors with status 1, all in one envelope."""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from runner.errors import Refused, RunnerError, StoreError
from runner.server.replies import RETRY_AFTER, Invalid, reply

Handler = Callable[[Request], Awaitable[Response]]


class Deed(IntEnum):
    """What an envelope is the answer to, by the original's numbers where they are known."""

    OTHER = 0
    CREATE = 6
    DELETE = 7


def done(deed: Deed, data: Any = None, message: str | None = None) -> Response:
    """Answer that it is done."""
    return reply(_envelope(deed, status=0, data=data, message=message))


def listed(data: Any, count: int | None = None) -> Response:
    """Answer with data."""
    number = count if count is not None else len(data) if isinstance(data, list) else 1
    return reply({"count": number, "data": data, "status": 0, "message": None})


def _envelope(deed: Deed, **more: Any) -> dict[str, Any]:
    return {
        "name": None,
        "type": int(deed),
        "status": 1,
        "message": None,
        "data": None,
        "identityStoreObject": None,
        "details": [],
        "currentDirectoryServer": None,
        "errorCode": None,
        "exceptionMessagesAttributeWise": None,
        "isResyncAble": True,
        **more,
    }


def dialect(deed: Deed) -> Callable[[Handler], Handler]:
    """Give a handler's refusals the dialect's envelope."""

    def wrap(handler: Handler) -> Handler:
        @wraps(handler)
        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except (Refused, StoreError) as error:
                return _refusal(deed, error)

        return handle

    return wrap


def _refusal(deed: Deed, error: RunnerError) -> Response:
    status = error.status if isinstance(error, Refused) else 503
    fields = error.fields if isinstance(error, Invalid) else None
    if isinstance(error, Refused) and fields is None and error.field is not None:
        fields = {error.field: [error.message]}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 - the HTTP status
    if status in {429, 503}:
        headers["Retry-After"] = RETRY_AFTER
    return reply(
        _envelope(
            deed,
            message=error.message,
            details=[text for texts in (fields or {}).values() for text in texts],
            errorCode=str(status),
            exceptionMessagesAttributeWise=fields,
        ),
        status,
        headers=headers,
    )
