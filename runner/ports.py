"""The ports: what a connector is, what it is given, and what a platform can do.

Connectors run in worker processes. They see their context and nothing else: no store, no
environment, no wall clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from runner.model.changes import Change, ChangeOutcome, Complete, StoredChange, Values
from runner.model.findings import FindingRow
from runner.model.jobs import Kind
from runner.model.network import Network
from runner.model.platform import Project, Task


class Params(BaseModel):
    """Base of every connector's parameters: validation, form, documentation, redaction.

    A field of type ``pydantic.SecretStr`` is a secret: encrypted in the store, masked on
    every way out. Field descriptions are the documentation.
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True, str_strip_whitespace=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """How a system presents itself in the API."""

    kind: Kind
    name: str  # "Fortify Software Security Center"
    short_name: str  # "Fortify"
    command: str  # "import_fortify"
    file_upload: bool = False  # fed by ``POST /jobs/analysis-file/``


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """The run, as its connector sees it."""

    id: int
    uuid: str
    attempt: int
    automatic: bool
    preview: bool
    only: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that came with the job."""

    path: Path
    name: str  # as the sender called it; never a path
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a connection test."""

    name: str
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a thing is over there that an earlier run made or took over."""

    key: str  # as in the change
    values: Mapping[str, Any]  # what the target assigned, or {} if nothing
    job: int  # number of the run


class Reading(Protocol):
    """One reading of a source, on its way to be proven whole."""

    def complete(self, size: int) -> Complete:
        """Declare that the source's proven end was reached after ``size`` records."""

    def incomplete(self, why: str, *, size: int = 0, additions_hold: bool = False) -> None:
        """Declare that the source was not read whole, and why, in a sentence.

        With ``additions_hold`` the constructive changes are good alone (a report's "fail"
        is true however much it leaves out); else nothing of the run is written.
        """


class PlatformReader(Protocol):
    """The platform as a connector may read it, always paged, never cut."""

    def project(self) -> Project:
        """The connection's project."""

    def tasks(self) -> Iterator[Task]:
        """The project's tasks, in the order of their ids."""


class Context(Protocol):
    """All that a connector is given."""

    @property
    def job(self) -> JobInfo:
        """The run."""

    @property
    def params(self) -> Any:
        """An instance of the connector's ``params`` model."""

    @property
    def attachment(self) -> Attachment | None:
        """The file that came with the job."""

    @property
    def platform(self) -> PlatformReader:
        """The platform, to read from."""

    @property
    def memory(self) -> Mapping[str, Any]:
        """What earlier runs of the connection remembered."""

    @property
    def mapping(self) -> str:
        """The connection's own mapping from weaknesses to tasks, CSV as people wrote it; "" = none."""

    @property
    def scratch(self) -> Path:
        """A folder of the job's own, empty at its start and gone after it."""

    @property
    def now(self) -> datetime:
        """When the run began, UTC."""

    @property
    def network(self) -> Network:
        """The administrator's rules for the network, to be handed to whatever connects.

        They allow writing inside ``apply`` only.
        """

    def reading(self, name: str, *, target_size: int | None = None) -> Reading:
        """Begin a reading; ``target_size`` = how many things the run could destroy."""

    def links(self, kind: str) -> Iterator[Link]:
        """The things of this kind that are known over there; see ``WritesOutside.keeps``."""

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for the connection's next run, if this one succeeds."""

    def found(self, row: FindingRow) -> None:
        """Have a sort of finding kept with the job, for people to look at."""

    def say(self, sentence: str, *, first: bool = False) -> None:
        """Add a sentence to the result message; ``first`` = before all else, for a warning."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a named count of the job's totals, as "findings"."""

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Tell how far the run is; cheap, call it as often as you like."""

    def log(self, event: str, **fields: Any) -> None:
        """Write a line to the job's log."""


class Connector(Protocol):
    """A module for one system."""

    info: ClassVar[SystemInfo]
    params: ClassVar[type[Params]]

    def check(self, ctx: Context) -> Iterable[Step]:
        """Test the connection online, without effects, a step at a time."""

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read both sides and tell what to write. Reads only."""


@runtime_checkable
class WritesOutside(Protocol):
    """What a connector has as well that writes to its own system.

    It may also have ``undo: ClassVar[Mapping[str, Op]]``, which says by kind how a creation
    is taken back; a kind that isn't named there is left alone by a revert. And it may have
    ``keeps: ClassVar[Sequence[str]]``, kinds of things whose links are kept: what a change of
    such a kind was assigned, from the moment it is done until the thing is deleted, even if
    the run fails afterwards. A change on the platform that is assigned nothing is kept as {}.
    """

    batch_size: ClassVar[int]

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Write a batch; tell each change's outcome as soon as it is known."""

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """What is there now, in the terms of ``before`` and ``after``; None = absent.

        What ``apply`` would have told as assigned may stand under ``changes.ASSIGNED``.
        """


class PlatformPages(Protocol):
    """Main's side of a connector's platform readings, a page at a time."""

    def project(self, project_id: int) -> Project:
        """The project, or ``Refused`` if there is none."""

    def tasks(self, project_id: int, *, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Tasks past the cursor ``after`` as JSON, and the next cursor (None = the end)."""
