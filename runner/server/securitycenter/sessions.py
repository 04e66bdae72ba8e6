"""Log-in as the dialect's clients do it: a session by e-mail and token, or the token itself.

A session is a number and a cookie, kept in memory: a restart logs everybody out. What counts
is the token behind it, looked up at each request: a session outlives neither its token nor
its user.
"""

import re
import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from starlette.requests import Request

from runner.server.replies import Unauthenticated
from runner.store.accounts import hash_token

COOKIE = "TNS_SESSIONID"
_IDLE = timedelta(hours=1)
_MOST = 1_000  # sessions; the one that was used longest ago goes
_KEYS = re.compile(r"\s*accesskey\s*=\s*([^;\s]+)\s*;\s*secretkey\s*=\s*([^;\s]+)\s*;?\s*", re.IGNORECASE)


class Shown(NamedTuple):
    """What a request shows: a token's hash, and perhaps the id that must go with it."""

    token_hash: str
    token_id: int | None = None


class _Session(NamedTuple):
    number: int
    token_hash: str
    until: datetime


class Sessions:
    """The sessions there are. Used in the event loop only."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, token_hash: str, *, now: datetime) -> tuple[int, str]:
        """Begin a session; its number and its cookie."""
        number, cookie = secrets.randbelow(2**31 - 1) + 1, secrets.token_hex(16)
        self._sessions[cookie] = _Session(number, token_hash, now + _IDLE)
        if len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return number, cookie

    def end(self, request: Request) -> None:
        """End the session of a request."""
        self._sessions.pop(_cookie(request), None)

    def shown(self, request: Request, *, now: datetime) -> Shown:
        """What a request of the dialect shows; ``Unauthenticated`` if nothing that is good."""
        keys = request.headers.get("x-apikey")
        if keys is not None:
            return _from_keys(keys)
        cookie = _cookie(request)
        session = self._sessions.get(cookie)
        number = request.headers.get("x-securitycenter", "")
        if session is None or session.until <= now or not secrets.compare_digest(number, str(session.number)):
            raise Unauthenticated("This request requires authentication: log in, or show x-apikey.")
        self._sessions[cookie] = session._replace(until=now + _IDLE)
        self._sessions.move_to_end(cookie)
        return Shown(session.token_hash)


def _from_keys(header: str) -> Shown:
    found = _KEYS.fullmatch(header)
    if found is None:
        raise Unauthenticated("x-apikey: write accesskey=<id of the token>; secretkey=<token>.")
    number = found[1]
    if not (number.isascii() and number.isdecimal() and len(number) < 19):  # noqa: PLR2004 - digits of an id
        raise Unauthenticated("Invalid API key.")
    return Shown(hash_token(found[2]), int(number))


def _cookie(request: Request) -> str:
    """The session's cookie; some clients send it as a header of its own as well."""
    try:
        cookies = SimpleCookie(request.headers.get("cookie", ""))
    except CookieError:
        return ""
    morsel = cookies.get(COOKIE)
    return request.headers.get(COOKIE.lower(), "") if morsel is None else morsel.value
