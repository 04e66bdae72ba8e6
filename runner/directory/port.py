"""The port: a directory in six operations, whatever library stands behind it.

One connection is one conversation: a search has to be read to its end, or left for good,
before the next operation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from runner.errors import SkipRecord

Values: TypeAlias = Sequence[bytes | str]
"""Values of one attribute; text is sent as UTF-8."""


class Scope(StrEnum):
    """How far below its base a search looks."""

    BASE = "base"  # the entry itself
    ONE = "one"  # what hangs right below it
    SUBTREE = "subtree"  # itself and all below


class Edit(StrEnum):
    """What a modification does to the values of an attribute."""

    ADD = "add"
    DELETE = "delete"  # of these values; without any, of all
    REPLACE = "replace"  # by these values; without any, by nothing


@dataclass(frozen=True, slots=True)
class Modification:
    """One step of a modification; a modification's steps are made together or not at all."""

    edit: Edit
    attribute: str
    values: Values = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read; names of attributes are in lower case, options included."""

    dn: str
    values: Mapping[str, Sequence[bytes]]

    def texts(self, name: str) -> list[str]:
        """All values of an attribute as text; none if it isn't there. Bad UTF-8 is shown as �."""
        return [value.decode("utf-8", "replace") for value in self.values.get(name.lower(), ())]

    def text(self, name: str) -> str:
        """The first value of an attribute as text; "" if it isn't there."""
        found = self.values.get(name.lower())
        return found[0].decode("utf-8", "replace") if found else ""


class Declined(SkipRecord):
    """The directory refused one operation; others may do.

    ``code`` is LDAP's result code. ``ad`` is Active Directory's own, as eight hexadecimal
    digits, or "": go by it first, for the same refusal comes with different result codes.
    """

    def __init__(self, message: str, *, code: int, ad: str = "", detail: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.code = code
        self.ad = ad


class Directory(Protocol):
    """An open connection to a directory, logged in."""

    def search(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        *,
        scope: Scope = Scope.SUBTREE,
    ) -> Iterator[Entry]:
        """All entries that fit, page by page, to the proven end.

        Whatever ends it earlier raises: ``IncompleteRead`` if the server stopped, ran into a
        limit or told that a part of the tree is on another server (referrals are never
        followed), ``Unreachable`` if it is gone, ``ConfigRejected`` if the base isn't there.
        """

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        """One entry by its DN; None if it isn't there. "" is what the server tells of itself."""

    def add(self, dn: str, attributes: Mapping[str, Values]) -> None:
        """Make an entry; ``Declined`` if the directory won't."""

    def modify(self, dn: str, steps: Sequence[Modification]) -> None:
        """Change an entry's attributes, all of them or none; ``Declined`` if the directory won't."""

    def move(self, dn: str, *, rdn: str, parent: str | None = None) -> str:
        """Rename an entry, and with ``parent`` hang it there; its new DN."""

    def delete(self, dn: str) -> None:
        """Delete an entry that has nothing below it; ``Declined`` if the directory won't."""

    def close(self) -> None:
        """Say good-bye."""
