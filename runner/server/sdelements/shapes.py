"""Things of the store as the API shows them: users, connections, jobs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from runner.engine.catalogue import System
from runner.model.jobs import Connection, Kind
from runner.server.auth import Caller
from runner.server.sdelements.params import masked
from runner.store.accounts import ROLE_NAMES, Role, User
from runner.store.approvals import Approval
from runner.store.connections import Entry
from runner.store.groups import Group
from runner.store.listing import JobView
from runner.store.values import from_json, from_micros
from runner.store.vault import Vault

Shown = dict[str, Any]


def instant(value: datetime | None) -> str | None:
    """An instant as the API writes it: UTC with microseconds."""
    return None if value is None else value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def micros(value: int | None) -> str | None:
    """The same for an instant as the store keeps it."""
    return None if value is None else instant(from_micros(value))


def group_id(number: int) -> str:
    """The id of a group as the API writes it."""
    return f"G{number}"


def user(value: User, groups: Sequence[Group] = ()) -> Shown:
    """A user who is in these groups."""
    names = {role.value: name for role, name in ROLE_NAMES.items()}
    return {
        "id": value.id,
        "email": value.email,
        "first_name": value.first_name,
        "last_name": value.last_name,
        "last_login": instant(value.last_login),
        "date_joined": instant(value.date_joined),
        "is_active": value.is_active,
        "is_superuser": value.is_superuser,
        "role": {"id": value.role, "name": names.get(value.role, names[Role.NONE])},
        "groups": [{"id": group_id(one.id), "name": one.name, "role": one.role} for one in groups],
        "password_reset_in_progress": False,
    }


def system(name: str, known: System | None) -> Shown:
    """A system as newer pages of the original show it."""
    if known is None:
        return {"id": name, "short_name": name, "name": name}
    return {"id": known.id, "short_name": known.short_name, "name": known.name}


def connection(entry: Entry, *, systems: Mapping[str, System], caller: Caller) -> Shown:
    """A connection, as ``/connections/…`` shows it."""
    value: Connection = entry.connection
    known = systems.get(value.system)
    shown: Shown = {
        "id": value.id,
        "kind": value.kind.value,
        "alias": value.alias,
        "system": system(value.system, known),
        "frequency": value.frequency.value,
        "command": value.command,
        "debug_mode": value.debug_mode,
        "inaccessible": value.inaccessible,
        "in_progress": entry.in_progress,
        "is_file_upload": value.is_file_upload,
        "enabled": value.enabled,
        "schedule": value.schedule,
        "timezone": value.timezone,
        "paused": value.paused,
        "declared": value.declared,
        "next_run": instant(entry.next_run),
        "safety": value.safety,
    }
    if value.kind in {Kind.ALM, Kind.ANALYSIS}:
        shown |= {"connector": entry.connector_id, "project": value.project_id}
    if caller.sees(value.kind):
        shown["params"] = _shown_params(value.params, known, caller.clear)
    return shown


class JobStyle(NamedTuple):
    """How jobs are to be shown in one answer."""

    systems: Mapping[str, System]
    caller: Caller
    include: frozenset[str] = frozenset()
    expand: frozenset[str] = frozenset()
    users: Mapping[int, User] = {}
    groups: Mapping[int, Sequence[Group]] = {}
    approvals: Mapping[int, Approval] = {}


def job(view: JobView, style: JobStyle) -> Shown:
    """A job: the union of what the original's pages show."""
    shown: Shown = {
        "id": view.id,
        "user": _person("user", view.user_id, view.user, style),
        "triggered_by": _person("triggered_by", view.triggered_by_id, view.triggered_by, style),
        "succeeded": view.outcome == "succeeded",
        "automatic": view.automatic,
        "ready": view.state == "finished",
        "result_message": view.result_message,
        "last_run": micros(view.last_run),
        "attachment": view.attachment,
        "connection": _connection_of(view, style),
    }
    for name in style.include & _MORE.keys():
        shown[name] = _MORE[name](view)
    if "allowed_by" in style.include:
        shown["allowed_by"] = _approval(style.approvals.get(view.id))
    return shown


def _approval(value: Approval | None) -> Shown | None:
    """What a person allowed a run that was over a ceiling; None = nothing was needed."""
    if value is None:
        return None
    return {"user": value.user, "allowed": value.allowed, "when": instant(value.when)}


def _person(field: str, ident: int | None, email: str | None, style: JobStyle) -> Any:
    known = None if ident is None or field not in style.expand else style.users.get(ident)
    return (email or "") if known is None else user(known, style.groups.get(known.id, ()))


def _connection_of(view: JobView, style: JobStyle) -> Shown:
    known = style.systems.get(view.system)
    shown: Shown = {
        "alias": view.alias,
        "command": view.command,
        "frequency": view.frequency,
        "id": view.connection_id,
        "system": view.system if known is None else known.short_name,
        "inaccessible": view.inaccessible,
    }
    if view.kind in {Kind.ALM, Kind.ANALYSIS}:
        shown["project"] = view.project_id
    if style.caller.sees(Kind(view.kind)):
        shown["params"] = effective_params(view, known, clear=style.caller.clear)
    return shown


def _shown_params(params: Mapping[str, Any], known: System | None, clear: Vault | None) -> Shown:
    return masked(params, known) if clear is None else clear.open(params)


def effective_params(view: JobView, known: System | None, *, clear: Vault | None = None) -> Shown:
    """The params of a job's connection; those of uploads name their file and where it goes."""
    own, inherited = from_json(view.params), from_json(view.inherited) or {}
    params = _shown_params({**inherited, **own}, known, clear)
    if not view.is_file_upload:
        return params
    return {
        "file_upload": view.attachment,
        "sde_project": view.project_id,
        "sde_businessunit": view.business_unit_id,
        "sde_application": view.application_id,
        **params,
    }


_MORE: Mapping[str, Any] = {
    "kind": lambda view: view.kind,
    "uuid": lambda view: view.uuid,
    "system": lambda view: view.system,
    "preview": lambda view: view.preview,
    "only": lambda view: view.only,
    "state": lambda view: view.state,
    "outcome": lambda view: view.outcome,
    "reason": lambda view: view.reason,
    "progress": lambda view: view.progress,
    "totals": lambda view: from_json(view.totals),
    "attempt": lambda view: view.attempt,
    "cancel_requested": lambda view: view.cancel_requested,
    "retry_of": lambda view: view.retry_of,
    "revert_of": lambda view: view.revert_of,
    "created": lambda view: micros(view.created),
    "started": lambda view: micros(view.started),
    "finished": lambda view: micros(view.finished),
}
"""What ``include=`` adds to a job, ``preview`` apart, which adds rows as well."""

INCLUDABLE = (*_MORE, "allowed_by")
