"""Which of a remote server's connections are ours, and which connector here runs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from runner.model.jobs import Kind
from runner.sdelements.jobs import FoundConnection
from runner.settings import Remote


class Connector(Protocol):
    """What has to be known of a connector."""

    @property
    def id(self) -> str:
        """Its name here."""

    @property
    def kind(self) -> Kind:
        """The family of its jobs."""

    @property
    def name(self) -> str:
        """What its system is called."""

    @property
    def short_name(self) -> str:
        """What its system is called for short."""

    @property
    def command(self) -> str:
        """What its connections' ``command`` says."""

    @property
    def file_upload(self) -> bool:
        """Whether it wants a file with each job."""

    @property
    def broken(self) -> str | None:
        """Why it can't be used."""


_SPELLINGS = {"sync_whitehat": "import_whitehat", "sync_sentinel": "import_whitehat"}
"""Commands that mean another one: the vendor's pages don't agree with its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about one connection."""

    system: str | None  # name of the connector; None = it isn't run here
    why: str = ""  # if nobody serves it: a sentence's end; "" = it isn't ours
    blind: bool = False  # it is taken, and the server doesn't say whether it is ours


def judge(found: FoundConnection, settings: Remote, systems: Mapping[str, Connector]) -> Verdict:
    """Decide about a connection by ``take``, by what it is, and by what there is to run it."""
    if found.inaccessible is None and settings.take == "inaccessible":
        return Verdict(system=None)
    if found.inaccessible is False and settings.take != "pending":
        return Verdict(system=None)
    system = connector_of(found, systems)
    if system is None:
        wanted = found.command or " ".join(found.systems) or "a system without a name"
        return Verdict(system=None, why=f"there is no connector for {wanted}")
    if settings.systems and system not in settings.systems:
        return Verdict(system=None)
    if found.is_file_upload or systems[system].file_upload:
        return Verdict(system=None, why="it wants an uploaded file, which only the server itself has")
    if found.params is None:
        return Verdict(system=None, why="the token's user may not see its params; permit editing connections")
    return Verdict(system=system, blind=found.inaccessible is None)


def connector_of(found: FoundConnection, systems: Mapping[str, Connector]) -> str | None:
    """The connector for a connection: by its command, else by what its system is called."""
    usable = [one for one in systems.values() if one.broken is None and one.kind is found.kind]
    # Those that go without a file first: two of one scanner may share a command.
    usable.sort(key=lambda one: (one.file_upload, one.id))
    command = _SPELLINGS.get(found.command, found.command)
    for one in usable:
        if command and _SPELLINGS.get(one.command, one.command) == command:
            return one.id
    for one in usable:
        if {one.id.casefold(), one.short_name.casefold(), one.name.casefold()}.intersection(found.systems):
            return one.id
    return None
