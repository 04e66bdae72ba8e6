"""What an answer that is no success means for the operator, and how long to wait after it."""

import email.utils
import json
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

import requests

from runner.errors import (
    AccessDenied,
    BadInput,
    ConfigRejected,
    ConnectorFailure,
    OutcomeUnknown,
    TlsFailed,
    TryLater,
    Unreachable,
)

BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may be repeated a moment later."""

_EXCERPT = 200  # characters of an answer that are shown
_EXCERPT_READ = 2048  # bytes of it that are read for that
_TELLING = ("detail", "message", "error", "error_msg", "errorMessage")

Mask = Callable[[str], str]


def wait_asked_for(response: requests.Response) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or as a date; None = it doesn't."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    when = _date(text)
    if when is None:
        return None
    # By the server's own clock, where it tells it: the two machines' may differ.
    now = _date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (when - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def failure(
    response: requests.Response, place: str, *, busy: frozenset[int], writes: bool, mask: Mask
) -> ConnectorFailure:
    """The error for an answer with a status that wasn't asked for."""
    status, what = response.status_code, _what(response)
    said = mask(_excerpt(response))
    quoted = f': "{said}"' if said else ""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        whose = place if status == HTTPStatus.UNAUTHORIZED else f"The proxy before {place}"
        return AccessDenied(
            f"{whose} refused the credential ({status}). Renew it in the connection.", detail=said
        )
    if status == HTTPStatus.FORBIDDEN:
        return AccessDenied(
            f"{place} doesn't let this credential do {what} (403){quoted}. Give its account the right, or "
            "use another one.",
        )
    wait = wait_asked_for(response)
    if status in busy or status == HTTPStatus.REQUEST_TIMEOUT:
        if writes and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _unknown(place, what, f"answered {status}{quoted}", wait)
        return TryLater(
            f"{place} has too much to do (it answered {status} to {what}). Run again later.",
            detail=said,
            retry_after=wait,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if writes:
            return _unknown(place, what, f"answered {status}{quoted}", wait)
        return TryLater(f"{place} failed over {what} ({status}){quoted}. Run again later.", retry_after=wait)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return ConfigRejected(
            f"{place} knows nothing of {what} ({status}){quoted}. Check the connection's server and names."
        )
    return BadInput(f"{place} refused {what} ({status}){quoted}.")


def _unknown(place: str, what: str, why: str, wait: float | None) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{place} {why} to {what}, so it isn't known whether that was done. The next run looks.",
        retry_after=wait,
    )


def not_answered(error: requests.RequestException, place: str, *, what: str, sent: bool) -> ConnectorFailure:
    """The error for a request without an answer; ``sent`` = it writes and may have been carried out."""
    detail = type(error).__name__
    match error:
        case requests.exceptions.SSLError():
            return TlsFailed(
                f"{place} can't be trusted: {_tls(error)}. Check its certificate, or name its authority in "
                "ca_bundle.",
                detail=detail,
            )
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
            return ConfigRejected(
                f"{place} has no address that can be used. Correct the connection's server."
            )
        case requests.exceptions.ProxyError():
            return Unreachable(
                f"The proxy before {place} can't be reached, or doesn't let it pass.", detail=detail
            )
        case requests.exceptions.ConnectTimeout():
            return Unreachable(f"{place} can't be reached: no connection in time.", detail=detail)
    why = _why(error)
    if sent:
        return OutcomeUnknown(
            f"{place} {why} during {what}, so it isn't known whether that was done.", detail=detail
        )
    return Unreachable(f"{place} {why} during {what}. Check that it runs and can be reached.", detail=detail)


def never_left(error: requests.RequestException) -> bool:
    """Whether a request failed before anything of it was sent."""
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.ReadTimeout):
        return "did not answer in time"
    if never_left(error):
        reason = str(getattr(error.args[0], "reason", ""))
        return "has a name that can't be resolved" if "resolve" in reason else "refused the connection"
    return "broke off"


def _tls(error: requests.RequestException) -> str:
    """OpenSSL's own words, from wherever in the chain they stand."""
    text = str(error)
    for words in ("certificate verify failed: ", "doesn't match", "wrong version number"):
        at = text.find(words)
        if at >= 0:
            break
    else:
        return "no common TLS"
    if words.startswith("wrong"):
        return "it doesn't speak TLS there"
    tail = text[at:].removeprefix("certificate verify failed: ")
    return tail.split(" (_ssl")[0].strip("')\" .")


def _what(response: requests.Response) -> str:
    """The request in short, without its parameters."""
    request = response.request
    path = (request.path_url or "/").split("?")[0]
    return f"{request.method} {path}"


def _excerpt(response: requests.Response) -> str:
    """What the answer says of itself in a line; "" if that is for machines only."""
    try:
        raw = next(response.iter_content(_EXCERPT_READ), b"")
    except requests.RequestException:
        return ""
    text = raw.decode("utf-8", "replace")
    if "json" in response.headers.get("Content-Type", ""):
        text = _message(text)
    elif "<" in text[:200]:
        return ""  # a page for people; its status says as much
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_EXCERPT]


def _message(text: str) -> str:
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(told, dict):
        return ""
    return next((told[key] for key in _TELLING if isinstance(told.get(key), str)), "")
