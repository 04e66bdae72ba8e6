"""Jobs and connections as remote servers tell them, in old and new spellings.

``system`` is a text or an object, ``inaccessible`` and ``params`` may be missing. Filters
that a server ignores are the reason why everything is looked at again by who reads this.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.errors import BadInput
from runner.model.jobs import Frequency, Kind
from runner.secrets import MASK


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundConnection:
    """A connection of a remote server."""

    id: int
    kind: Kind
    alias: str
    command: str
    systems: tuple[str, ...]  # all that its system is called, casefolded
    frequency: Frequency
    project: int | None
    params: dict[str, Any] | None  # None = the token's user may not see them
    inaccessible: bool | None  # None = the server doesn't say
    is_file_upload: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJob:
    """A job of a remote server."""

    id: int
    kind: Kind
    ready: bool
    automatic: bool
    succeeded: bool
    message: str
    last_run: str  # in one spelling, whatever the server's is
    attachment: str | None
    connection: FoundConnection
    uuid: str | None = None  # of a server that tells it, which no restore makes twice
    held: bool = False  # by an agent, or by the server itself: it runs, as far as the server says


def read_job(kind: Kind, row: dict[str, Any]) -> FoundJob:
    """Read a job; ``BadInput`` if it can't be one."""
    there = row.get("connection")
    if not isinstance(there, dict):
        raise BadInput(f"Job {row.get('id')} doesn't tell its connection.")
    attachment = row.get("attachment")
    return FoundJob(
        id=_number(row.get("id"), "a job's id"),
        kind=kind,
        ready=_flag(row.get("ready"), "ready"),
        automatic=row.get("automatic") is True,
        succeeded=row.get("succeeded") is True,
        message=_text(row.get("result_message")),
        last_run=spelled(_text(row.get("last_run"))),
        attachment=None if attachment in (None, "") else str(attachment),
        connection=read_connection(kind, there),
        uuid=None if row.get("uuid") is None else str(row["uuid"]),
        held=row.get("state") == "running",
    )


def read_connection(kind: Kind, row: dict[str, Any]) -> FoundConnection:
    """Read a connection; ``BadInput`` if it can't be one."""
    frequency, params = _text(row.get("frequency")).lower(), row.get("params")
    flag = row.get("inaccessible")
    project = row.get("project")
    if isinstance(project, dict):
        project = project.get("id")
    return FoundConnection(
        id=_number(row.get("id"), "a connection's id"),
        kind=kind,
        alias=_text(row.get("alias")),
        command=_text(row.get("command")),
        systems=_systems(row.get("system")),
        frequency=Frequency(frequency) if frequency in set(Frequency) else Frequency.MANUALLY,
        project=project if isinstance(project, int) else None,
        # A mask is no password: what is masked isn't there.
        params={name: value for name, value in params.items() if value != MASK}
        if isinstance(params, dict)
        else None,
        inaccessible=flag if isinstance(flag, bool) else None,
        is_file_upload=row.get("is_file_upload") is True,
    )


_RUN = "run "


def seen_as(uuid: str) -> str:
    """What a claimed job is known by: its run, which no restore makes twice."""
    return _RUN + uuid


def run_of(seen: str) -> str:
    """The run of a claimed job, by what it is known by."""
    return seen.removeprefix(_RUN)


def spelled(instant: str) -> str:
    """An instant in one spelling: UTC, with microseconds; what isn't one stays as it is."""
    try:
        value = datetime.fromisoformat(instant)
    except ValueError:
        return instant
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _systems(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = [value.get(name) for name in ("id", "short_name", "name")]
    parts = value if isinstance(value, list) else [value]
    return tuple(str(part).casefold() for part in parts if part not in (None, ""))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"The server tells {value!r} as {what}.")
    return value


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"The server tells {value!r} as {what}.")
    return value
