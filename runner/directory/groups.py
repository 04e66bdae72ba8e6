"""Groups: finding them by name, and their members, however many and however deep."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.directory import names
from runner.directory.port import Directory, Entry
from runner.errors import ConfigRejected, IncompleteRead

MEMBERS = ("member", "uniqueMember", "memberUid")
_CLASSES = (
    "(|(objectClass=group)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
)
_NAMES = ("cn", "sAMAccountName")
_RANGE = re.compile(r"^([^;]+);range=(\d+)-(\d+|\*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of a directory."""

    name: str  # as it was asked for
    dn: str


def find(directory: Directory, base: str, name: str, *, active_directory: bool) -> Group:
    """The one group below ``base`` with this name, or with this DN; ``ConfigRejected`` if there isn't one."""
    if "=" in name and names.is_below(name, base):
        entry = directory.read(name, ["cn"])
        if entry is not None:
            return Group(name=name, dn=entry.dn)
    literal = names.escape_filter(name)
    by_name = "".join(f"({each}={literal})" for each in _NAMES[: 2 if active_directory else 1])
    found = list(directory.search(base, f"(&{_CLASSES}(|{by_name}))", ["cn"]))
    if not found:
        msg = (
            f"There is no group {name!r} below {base!r}. Correct the mapping or delete it, or make the group."
        )
        raise ConfigRejected(msg)
    if len(found) > 1:
        dns = " and ".join(entry.dn for entry in found[:2])
        msg = f"{len(found)} groups below {base!r} are called {name!r}: {dns}. Map one of them by its DN."
        raise ConfigRejected(msg)
    return Group(name=name, dn=found[0].dn)


def members(directory: Directory, dn: str) -> dict[str, list[str]] | None:
    """All direct members by attribute; None if there is no such group.

    Active Directory gives a large group's members in portions, and an empty attribute beside
    the first of them; the others have to be asked for.
    """
    entry = directory.read(dn, ["objectClass", *MEMBERS])
    if entry is None:
        return None
    return {name: found for name in MEMBERS if (found := list(_all_of(directory, entry, name)))}


def is_portion(entry: Entry, name: str) -> bool:
    """Whether the server gave only some of an attribute's values."""
    return _portion(entry, name) is not None


def whole(directory: Directory, entry: Entry, name: str) -> Entry:
    """The entry with all values of an attribute. No search may be at its middle."""
    if not is_portion(entry, name):
        return entry
    values = [value.encode() for value in _all_of(directory, entry, name)]
    return Entry(entry.dn, {**entry.values, name.lower(): values})


def _all_of(directory: Directory, entry: Entry, name: str) -> Iterator[str]:
    ranged = _portion(entry, name)
    if ranged is None:
        yield from entry.texts(name)
        return
    expected = 0
    while ranged is not None:
        first, last, values = ranged
        if first != expected or (last is not None and len(values) != last - first + 1):
            msg = f"The members of {entry.dn} came in portions that don't fit together."
            raise IncompleteRead(msg)
        yield from values
        if last is None:
            return
        expected = last + 1
        more = directory.read(entry.dn, [f"{name};range={expected}-*"])
        ranged = None if more is None else _portion(more, name)
    raise IncompleteRead(f"The members of {entry.dn} ended after {expected}, and there were to be more.")


def _portion(entry: Entry, name: str) -> tuple[int, int | None, list[str]] | None:
    """First and last number (None = the end) and values of a portion; None if there is none."""
    for spelled in entry.values:
        found = _RANGE.match(spelled)
        if found and found[1] == name.lower():
            last = None if found[3] == "*" else int(found[3])
            return int(found[2]), last, entry.texts(spelled)
    return None


class Nest:
    """Who is in a group, directly or through groups in it, where the server can't tell by itself."""

    def __init__(self, directory: Directory, bases: Iterable[str]) -> None:
        self._directory = directory
        self._groups = {
            names.key(entry.dn): entry.dn
            for base in dict.fromkeys(bases)
            for entry in directory.search(base, _CLASSES, ["cn"])
        }

    def everybody(self, group: Group) -> tuple[set[str], set[str]]:
        """Keys of the DNs of all members, and members by log-in name. Circles end."""
        people: set[str] = set()
        logins: set[str] = set()
        waiting = [group.dn]
        seen = {names.key(group.dn)}
        while waiting:
            found = members(self._directory, waiting.pop())
            if found is None:
                continue  # a member that is gone, as some servers leave them
            logins.update(found.get("memberUid", ()))
            for dn in (*found.get("member", ()), *found.get("uniqueMember", ())):
                member = names.key(dn)
                if member not in self._groups:
                    people.add(member)
                elif member not in seen:
                    seen.add(member)
                    waiting.append(self._groups[member])
        return people, logins
