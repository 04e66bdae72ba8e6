"""Remote agents: ``/remote-agent/``. An agent says here that it is alive, and what it is."""

from functools import partial

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, Query
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import forbidden, not_found, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.shapes import Shown, instant
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import accounts
from runner.store import remote_agents as store
from runner.store.accounts import Scope
from runner.store.pages import Cut
from runner.store.remote_agents import RemoteAgent


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of agents below ``root``."""
    path = f"{root}/remote-agent/"
    one = f"{path}{{agent_id:number}}/"
    listed = Op(summary="List remote agents", answer="RemoteAgent", listing=True, query=("expand",))
    add(router, "GET", path, list_agents, listed)
    shown = Op(summary="Show a remote agent", answer="RemoteAgent", query=("expand",))
    add(router, "GET", one, show_agent, shown)
    made = Op(
        summary="Make a remote agent known",
        body="NewRemoteAgent",
        answer="RemoteAgent",
        status=201,
        also=(413, 415),
    )
    add(router, "POST", path, create_agent, made)
    changed = Op(
        summary="Say that a remote agent is there",
        body="ChangedRemoteAgent",
        answer="RemoteAgent",
        also=(413, 415),
    )
    add(router, "PATCH", one, patch_agent, changed)
    add(router, "DELETE", one, delete_agent, Op(summary="Forget a remote agent", status=204))


def _shown(c: sa.Connection, value: RemoteAgent, expand: frozenset[str] = frozenset()) -> Shown:
    creator: object = value.user
    if "creator" in expand:
        creator = shapes.user(accounts.users_by_id(c, [value.user_id])[value.user_id])
    return {
        "id": value.id,
        "name": value.name,
        "creator": creator,
        "version": value.version,
        "platform": value.platform,
        "last_sync": instant(value.last_sync),
    }


async def list_agents(request: Request) -> Response:
    """Tell the agents."""
    expand = Query(request).words("expand")

    def page(c: sa.Connection, part: Cut) -> list[Item]:
        return [(row.id, _shown(c, row, expand)) for row in store.page(c, part)]

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        return Source(page=page, count=store.count)

    return await listing(request, prepare, Scope.READ)


def _find(c: sa.Connection, request: Request) -> RemoteAgent:
    found = store.get(c, request.path_params["agent_id"])
    if found is None:
        raise not_found()
    return found


async def show_agent(request: Request) -> Response:
    """Tell one agent."""
    expand = Query(request).words("expand")
    shown = partial(_shown, expand=expand)
    return reply(await reading(request, lambda c, _caller: shown(c, _find(c, request)), Scope.READ))


def _own(caller: Caller, agent: RemoteAgent) -> None:
    if agent.user_id != caller.user_id and not caller.may(Scope.ADMIN):
        raise forbidden()


async def create_agent(request: Request) -> Response:
    """Make an agent known; one that comes back under its name is the same."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        name = (fields.text("name", required=True, blank=False, longest=100) or "").strip()
        version = fields.text("version", longest=100)
        platform = fields.text("platform", longest=200)
        fields.done()
        there = store.by_name(c, name)
        if there is not None:
            _own(caller, there)
        assert caller.user_id is not None  # who writes is known
        ident = store.create(c, name=name, user_id=caller.user_id) if there is None else there.id
        store.seen(c, ident, version=version, platform=platform, now=now)
        found = store.get(c, ident)
        assert found is not None  # it was written in this transaction
        return _shown(c, found)

    return reply(await writing(request, create, Scope.AGENT), 201)


async def patch_agent(request: Request) -> Response:
    """Note that an agent is there."""
    body, now = await read_body(request), services_of(request).clock()

    def change(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        version = fields.text("version", longest=100)
        platform = fields.text("platform", longest=200)
        fields.done()
        there = _find(c, request)
        _own(caller, there)
        store.seen(c, there.id, version=version, platform=platform, now=now)
        return _shown(c, _find(c, request))

    return reply(await writing(request, change, Scope.AGENT))


async def delete_agent(request: Request) -> Response:
    """Forget an agent."""
    await writing(request, lambda c, _caller: store.delete(c, _find(c, request).id), Scope.ADMIN)
    return Response(status_code=204)
