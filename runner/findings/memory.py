"""What an import remembers for the next one of the same connection, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

KEY = "analysis"
"""The name under which it is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The last import that succeeded."""

    ref: str = ""
    clues: Mapping[str, str] = field(default_factory=dict)  # what told its project
    listed: int | None = None  # issues it listed; None = there was no import yet
    empty_confirmed: bool = False  # a person stood by it that there was nothing
    digests: Mapping[str, str] = field(default_factory=dict)  # of the findings, by task
    completed: datetime | None = None  # end of the newest scan whose silence was taken at its word

    @classmethod
    def of(cls, memory: Mapping[str, Any]) -> "Memory":
        """Read it from what a context remembers. Whatever doesn't fit counts as not remembered."""
        known = memory.get(KEY)
        if not isinstance(known, dict) or not isinstance(known.get("listed"), int):
            return cls()
        return cls(
            ref=str(known.get("ref", "")),
            clues=_texts(known.get("clues")),
            listed=known["listed"],
            empty_confirmed=known.get("empty_confirmed") is True,
            digests=_texts(known.get("digests")),
            completed=_instant(known.get("completed")),
        )

    def to_json(self) -> dict[str, Any]:
        """As a context remembers it."""
        return {
            "ref": self.ref,
            "clues": dict(self.clues),
            "listed": self.listed,
            "empty_confirmed": self.empty_confirmed,
            "digests": dict(self.digests),
            "completed": None if self.completed is None else self.completed.isoformat(),
        }


def _texts(value: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
