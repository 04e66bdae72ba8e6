"""The dialect's addresses, log-in, tests and queries."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.errors import Refused, RunnerError
from runner.server.auth import Caller, Credential, authenticate
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import Unauthenticated, reply
from runner.server.securitycenter import servers
from runner.server.securitycenter.envelope import told
from runner.server.securitycenter.sessions import COOKIE
from runner.server.services import services_of
from runner.server.throttle import throttle_of
from runner.server.unit import in_thread, reading
from runner.store import accounts
from runner.store.accounts import Scope

ROOT = "/rest"

VERSION = "5.13.0"
"""The version of the original whose log-in this is: the first with keys."""


def add_routes(router: Router) -> None:
    """Add all addresses."""
    get, post = partial(add, router, "GET"), partial(add, router, "POST")
    path, one = f"{ROOT}/ldap", f"{ROOT}/ldap/{{server_id:number}}"
    listed = Op(summary="List LDAP servers", answer="LdapServers", query=("fields",), envelope="Envelope")
    get(path, servers.list_servers, listed)
    post(
        path,
        servers.create_server,
        Op(summary="Add an LDAP server", body="NewLdapServer", answer="LdapServer", envelope="Envelope"),
    )
    post(
        f"{path}/test",
        test_described,
        Op(summary="Test LDAP settings", body="NewLdapServer", answer="LdapTest", envelope="Envelope"),
    )
    shown = Op(summary="Show an LDAP server", answer="LdapServer", query=("fields",), envelope="Envelope")
    get(one, servers.show_server, shown)
    changed = Op(
        summary="Change an LDAP server", body="ChangedLdapServer", answer="LdapServer", envelope="Envelope"
    )
    add(router, "PATCH", one, servers.patch_server, changed)
    gone = Op(summary="Remove an LDAP server", answer="LdapDone", envelope="Envelope")
    add(router, "DELETE", one, servers.delete_server, gone)
    asked = Op(
        summary="Look for people in a directory", body="LdapQuery", answer="LdapPeople", envelope="Envelope"
    )
    post(f"{one}/query", query, asked)
    tested = Op(
        summary="Test an LDAP server", body="ChangedLdapServer", answer="LdapTest", envelope="Envelope"
    )
    post(f"{one}/test", test_stored, tested)
    logged_in = Op(summary="Log in by e-mail and token", body="LogIn", answer="LoggedIn", envelope="Envelope")
    post(f"{ROOT}/token", log_in, logged_in)
    add(
        router,
        "DELETE",
        f"{ROOT}/token",
        log_out,
        Op(summary="Log out", answer="LdapDone", envelope="Envelope"),
    )
    get(f"{ROOT}/system", system, Op(summary="Show the version", answer="ScSystem", envelope="Envelope"))


async def system(_request: Request) -> Response:
    """Tell what a client asks before it logs in."""
    return reply(told({"version": VERSION, "licenseStatus": "Valid"}))


async def log_in(request: Request) -> Response:
    """Begin a session by e-mail and token: there are no other passwords."""
    body, services = await read_body(request), services_of(request)
    fields = Fields(body.object())
    email = fields.text("username", required=True, longest=254)
    token = fields.text("password", required=True, longest=500)
    fields.done()
    hashed, throttle = accounts.hash_token(token or ""), throttle_of(request)
    throttle.check(request, hashed)

    def check() -> None:
        with services.database.read() as c:
            caller = authenticate(c, Credential(hashed), now=services.clock())
            if caller.email.lower() != (email or "").strip().lower():
                raise Unauthenticated

    try:
        await in_thread(check)
    except Unauthenticated:
        throttle.refused(request)
        raise Unauthenticated("Invalid login credentials.") from None
    throttle.accepted(request, hashed)
    number, cookie = request.app.state.sessions.begin(hashed, now=services.clock())
    secure = "; Secure" if request.url.scheme == "https" else ""
    headers = {"Set-Cookie": f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"}
    return reply(told({"token": number, "unassociatedCert": "false"}), headers=headers)


async def log_out(request: Request) -> Response:
    """End the session, if there is one."""
    request.app.state.sessions.end(request)
    return reply(told(""))


def _test_told(steps: list[dict[str, str]]) -> dict[str, Any]:
    bad = next((step for step in steps if step["ok"] != "true"), None)
    last = steps[-1]["message"] if steps else ""
    return {"status": bad is None, "message": last if bad is None else f"{bad['name']}: {bad['message']}"}


async def _test(request: Request, settings: dict[str, str]) -> Response:
    engine = services_of(request).engine
    try:
        steps = await in_thread(lambda: engine.ask_directory(settings, match=None))
    except Refused as error:
        if error.status == 503:  # noqa: PLR2004 - the HTTP status
            raise
        steps = [{"name": "test", "ok": "false", "message": error.message}]
    return reply(told(_test_told(steps)))


async def test_described(request: Request) -> Response:
    """Test settings that aren't stored."""
    body = await read_body(request)

    def look(_c: sa.Connection, _caller: Caller) -> dict[str, str]:
        fields = Fields(body.object())
        given = servers.read_settings(fields, create=True)
        fields.done()
        return servers.opened(servers.laid_over({}, given), services_of(request).vault)

    return await _test(request, await reading(request, look, Scope.ADMIN))


async def test_stored(request: Request) -> Response:
    """Test a server, perhaps with other settings; its password goes to no other host."""
    body = await read_body(request)

    def look(c: sa.Connection, _caller: Caller) -> dict[str, str]:
        there = servers.find(c, request)
        fields = Fields(body.object())
        given = servers.read_settings(fields, create=False)
        fields.done()
        return servers.opened(servers.laid_over(there.settings, given), services_of(request).vault)

    return await _test(request, await reading(request, look, Scope.ADMIN))


async def query(request: Request) -> Response:
    """Tell the people in a directory that match."""
    body, services = await read_body(request), services_of(request)

    def look(c: sa.Connection, _caller: Caller) -> tuple[dict[str, str], str]:
        there = servers.find(c, request)
        fields = Fields(body.object())
        match = fields.text("match", longest=500) or ""
        fields.done()
        return servers.opened(there.settings, services.vault), match

    settings, match = await reading(request, look, Scope.EDIT_LDAP, Scope.ADMIN)
    try:
        found = await in_thread(lambda: services.engine.ask_directory(settings, match=match))
    except Refused:
        raise
    except RunnerError as error:
        raise Refused(error.message) from error
    return reply(told(found))
