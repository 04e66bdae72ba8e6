"""Connections and jobs.

Sources: the SD Elements API's jobs and connections. Its ``ready`` means "finished" and its
``succeeded`` is half of an outcome; inside, a job has a state and an outcome.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.errors import Reason


class Kind(StrEnum):
    """What family of jobs a system belongs to; a segment of the API's paths."""

    ALM = "alm"  # issue trackers
    ANALYSIS = "analysis"  # scanners; the API's pages also say "verification"
    LDAP = "ldap"  # users and groups from a directory
    DATASYNC = "datasync"  # accounts into a directory


class State(StrEnum):
    """Where a job is on its way through the queue."""

    BEHIND = "behind"  # another job of the same connection is ahead
    PENDING = "pending"  # may be claimed
    RUNNING = "running"  # claimed, by ``owner`` or an agent
    FINISHED = "finished"  # has an outcome


class Outcome(StrEnum):
    """How a finished job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Frequency(StrEnum):
    """How often a connection is due by itself."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    MANUALLY = "manually"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A lasting tie between a project (or the whole platform) and one outside system."""

    id: int
    kind: Kind
    system: str  # name of the connector, as "fortify_file_upload"
    alias: str
    command: str
    frequency: Frequency
    project_id: int | None
    params: dict[str, Any]
    enabled: bool = True
    is_file_upload: bool = False
    debug_mode: bool = False
    inaccessible: bool = False
    safety: dict[str, Any] = field(default_factory=dict)  # overrides of [safety]
    schedule: str | None = None  # a cron expression; it stands in for the frequency
    timezone: str | None = None  # of its schedule; None = the daemon's
    paused: bool = False  # its jobs wait
    remote: str | None = None  # the remote server it belongs to
    remote_id: int | None = None  # its number over there
    remote_project: int | None = None  # the number of its project over there
    declared: str | None = None  # its name in the configuration files, which alone change it


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a connection: asked for, waiting, running or finished."""

    id: int
    uuid: str
    kind: Kind
    connection_id: int
    state: State
    outcome: Outcome | None
    reason: Reason | None
    result_message: str
    automatic: bool
    preview: bool
    only: str | None  # run for this subject alone
    user_id: int | None
    triggered_by_id: int | None
    upload_id: int | None
    attempt: int  # 0 = never claimed
    retries: int = 0  # times the other side asked for later
    owner: str | None  # the daemon or agent that has it
    cancel_requested: bool
    retry_of: int | None
    revert_of: int | None
    totals: dict[str, int]
    progress: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    last_run: datetime  # its last change of state


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that is ours to run, with all its envelope needs."""

    job: Job
    connection: Connection
    project: dict[str, Any] | None
    upload: dict[str, Any] | None  # path, name, size in bytes
    memory: dict[str, Any]  # what the connection's last runs remembered

    def on(self, connection: Connection) -> "Claim":
        """The claim with its connection as it is for the run."""
        return self if connection is self.connection else replace(self, connection=connection)
