"""What the server is given, and what it asks of the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from runner.engine.catalogue import System
from runner.engine.probes import StepTold
from runner.errors import StoreError
from runner.metrics import Metrics
from runner.model.jobs import Connection
from runner.settings import Settings
from runner.store.database import Database
from runner.store.vault import Vault


class EngineFacade(Protocol):
    """The engine, as far as the server needs it. All of it may be called from any thread."""

    def wake(self) -> None:
        """Look for work: a job was committed that may be claimed."""

    def cancel(self, job_id: int) -> None:
        """End a running job whose cancellation is committed."""

    def systems(self) -> Mapping[str, System]:
        """All systems there are connectors for; the first call may take half a second."""

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """Raise ``Refused`` if a system's connector doesn't take these parameters."""

    def completed(self, connection: Connection) -> Connection:
        """The connection with its secrets open, and all that its params only name; ``RunnerError``."""

    def check(self, connection: Connection) -> Sequence[StepTold]:
        """Test a connection, which needn't be stored, without effects; what each step told."""

    def ask_directory(self, settings: Mapping[str, str], *, match: str | None) -> list[dict[str, str]]:
        """Test a directory (``match`` None: the steps), or look for people in it."""

    def status(self) -> dict[str, Any]:
        """What a person wants to know of the engine."""

    def healthy(self) -> bool:
        """Whether its loops make progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What every request is served with."""

    settings_now: Callable[[], Settings]  # those in force: a reload swaps them
    database: Database
    engine: EngineFacade
    vault: Vault
    uploads: Path  # folder of the uploaded files
    clock: Callable[[], datetime]  # aware UTC
    about: Callable[[], Mapping[str, Any]] = dict  # what a daemon that runs jobs says of itself
    ticking: Callable[[], bool] = lambda: True  # whether the scheduler makes progress
    store_refused: Callable[[StoreError], None] = lambda _error: None  # a commit found no room
    # Our history beside a remote server's, by its name; None = there is no such remote.
    reconcile: Callable[[str], Mapping[str, Any] | None] = lambda _name: None
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def settings(self) -> Settings:
        """The settings in force at this moment."""
        return self.settings_now()


def services_of(request: Request) -> Services:
    """The services of the application that a request is for."""
    services: Services = request.app.state.services
    return services
