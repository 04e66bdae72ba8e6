"""Every exception that can leave a connector, as a sentence and a reason."""

import json
import ssl
import traceback
from typing import Any

import requests
from lxml import etree
from pydantic import ValidationError

from runner.errors import Reason, RunnerError, TryLater


def explain(error: BaseException) -> dict[str, Any]:
    """The fields of a ``failed`` message for ``error``."""
    told: dict[str, Any] = {"detail": "".join(traceback.format_exception(error))}
    match error:
        case RunnerError():
            told |= _ours(error)
        case ValidationError():
            told |= _told(Reason.BAD_PARAMS, _fields(error))
        case MemoryError():
            text = (
                "The run needed more memory than it may have and was ended. If it may have more, "
                "raise [engine] memory_limit."
            )
            told |= _told(Reason.MEMORY, text)
        case requests.exceptions.RequestException():
            told |= _http(error)
        case FileNotFoundError() | PermissionError() | IsADirectoryError():
            text = f"A file can't be used: {error.strerror}: {error.filename}."
            told |= _told(Reason.BAD_PARAMS, text)
        case ssl.SSLError():
            told |= _told(Reason.TLS, f"The other side can't be trusted: {error.strerror or error}.")
        case OSError():
            told |= _told(Reason.UNREACHABLE, f"The system refused: {error.strerror or error}.", later=True)
        case json.JSONDecodeError() | UnicodeDecodeError() | etree.XMLSyntaxError():
            told |= _told(Reason.BAD_INPUT, f"What was read can't be understood: {error}.")
        case _:
            name = type(error).__name__
            text = f"The connector has a defect ({name}): report it with the details from the daemon's log."
            told |= _told(Reason.INTERNAL, text)
    return told


def _told(reason: Reason, message: str, *, later: bool = False) -> dict[str, Any]:
    return {"reason": reason.value, "message": message, "later": later}


def _ours(error: RunnerError) -> dict[str, Any]:
    told = _told(error.reason, error.message, later=isinstance(error, TryLater))
    if error.detail is not None:
        told["detail"] = error.detail
    if isinstance(error, TryLater):
        told["retry_after"] = error.retry_after
    return told


def _http(error: requests.exceptions.RequestException) -> dict[str, Any]:
    """What requests raises, the special before the general."""
    host = _host(error)
    match error:
        case requests.exceptions.SSLError():
            return _told(Reason.TLS, f"The certificate of {host} can't be trusted.")
        case requests.exceptions.InvalidURL() | requests.exceptions.MissingSchema():
            return _told(Reason.BAD_PARAMS, "The address in the connection's parameters is not a URL.")
        case requests.exceptions.JSONDecodeError() | requests.exceptions.ContentDecodingError():
            return _told(Reason.BAD_INPUT, f"{host} answered something that can't be read.")
    return _told(Reason.UNREACHABLE, f"{host} could not be reached, or did not answer in time.", later=True)


def _fields(error: ValidationError) -> str:
    parts = [
        f"{'.'.join(map(str, problem['loc'])) or 'params'}: {problem['msg'].lower()}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return f"The connection's parameters are wrong: {'; '.join(parts)}. Correct them and run again."


def _host(error: requests.exceptions.RequestException) -> str:
    url = error.request.url if error.request is not None else None
    return "the other side" if not url else url.split("?")[0]
