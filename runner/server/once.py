"""Requests with an ``Idempotency-Key``: sent again, they are answered as the first time.

A client that got no answer can't know whether its POST was taken. With a key of its own
making it may send it again. The answer is kept in the transaction that did the work.
"""

import hashlib
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request

from runner.server.auth import Caller
from runner.server.replies import Invalid, conflict
from runner.server.services import services_of
from runner.server.unit import Work
from runner.store import answers

HEADER = "idempotency-key"
LONGEST = 255


class Done(NamedTuple):
    """An answer, and whether it was given before."""

    shown: dict[str, Any]
    again: bool


def once(request: Request, said: bytes, work: Work[dict[str, Any]]) -> Work[Done]:
    """Do ``work`` once for each key; ``said`` is what tells this request from another.

    ``Refused`` (409) if the key was used for a request that said something else.
    """
    key = request.headers.get(HEADER, "").strip()
    now = services_of(request).clock()
    asked = hashlib.sha256(b"\n".join([request.method.encode(), request.url.path.encode(), said])).hexdigest()

    def do(c: sa.Connection, caller: Caller) -> Done:
        if not key:
            return Done(work(c, caller), again=False)
        if len(key) > LONGEST or not key.isprintable():
            text = f"Idempotency-Key: write at most {LONGEST} printable characters."
            raise Invalid({"non_field_errors": [text]})
        user_id = caller.user_id
        assert user_id is not None  # who writes is known: over the socket it is the service account
        answers.lock(c, user_id=user_id, key=key)
        kept = answers.find(c, user_id=user_id, key=key)
        if kept is None:
            shown = work(c, caller)
            answers.keep(c, user_id=user_id, key=key, request=asked, answer=shown, now=now)
            return Done(shown, again=False)
        if kept.request != asked:
            raise conflict("This Idempotency-Key was used for another request; make a new one.")
        return Done(kept.answer, again=True)

    return do
