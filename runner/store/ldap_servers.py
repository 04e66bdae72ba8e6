"""Directories as the SecurityCenter dialect knows them, which LDAP connections may name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import SealedShut
from runner.model.jobs import Connection, Kind
from runner.store.rows import insert
from runner.store.schema import business_units, connections, ldap_servers
from runner.store.values import from_json, from_micros, to_json, to_micros

NAMED_IN = "directory"
"""The param of an LDAP sync's connection that names a server, by id or name."""

_DESTINATION = "destinationProvider"  # the same of a datasync's job

_METHODS = {"ldaps": "LDAPS", "tls": "StartTLS", "none": "LDAP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapServer:
    """One of them. ``settings`` are texts, as the dialect has them; the password may be sealed."""

    id: int
    name: str
    description: str
    settings: dict[str, Any]
    organizations: list[int]
    created: datetime
    modified: datetime


def every(c: sa.Connection) -> list[LdapServer]:
    """All of them, in the order in which they were made: there are few."""
    return [_server(row) for row in c.execute(sa.select(ldap_servers).order_by(ldap_servers.c.id))]


def get(c: sa.Connection, server_id: int) -> LdapServer | None:
    """The server with this id."""
    row = c.execute(sa.select(ldap_servers).where(ldap_servers.c.id == server_id)).one_or_none()
    return None if row is None else _server(row)


def by_name(c: sa.Connection, name: str) -> LdapServer | None:
    """The server of this name."""
    row = c.execute(sa.select(ldap_servers).where(ldap_servers.c.name == name)).one_or_none()
    return None if row is None else _server(row)


def find(c: sa.Connection, named: str) -> LdapServer | None:
    """The server with this id or name, as connections name it."""
    server = get(c, int(named)) if named.isascii() and named.isdecimal() and len(named) < 19 else None  # noqa: PLR2004 - digits of an id at the most
    return server or by_name(c, named)


def create(
    c: sa.Connection,
    *,
    name: str,
    description: str,
    settings: Mapping[str, Any],
    organizations: Sequence[int],
    now: datetime,
) -> int:
    """Add a server; the id."""
    return insert(
        c,
        ldap_servers,
        name=name,
        description=description,
        settings=to_json(dict(settings)),
        organizations=to_json(list(organizations)),
        created=to_micros(now),
        modified=to_micros(now),
    )


def update(c: sa.Connection, server_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    """Change a server."""
    changed = {
        name: to_json(value) if name in {"settings", "organizations"} else value
        for name, value in values.items()
    }
    c.execute(
        sa.update(ldap_servers)
        .where(ldap_servers.c.id == server_id)
        .values(**changed, modified=to_micros(now))
    )


def delete(c: sa.Connection, server_id: int) -> None:
    """Remove a server that no connection names."""
    c.execute(sa.delete(ldap_servers).where(ldap_servers.c.id == server_id))


def organizations(c: sa.Connection, ids: Sequence[int]) -> list[tuple[int, str]]:
    """Ids and names of those of ``ids`` that business units have."""
    query = sa.select(business_units.c.id, business_units.c.name).where(business_units.c.id.in_(list(ids)))
    return [(row.id, row.name) for row in c.execute(query.order_by(business_units.c.id))]


def named_by(connection: Connection) -> str | None:
    """Which server a connection names, as its params write it; None if none."""
    named = connection.params.get(NAMED_IN)
    if connection.kind is not Kind.LDAP or isinstance(named, bool):
        return None
    return str(named) if isinstance(named, str | int) and str(named).strip() else None


def users_of(c: sa.Connection, server: LdapServer) -> list[int]:
    """The ids of connections that name a server."""
    query = sa.select(connections.c.id, connections.c.kind, connections.c.params).where(
        connections.c.deleted.is_(None),
        sa.or_(*(connections.c.params.contains(f'"{name}"') for name in (NAMED_IN, _DESTINATION))),
    )
    return [
        row.id
        for row in c.execute(query.order_by(connections.c.id))
        if _name_in(Kind(row.kind), from_json(row.params)) in {str(server.id), server.name}
    ]


def _name_in(kind: Kind, params: Mapping[str, Any]) -> str:
    """The server's id or name as a connection's params have it."""
    if kind is Kind.DATASYNC:
        job = params.get("jobInfo")
        return str(job.get(_DESTINATION)) if isinstance(job, Mapping) else ""
    return str(params.get(NAMED_IN))


def params_of(c: sa.Connection, named: str) -> dict[str, Any]:
    """What an LDAP connection that names this server needn't say itself; the password as stored."""
    server = find(c, named)
    if server is None:
        msg = f"The connection names the directory {named!r}, and there is none of this id or name."
        raise SealedShut(msg)
    settings = server.settings
    return {
        "ldap_server": f"{settings['host']}:{settings['port']}",
        "ldap_method": _METHODS[settings["encryption"]],
        "bind_dn": settings["username"],
        "bind_password": settings["password"],
        "base_dn": settings["dn"],
    }


def _server(row: sa.Row[Any]) -> LdapServer:
    return LdapServer(
        id=row.id,
        name=row.name,
        description=row.description,
        settings=from_json(row.settings),
        organizations=from_json(row.organizations),
        created=from_micros(row.created),
        modified=from_micros(row.modified),
    )
