"""The fields that ``--json`` prints: stable names, documented in docs/commands.md.

They are ours and not the API's: an API of another version is translated here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from runner.cli.refusals import Json
from runner.model.changes import DESTRUCTIVE

Fields: TypeAlias = Mapping[str, Callable[[Json], Any]]


def _same(*names: str) -> dict[str, Callable[[Json], Any]]:
    return {name: partial(_read, name) for name in names}


def _read(name: str, row: Json) -> Any:
    return row.get(name)


def _of_connection(name: str) -> Callable[[Json], Any]:
    return lambda row: (row.get("connection") or {}).get(name)


def _system(row: Json) -> Any:
    """The system's id; pages of the API spell it out as an object here and there."""
    system = row.get("system")
    return system.get("id") if isinstance(system, dict) else system


DETAILS = (
    "kind,system,state,outcome,reason,totals,progress,attempt,retry_of,revert_of,allowed_by,"
    "created,started,finished"
)
"""What the API is asked to add to jobs by ``include=``; adding ``preview`` adds previews' rows too."""

JOB: Fields = {
    "id": lambda row: row["id"],
    "kind": lambda row: row.get("kind"),
    "connection": _of_connection("id"),
    "alias": _of_connection("alias"),
    "system": lambda row: row.get("system") or _system(row.get("connection") or {}),
    "project": _of_connection("project"),
    "state": lambda row: row.get("state"),
    "outcome": lambda row: row.get("outcome"),
    "reason": lambda row: row.get("reason"),
    "message": lambda row: row.get("result_message"),
    "automatic": lambda row: row.get("automatic"),
    "preview": lambda row: row.get("preview", False),
    **_same("attempt", "retry_of", "revert_of", "user", "triggered_by", "allowed_by", "totals", "progress"),
    **_same("created", "started", "finished"),
}

CHANGE: Fields = {
    **_same("sequence", "target", "op"),
    "destructive": lambda row: row.get("op") in DESTRUCTIVE,
    **_same("kind", "key", "subject", "before", "after", "state", "error", "why"),
}

ENTRY: Fields = {
    **_same("job", "sequence", "when", "user", "triggered_by", "allowed_by", "connection", "alias", "system"),
    **{name: read for name, read in CHANGE.items() if name != "sequence"},
}

CONNECTION: Fields = {
    "id": lambda row: row["id"],
    "kind": lambda row: row.get("kind"),
    "alias": lambda row: row.get("alias"),
    "system": _system,
    **_same("project", "frequency", "enabled", "inaccessible", "is_file_upload", "next_run"),
    **_same("schedule", "timezone", "paused"),
}

CONNECTION_WHOLE: Fields = {**CONNECTION, **_same("command", "debug_mode", "safety", "params")}

LOG_LINE: Fields = _same("id", "when", "attempt", "event", "fields")

FINDING: Fields = _same("category", "cwes", "severity", "number", "via", "mapped", "tasks", "examples")

PLUGIN: Fields = _same("id", "kind", "name", "short_name", "command", "is_file_upload", "broken")

PARAMETER: Fields = {
    "name": lambda row: row["name"],
    "type": lambda row: "string" if row["field_type"] == "masked_string" else row["field_type"],
    "required": lambda row: row["required"],
    "secret": lambda row: row["field_type"] == "masked_string",
    "default": lambda row: row["default"],
    "options": lambda row: [option["value"] for option in row["options"]],
    "description": lambda row: row["description"],
}

TOKEN: Fields = _same("id", "user", "scopes", "created", "expires", "last_used")

STATUS: Fields = {
    "ready": lambda row: not row.get("not_ready"),
    **_same("not_ready", "state", "paused"),
    "frozen_until": lambda row: (row.get("engine") or {}).get("frozen_until"),
    "next_run": lambda row: (row.get("scheduler") or {}).get("next"),
    **_same("scheduler", "remotes", "configuration", "version", "schema", "jobs"),
    "running": lambda row: (row.get("engine") or {}).get("running"),
    "slots": lambda row: (row.get("engine") or {}).get("slots"),
    **_same("connections", "broken_systems", "failures", "now"),
}


def pick(fields: Fields, row: Json) -> Json:
    """The documented fields of one row, in their order."""
    return {name: read(row) for name, read in fields.items()}
