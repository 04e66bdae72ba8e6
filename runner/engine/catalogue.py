"""The systems there are connectors for, as their workers describe them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.model.jobs import Kind

_SOUNDS_SECRET = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
"""For systems whose connector isn't there to say what is secret: rather too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system. Of a broken plug-in only ``id`` and ``broken`` mean anything."""

    id: str
    kind: Kind
    name: str
    short_name: str
    command: str
    file_upload: bool = False
    writes_outside: bool = False
    secrets: tuple[str, ...] = ()  # parameters that are secret, in all spellings
    schema: dict[str, Any] = field(default_factory=dict)  # JSON schema of the parameters
    broken: str | None = None


def is_secret(name: str, system: System | None) -> bool:
    """Whether a parameter of this system is a secret."""
    if system is None or system.broken is not None:
        return _SOUNDS_SECRET.search(name) is not None
    return name in system.secrets


def called(systems: Mapping[str, System], name: str, kind: Kind) -> System | None:
    """The system of this kind that is called so: by id, else by a name or command in any case."""
    if name in systems:
        return systems[name]
    wanted = name.casefold()
    named = [
        system
        for system in systems.values()
        if system.kind is kind
        and wanted in (system.short_name.casefold(), system.name.casefold(), system.command.casefold())
    ]
    return min(named, key=lambda system: system.file_upload, default=None)


def from_description(described: dict[str, Any]) -> dict[str, System]:
    """Build the catalogue from a worker's answer to ``describe``."""
    return {name: _system(name, entry) for name, entry in described.items()}


def _system(name: str, entry: dict[str, Any]) -> System:
    if "broken" in entry:
        return System(
            id=name, kind=Kind.ANALYSIS, name=name, short_name=name, command="", broken=str(entry["broken"])
        )
    return System(
        id=name,
        kind=Kind(entry["kind"]),
        name=str(entry["name"]),
        short_name=str(entry["short_name"]),
        command=str(entry["command"]),
        file_upload=bool(entry["file_upload"]),
        writes_outside=bool(entry["writes_outside"]),
        secrets=tuple(entry["secrets"]),
        schema=entry["schema"],
    )
