"""LDAP servers as the dialect's clients list, add, change and remove them."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.errors import Refused
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields, no_such, whole
from runner.server.replies import Invalid, not_found, reply
from runner.server.securitycenter.envelope import told
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import ldap_servers as store
from runner.store.accounts import Scope
from runner.store.ldap_servers import LdapServer
from runner.store.values import to_micros
from runner.store.vault import Vault, is_sealed

Shown = dict[str, Any]

SET = "SET"
"""What stands where a password is stored; written back it means unchanged."""

USUAL = {
    "host": "",
    "port": "",
    "encryption": "",
    "dn": "",
    "dnsField": "dNSHostName",
    "lowercase": "false",
    "timeLimit": "3600",
    "password": "",
    "username": "",
    "attrEmail": "",
    "attrName": "",
    "attrPhone": "",
    "attrUsername": "",
    "searchString": "",
}
"""The settings of a server with what each is where nothing is said."""

NEEDED = ("host", "port", "encryption", "dn")
_CHOICES = {"encryption": ("ldaps", "none", "tls"), "lowercase": ("true", "false")}
_OPEN = ("id", "name", "description")
_FOR_ADMINISTRATORS = (*USUAL, "createdTime", "modifiedTime", "organizations")
_WHERE = ("host", "port", "encryption")
"""Settings that say where the password goes and how it is protected on the way."""

_HIGHEST_PORT = 65535
_LONGEST = 2_000


def show(c: sa.Connection, server: LdapServer, names: frozenset[str]) -> Shown:
    """The fields of a server that were asked for; its id comes always."""
    settings = server.settings
    everything: dict[str, Callable[[], Any]] = {
        "id": lambda: str(server.id),
        "name": lambda: server.name,
        "description": lambda: server.description,
        **{name: lambda name=name: settings.get(name, USUAL[name]) for name in USUAL},  # type: ignore[misc]  # bound early
        "password": lambda: SET if settings.get("password") else "",
        "createdTime": lambda: str(to_micros(server.created) // 1_000_000),
        "modifiedTime": lambda: str(to_micros(server.modified) // 1_000_000),
        "organizations": lambda: [
            {"id": str(ident), "name": name, "description": ""}
            for ident, name in store.organizations(c, server.organizations)
        ],
    }
    return {name: tell() for name, tell in everything.items() if name == "id" or name in names}


def names_for(request: Request, caller: Caller) -> frozenset[str]:
    """The fields that a request asks for, without those that its caller may not see."""
    given = request.query_params.get("fields", "")
    asked = {name.strip() for name in given.split(",")} - {""} or set(_OPEN)
    allowed = {*_OPEN, *(_FOR_ADMINISTRATORS if caller.may(Scope.ADMIN) else ())}
    return frozenset(asked & allowed)


EVERYTHING = frozenset({*_OPEN, *_FOR_ADMINISTRATORS})


def find(c: sa.Connection, request: Request) -> LdapServer:
    """The server that a path names."""
    found = store.get(c, request.path_params["server_id"])
    if found is None:
        raise not_found()
    return found


async def list_servers(request: Request) -> Response:
    """Tell all servers."""

    def look(c: sa.Connection, caller: Caller) -> list[Shown]:
        names = names_for(request, caller)
        return [show(c, server, names) for server in store.every(c)]

    return reply(told(await reading(request, look, Scope.READ)))


async def show_server(request: Request) -> Response:
    """Tell one server."""

    def look(c: sa.Connection, caller: Caller) -> Shown:
        return show(c, find(c, request), names_for(request, caller))

    return reply(told(await reading(request, look, Scope.READ)))


def read_settings(fields: Fields, *, create: bool) -> dict[str, str]:
    """The settings that a body names, checked; ``fields`` keeps what is wrong."""
    given: dict[str, str] = {}
    for name in USUAL:
        value = fields.text(name, required=create and name in NEEDED, longest=_LONGEST)
        if value is None:
            continue
        given[name] = value if name == "password" else value.strip()
        if name in _CHOICES and given[name] not in _CHOICES[name]:
            fields.wrong(name, f"It must be one of {', '.join(_CHOICES[name])}.")
        elif name in {"port", "timeLimit"}:
            number = whole(given[name])
            if number is None or not 0 < number <= (_HIGHEST_PORT if name == "port" else 2**31):
                fields.wrong(name, "It must be a valid number.")
        elif name in {"host", "dn"} and not given[name]:
            fields.wrong(name, "It may not be blank.")
    return given


def laid_over(stored: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What ``given`` makes of the stored settings; refuses to take a password elsewhere."""
    result = {**USUAL, **stored, **given}
    if given.get("password", SET) == SET:
        result["password"] = stored.get("password", "")
        moved = [name for name in _WHERE if name in stored and result[name] != stored[name]]
        if moved and result["password"]:
            text = f"{', '.join(moved)} changes where the password goes; give it again."
            raise Invalid({"password": [text]})
    return result


