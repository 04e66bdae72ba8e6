"""Units of work: each request is one trip to the store, which begins with who asks.

What is looked up and what is written thus agree, and a token revoked a moment ago is dead.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from starlette.requests import Request

from runner.engine.catalogue import System
from runner.errors import Refused, RunnerError, StoreAway, StoreFull
from runner.log import get
from runner.server.auth import Caller, Credential, authenticate, credential_of
from runner.server.replies import Unauthenticated
from runner.server.services import services_of
from runner.server.throttle import throttle_of
from runner.store import accounts
from runner.store.accounts import Scope

T = TypeVar("T")
Work = Callable[[sa.Connection, Caller], T]

_log = get("server")


async def in_thread(work: Callable[[], T]) -> T:
    """Run what may block beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def reading(request: Request, work: Work[T], *need: Scope) -> T:
    """Run ``work`` on a reading transaction for a caller who has one of the scopes ``need``."""
    services, credential = services_of(request), _admitted(request)
    now = services.clock()

    def unit() -> tuple[Caller, T]:
        with services.database.read() as c:
            caller = authenticate(c, credential, now=now)
            caller.need(*need)
            return caller, work(c, caller)

    try:
        caller, result = await in_thread(unit)
    except Unauthenticated:
        throttle_of(request).refused(request)
        raise
    throttle_of(request).accepted(request, credential.token_hash)
    if caller.use_is_old and caller.token_id is not None:
        # Nobody waits for this: the next request writes it if this one can't.
        services.database.submit(partial(accounts.used, token_id=caller.token_id, now=now))
    return result


async def writing(request: Request, work: Work[T], *need: Scope) -> T:
    """Run and commit ``work`` for a caller who has one of the scopes ``need``.

    A refusal must be raised before the first write: it is carried out of the transaction as
    a value, so that it doesn't take back the work of others who share the commit.
    """
    services, credential = services_of(request), _admitted(request)
    unit = partial(_write, credential=credential, now=services.clock(), work=work, need=need)
    # Shielded: a request that is given up must not cancel a write that others wait for as well.
    try:
        result = await asyncio.shield(asyncio.wrap_future(services.database.submit(unit)))
    except (StoreFull, StoreAway) as error:
        services.store_refused(error)
        raise
    if isinstance(result, Unauthenticated):
        throttle_of(request).refused(request)
    if isinstance(result, Refused):
        raise result
    throttle_of(request).accepted(request, credential.token_hash)
    return result


def _admitted(request: Request) -> Credential:
    credential = credential_of(request)
    throttle_of(request).check(request, credential.token_hash)
    return credential


def _write(
    c: sa.Connection, *, credential: Credential, now: datetime, work: Work[T], need: tuple[Scope, ...]
) -> T | Refused:
    try:
        if credential.token_hash is None:
            accounts.service_account(c, now=now)
        caller = authenticate(c, credential, now=now)
        caller.need(*need)
        if caller.use_is_old and caller.token_id is not None:
            accounts.used(c, token_id=caller.token_id, now=now)
        return work(c, caller)
    except Refused as refused:
        return refused


async def systems_of(request: Request) -> Mapping[str, System]:
    """The systems there are; none (and a line in the log) while connectors can't be asked."""
    engine, state = services_of(request).engine, request.app.state
    if not state.systems_known:
        try:
            await in_thread(engine.systems)
        except RunnerError as error:
            _log.error("systems_unknown", why=error.message, detail=error.detail)
            return {}
        state.systems_known = True
    return engine.systems()
