"""The dialect's envelope: each answer says whether it is an error in its body as well."""

import time
from typing import Any

from starlette.responses import Response

from runner.errors import Refused, RunnerError
from runner.server.replies import RETRY_AFTER, Invalid, reply

PREFIX = "/rest/"

BAD_PARAMETER = 146
"""The error code of a parameter that can't be used."""


def told(value: Any, *, error_code: int = 0, error_msg: str = "") -> dict[str, Any]:
    """An answer in its envelope."""
    return {
        "type": "regular",
        "response": value,
        "error_code": error_code,
        "error_msg": error_msg,
        "warnings": [],
        "timestamp": int(time.time()),
    }


def refused(error: RunnerError, *, allow: str = "") -> Response:
    """The answer to a request that failed: errors are 403 here, but for 401, 404 and what is ours.

    ``allow`` names the methods that an address takes, where another was used.
    """
    if isinstance(error, Invalid):
        name, texts = next(iter(error.fields.items()))
        message = f"Error validating parameter '{name}': {' '.join(texts)}"
        return reply(told("", error_code=BAD_PARAMETER, error_msg=message), 403)
    status = error.status if isinstance(error, Refused) else 500
    headers = {"Retry-After": RETRY_AFTER} if status in {429, 503} else {}
    if allow:
        headers["Allow"] = allow
    code = BAD_PARAMETER if status == 400 else status  # noqa: PLR2004 - the HTTP status
    shown = status if status in {401, 404, 405, 413, 415, 429, 500, 503} else 403
    return reply(told("", error_code=code, error_msg=error.message), shown, headers=headers)