def sealed(settings: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """Settings as they are stored."""
    return vault.seal(settings, lambda name: name == "password")


def _read_head(
    c: sa.Connection, fields: Fields, values: Mapping[str, Any], *, create: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    name = fields.text("name", required=create, blank=False, longest=255)
    description = fields.text("description", longest=_LONGEST)
    if name is not None:
        found["name"] = name.strip()
    if description is not None:
        found["description"] = description
    if "organizations" in values:
        found["organizations"] = _organizations(c, fields, values["organizations"])
    return found


def _organizations(c: sa.Connection, fields: Fields, given: Any) -> list[int]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        fields.wrong("organizations", "Expected a list of objects with an id.")
        return []
    numbers = [whole(one.get("id")) for one in given]
    known = {ident for ident, _ in store.organizations(c, [one for one in numbers if one is not None])}
    for one, number in zip(given, numbers, strict=True):
        if number not in known:
            fields.wrong("organizations", no_such(one.get("id")))
    return sorted(known)


async def create_server(request: Request) -> Response:
    """Add a server."""
    body, services = await read_body(request), services_of(request)

    def create(c: sa.Connection, _caller: Caller) -> Shown:
        values = body.object()
        fields = Fields(values)
        head = _read_head(c, fields, values, create=True)
        given = read_settings(fields, create=True)
        fields.done()
        if store.by_name(c, head["name"]) is not None:
            raise Invalid({"name": ["There is one of this name already."]})
        settings = sealed(laid_over({}, given), services.vault)
        made = store.create(
            c,
            name=head["name"],
            description=head.get("description", ""),
            settings=settings,
            organizations=head.get("organizations", []),
            now=services.clock(),
        )
        return _again(c, made)

    return reply(told(await writing(request, create, Scope.ADMIN)))


def _again(c: sa.Connection, server_id: int) -> Shown:
    found = store.get(c, server_id)
    assert found is not None  # it was written in this transaction
    return show(c, found, EVERYTHING)


async def patch_server(request: Request) -> Response:
    """Change what is given of a server."""
    body, services = await read_body(request), services_of(request)

    def change(c: sa.Connection, _caller: Caller) -> Shown:
        there = find(c, request)
        values = body.object()
        fields = Fields(values)
        head = _read_head(c, fields, values, create=False)
        given = read_settings(fields, create=False)
        fields.done()
        same = store.by_name(c, head["name"]) if "name" in head else None
        if same is not None and same.id != there.id:
            raise Invalid({"name": ["There is one of this name already."]})
        if given:
            head["settings"] = sealed(laid_over(there.settings, given), services.vault)
        if head:
            store.update(c, there.id, head, now=services.clock())
        return _again(c, there.id)

    return reply(told(await writing(request, change, Scope.ADMIN)))


async def delete_server(request: Request) -> Response:
    """Remove a server, unless a connection names it."""

    def delete(c: sa.Connection, _caller: Caller) -> None:
        there = find(c, request)
        named = store.users_of(c, there)
        if named:
            numbers = ", ".join(str(ident) for ident in named)
            raise Refused(f"Connections name it ({numbers}); change these first.", status=403)
        store.delete(c, there.id)

    await writing(request, delete, Scope.ADMIN)
    return reply(told(""))


def opened(settings: Mapping[str, Any], vault: Vault) -> dict[str, str]:
    """Settings as a directory is asked with: texts, the password open."""
    shown = vault.open(settings) if is_sealed(settings.get("password")) else settings
    return {name: str(shown.get(name, usual)) for name, usual in USUAL.items()}
