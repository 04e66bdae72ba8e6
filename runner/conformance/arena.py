"""The arena: all that the kit has to be told of one connector and the world around it.

A package writes one per connector. The methods that have a body here are right for most;
those without one are each connector's own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from runner.conformance.platform import Platform, State
from runner.model.jobs import Kind

TASKS: Sequence[Mapping[str, Any]] = [
    {"task_id": f"T{number}", "title": title, "priority": number + 3, "phase": "development"}
    for number, title in enumerate(
        (
            "Check what comes in",
            "Escape what goes out",
            "Keep secrets out of the code",
            "Log who did what",
            "Bind values in queries",
        ),
        start=1,
    )
]
"""Tasks of a project, for connectors that don't mind which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    """A record that the connector can't handle."""

    named: str  # what the job's message has to name it by
    keys: Collection[str]  # of the things in the target that it was about


class Arena(ABC):
    """One connector with a source and a target, built anew for each test.

    ``rng`` is seeded: in two worlds of the same seed the same things happen.
    """

    system: ClassVar[str]
    """Name of the connector, as its entry point is called."""

    kind: ClassVar[Kind] = Kind.ALM

    destroys: ClassVar[bool] = True
    """Whether it ever plans anything destructive. If not, the kit makes sure of that."""

    writes_outside: ClassVar[bool] = False
    """Whether it writes to its own system: then its process is killed in the middle of that, too."""

    not_revertible: ClassVar[Mapping[str, str]] = {}
    """Kinds of things whose creation nothing takes back, with the reason. ``readme`` has to name them."""

    readme: ClassVar[Path | None] = None
    """What the connector tells its users."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """Names of the kit's tests that this connector can't be put to, each with the reason."""

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        self.folder = folder  # empty, and the arena's own
        self.platform = platform
        self.rng = rng

    # --- the source ----------------------------------------------------------------------

    @abstractmethod
    def build(self) -> None:
        """Make a source and a target that differ, so that a run has a bit of everything to do.

        Five to ten changes are enough; the kit crashes at each of them.
        """

    @abstractmethod
    def change_source(self) -> None:
        """Change the source at random, as people do from day to day."""

    @abstractmethod
    def wipe_source(self) -> None:
        """Take nearly all out of the source, in earnest: a run would take it out of the target too."""

    @abstractmethod
    def cut_source(self) -> None:
        """Make the source give less than it has, in a way the connector can notice."""

    @abstractmethod
    def spoil_record(self) -> BadRecord:
        """Make one of the source's records such that the connector can't handle it."""

    def upload(self) -> Path | None:
        """The file that comes with each job; None if there is none."""
        return None

    # --- the connection ------------------------------------------------------------------

    @abstractmethod
    def params(self) -> Mapping[str, Any]:
        """The connection's parameters, as a person enters them."""

    def settings(self) -> Mapping[str, Any]:
        """Settings of the daemon that the connection leans on, as sections of its configuration."""
        return {}

    def secrets(self) -> Collection[str]:
        """Values among the parameters that must never be seen again; six characters at least."""
        return ()

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """The project's tasks; see ``runner.store.tasks.add`` for the fields."""
        return TASKS

    # --- the target ----------------------------------------------------------------------

    def state(self) -> State:
        """All that is in the target, by the key that the changes carry."""
        return self.platform.state()

    def edit(self, key: str) -> None:
        """Let somebody else change the thing with this key, or make it again if it is gone."""
        self.platform.edit(key)

    # --- troubles ------------------------------------------------------------------------

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """Ways in which the source or the target can be out of order, each as a deed by its name.

        After each, a run has to fail with a reason that a person can act on, and write nothing.
        """
        return {}

    def errors(self) -> Iterable[BaseException]:
        """What the libraries that the connector uses can raise, one of each class."""
        from runner.conformance.library_errors import library_errors

        return library_errors()
