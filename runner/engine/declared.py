"""Connections of the configuration files: proven good as a whole, then stored as a whole."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from runner.engine.catalogue import System, is_secret
from runner.errors import Refused, RunnerError, SettingsInvalid
from runner.model.jobs import Connection, Kind
from runner.secrets import dereference, is_reference
from runner.settings import Declaration, Settings, SharedParams
from runner.store import declared as store
from runner.store import work
from runner.store.database import Database
from runner.store.declared import Applied, Shared, Wish
from runner.store.vault import Seal

_log = structlog.get_logger(part="configuration")


class Connectors(Protocol):
    """Who knows the systems and their parameters."""

    def systems(self) -> Mapping[str, System]:
        """All systems there are connectors for."""

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """Raise ``Refused`` if a system's connector doesn't take these parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the store is to hold."""

    connections: list[Wish] = field(default_factory=list)
    connectors: list[Shared] = field(default_factory=list)


def wishes(settings: Settings, database: Database, connectors: Connectors) -> Wishes:
    """What the store is to hold; ``SettingsInvalid`` names all that is wrong with all of them."""
    found, wrong = Wishes(), []
    if not (settings.connection or settings.connector):
        return found
    with database.read() as c:
        stored, shared = store.systems(c), store.shared_systems(c)
        projects = {one.name: _project(c, one) for one in settings.connection}
    for name, below in settings.connector.items():
        try:
            found.connectors.append(_shared(name, below, shared.get(name), connectors))
        except SettingsInvalid as error:
            wrong.append(f"connector {name}: {error.message}")
    for one in settings.connection:
        try:
            system = examine(one, settings, connectors)
            found.connections.append(_wish(one, system, stored.get(one.name), projects[one.name]))
        except SettingsInvalid as error:
            wrong.append(f"connection {one.name}: {error.message}")
    if wrong:
        raise SettingsInvalid("\n".join(wrong))
    return found


def examine_shared(one: SharedParams, connectors: Connectors) -> System:
    """A connector's system, if it is good by itself."""
    system = _system(one.system, None, connectors)
    with_secrets(one.params, system)
    return system


def _shared(name: str, one: SharedParams, before: str | None, connectors: Connectors) -> Shared:
    """A connector as it is to be. Its params are judged with a connection's: alone they needn't be whole."""
    system = examine_shared(one, connectors)
    _same(before, one.system)
    return Shared(
        name=name,
        kind=system.kind,
        system=system.id,
        columns={"name": one.alias or name, "params": one.params, "editable": one.editable},
    )


def _same(before: str | None, system: str) -> None:
    if before not in (None, system):
        msg = f"it was declared for {before} before; what is for {system} needs another name."
        raise SettingsInvalid(msg)


def examine(one: Declaration, settings: Settings, connectors: Connectors) -> System:
    """Its system, if a declared connection is good by itself, whatever the store holds."""
    system = _system(one.system, one.kind, connectors)
    if one.project is None and system.kind in {Kind.ALM, Kind.ANALYSIS}:
        raise SettingsInvalid("it needs a project.")
    if one.group_mappings and system.kind is not Kind.LDAP:
        raise SettingsInvalid("group_mappings are for LDAP only.")
    try:
        connectors.validate(system.id, with_secrets(settings.params_of(one), system))
    except Refused as error:
        raise SettingsInvalid(f"{error.field or 'params'}: {error.message}") from error
    return system


def _wish(one: Declaration, system: System, before: str | None, project: int | str | None) -> Wish:
    _same(before, one.system)
    if isinstance(project, str):
        raise SettingsInvalid(project)
    return Wish(
        name=one.name,
        kind=system.kind,
        system=system.id,
        command=system.command,
        connector=one.connector,
        columns={
            "alias": one.alias or one.name,
            "frequency": one.frequency,
            "schedule": one.schedule,
            "timezone": one.timezone,
            "project_id": project,
            "enabled": one.enabled,
            "params": one.params,
            "safety": one.safety,
        },
        group_mappings=[(mapping.ldap_group, mapping.group) for mapping in one.group_mappings],
    )


def _system(name: str, kind: Kind | None, connectors: Connectors) -> System:
    known = connectors.systems()
    system = known.get(name)
    if system is None:
        raise SettingsInvalid(f"there is no connector {name!r}; there are {', '.join(sorted(known))}.")
    if system.broken is not None:
        raise SettingsInvalid(f"the connector {name} can't be loaded: {system.broken}")
    if system.file_upload:
        raise SettingsInvalid(f"{name} takes files: they make their connections themselves.")
    if kind not in (None, system.kind):
        raise SettingsInvalid(f"kind: {name} is of the kind {system.kind}.")
    return system


def _project(c: sa.Connection, one: Declaration) -> int | str | None:
    """The project's number; a sentence if there is none."""
    if one.project is None:
        return None
    if isinstance(one.project, int):
        there = work.project(c, one.project) is not None
        return one.project if there else f"project: there is no project {one.project}."
    found = store.project_ids(c, one.project)
    if len(found) == 1:
        return found[0]
    if found:
        return f'project: {one.project!r} are several; write "Business unit/Application/{one.project}".'
    return f"project: there is no project {one.project!r}."


def with_secrets(params: Mapping[str, Any], system: System | None) -> dict[str, Any]:
    """Params with what their secrets' references name; ``SettingsInvalid`` if one can't be had."""
    found = dict(params)
    for name, value in params.items():
        if isinstance(value, str) and is_secret(name, system) and is_reference(value):
            try:
                found[name] = dereference(value, os.environ)
            except ValueError as error:
                raise SettingsInvalid(f"params.{name}: {error}.") from None
    return found


def literal_secrets(settings: Settings, systems: Mapping[str, System]) -> list[str]:
    """Names of declared secrets that stand in the files as plain text."""
    shared = [(f"connector {name}", one.system, one.params) for name, one in settings.connector.items()]
    own = [(f"connection {one.name}", one.system, one.params) for one in settings.connection]
    return [
        f"{what}: params.{name}"
        for what, system, params in (*shared, *own)
        for name, value in params.items()
        if value and is_secret(name, systems.get(system)) and not is_reference(str(value))
    ]


def resolved(connection: Connection, systems: Callable[[], Mapping[str, System]]) -> Connection:
    """A connection for its run. Only what is declared may name secrets: text of the API is text."""
    if connection.declared is None:
        return connection
    try:
        system = systems().get(connection.system)
    except RunnerError:
        system = None  # then what sounds like a secret counts as one
    return replace(connection, params=with_secrets(connection.params, system))


def rotated(stored: Connection, used: Connection, systems: Callable[[], Mapping[str, System]]) -> bool:
    """Whether the places that a connection names hold other secrets by now than a run of it used."""
    try:
        return resolved(stored, systems).params != used.params
    except SettingsInvalid:
        return False  # nothing to try again with


def put_in_force(database: Database, wanted: Wishes, *, seal: Seal, now: datetime) -> Applied:
    """Store all of it in one transaction; a secret that stands in a file is sealed, a reference isn't one."""

    def sealed(system: str, params: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
        plain = {name for name, value in params.items() if isinstance(value, str) and is_reference(value)}
        rest = {name: value for name, value in params.items() if name not in plain}
        return {**params, **seal(system, rest, stored)}

    done = database.write(
        partial(store.apply, wishes=wanted.connections, shared=wanted.connectors, seal=sealed, now=now)
    )
    if done.added or done.changed or done.removed:
        _log.info(
            "declared_connections_were_applied",
            added=done.added,
            changed=done.changed,
            removed=done.removed,
        )
    return done
