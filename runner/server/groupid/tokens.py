"""The dialect's log-in: e-mail and token for a token of twenty minutes."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.replies import reply
from runner.server.services import services_of
from runner.server.throttle import throttle_of
from runner.server.unit import in_thread
from runner.store import accounts

_LIFE = timedelta(minutes=20)
_LARGEST = 16_384  # bytes of the form


async def connect(request: Request) -> Response:
    """Exchange an e-mail and a token of it for a token that ends soon."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LARGEST:
            return _refused("invalid_request", 413)
    form = {name: values[-1] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    if form.get("grant_type") not in {"password", "refresh_token"}:
        return _refused("unsupported_grant_type", 400)
    email, secret = form.get("username"), form.get("password")
    if form["grant_type"] == "refresh_token":
        email, secret = None, form.get("refresh_token")
    if not secret:
        return _refused("invalid_request", 400)
    services, hashed = services_of(request), accounts.hash_token(secret)
    throttle_of(request).check(request, hashed)
    now = services.clock()

    def work(c: sa.Connection) -> dict[str, Any] | None:
        holder = accounts.holder(c, token_hash=hashed, now=now)
        if holder is None or holder.dead or (email is not None and holder.email.lower() != email.lower()):
            return None
        # It ends with what it came from: else who has it could refresh it for ever.
        expires = min(now + _LIFE, holder.expires or now + _LIFE)
        _, token = accounts.create_token(
            c, user_id=holder.user_id, scopes=holder.scopes, expires=expires, now=now
        )
        return {
            "access_token": token,
            "refresh_token": secret,  # so only who holds the lasting token goes on
            "token_type": "Bearer",
            "expires_in": int((expires - now).total_seconds()),
        }

    found = await in_thread(lambda: services.database.write(work))
    if found is None:
        throttle_of(request).refused(request)
        return _refused("invalid_grant", 400)
    throttle_of(request).accepted(request, hashed)
    return reply(found, headers={"Cache-Control": "no-store"})


def _refused(error: str, status: int) -> Response:
    return reply({"error": error}, status, headers={"Cache-Control": "no-store"})
