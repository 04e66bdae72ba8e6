"""The directory as a datasync job sees it: its dialect, its objects, their state.

Two dialects: Active Directory, and plain directories as OpenLDAP, where an account without
a password is what a disabled one is elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.connectors.datasync.destination import exactly
from runner.connectors.datasync.job import Kind, Objects
from runner.connectors.datasync.passwords import Policy
from runner.directory import ad, groups, names
from runner.directory.port import Directory, Edit, Entry, Modification

NORMAL_DISABLED = str(ad.NORMAL | ad.DISABLED)
_COMPLEX = 1  # of pwdProperties
_AT_ONCE = 50  # objects looked up by one search
_GLOBAL_SECURITY = "-2147483646"  # groupType of an ordinary group

_CLASSES: Mapping[Kind, tuple[Sequence[str], Sequence[str]]] = {
    # kind: object classes in Active Directory, and elsewhere
    Kind.USER: (
        ("top", "person", "organizationalPerson", "user"),
        ("top", "person", "organizationalPerson", "inetOrgPerson"),
    ),
    Kind.CONTACT: (
        ("top", "person", "organizationalPerson", "contact"),
        ("top", "person", "organizationalPerson", "inetOrgPerson"),
    ),
    Kind.GROUP: (("top", "group"), ("top", "groupOfNames")),
}

State = dict[str, Any]
"""An object as changes tell it: attributes (text, or a sorted list), ``container``, ``enabled``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a directory tells of itself."""

    active_directory: bool
    root: str  # DN of the naming context
    policy: Policy


def domain(directory: Directory, base: str) -> Domain:
    """Ask what sort of directory it is and what it wants of passwords."""
    if not ad.is_active_directory(directory):
        parts = names.split(base)
        found = [part for part in parts if part.lower().startswith("dc=")]
        return Domain(active_directory=False, root=",".join(found or parts[-1:]), policy=Policy())
    root_entry = directory.read("", ["defaultNamingContext"])
    root = "" if root_entry is None else root_entry.text("defaultNamingContext")
    rules = directory.read(root, ["minPwdLength", "pwdProperties"])
    policy = Policy()
    if rules is not None:
        policy = Policy(
            length=_number(rules.text("minPwdLength")),
            complexity=bool(_number(rules.text("pwdProperties")) & _COMPLEX),
        )
    return Domain(active_directory=True, root=root, policy=policy)


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else 0


def classes(kind: Kind, *, active_directory: bool) -> Sequence[str]:
    """Object classes of a new object."""
    return _CLASSES[kind][0 if active_directory else 1]


def more_for_new(kind: Kind, *, active_directory: bool) -> dict[str, list[str]]:
    """What a new object gets besides its attributes. Accounts begin disabled."""
    if not active_directory:
        return {}
    if kind is Kind.USER:
        return {"userAccountControl": [NORMAL_DISABLED]}
    return {"groupType": [_GLOBAL_SECURITY]} if kind is Kind.GROUP else {}


def attributes_to_read(objects: Objects) -> list[str]:
    """What is read of each object."""
    more = ["sAMAccountName", "userAccountControl", "pwdLastSet", "adminCount", "isCriticalSystemObject"]
    if objects.members is not None:
        more.append("member")
    if objects.kind is Kind.USER:
        more.append("userPassword")  # of a plain directory: whether there is one
    return list(dict.fromkeys([*objects.attributes, *more]))


def key_of(values: Sequence[tuple[str, str]]) -> str:
    """What names an object from run to run: the filter that finds it by its key fields."""
    parts = [f"({attribute}={exactly(value.casefold())})" for attribute, value in values]
    return parts[0] if len(parts) == 1 else f"(&{''.join(parts)})"


def key_of_entry(entry: Entry, objects: Objects) -> str | None:
    """The key of an object that is there; None if it lacks a key field."""
    values = [(each.attribute, entry.text(each.attribute)) for each in objects.keys]
    return key_of(values) if all(value for _, value in values) else None


def has_password(entry: Entry, *, active_directory: bool) -> bool:
    """Whether an account was ever given a password."""
    if active_directory:
        return entry.text("pwdLastSet") not in {"", "0"}
    return bool(entry.text("userPassword"))


def is_enabled(entry: Entry, *, active_directory: bool) -> bool:
    """Whether somebody can log in to the account."""
    if active_directory:
        return not ad.is_disabled(entry)
    return has_password(entry, active_directory=False)


def is_bare(entry: Entry, objects: Objects, *, active_directory: bool) -> bool:
    """Whether it is a disabled account that has no password, so that nobody can just enable it."""
    return (
        objects.kind is Kind.USER
        and not is_enabled(entry, active_directory=active_directory)
        and not has_password(entry, active_directory=active_directory)
    )


def is_half_made(entry: Entry, objects: Objects, *, active_directory: bool) -> bool:
    """Whether an account is one whose making was broken off: disabled, and never given a password.

    It counts as absent, so that the next run makes the rest of it.
    """
    return objects.password is not None and is_bare(entry, objects, active_directory=active_directory)


def state(entry: Entry, objects: Objects, *, active_directory: bool) -> State:
    """An object as changes tell it."""
    found: State = {"container": names.normal(names.parent(entry.dn))}
    for each in objects.fields:
        found[each.attribute] = told(entry.texts(each.attribute), several=bool(each.delimiter))
    if objects.members is not None:
        found["member"] = told(entry.texts("member"), several=True)
    if objects.kind is Kind.USER:
        found["enabled"] = is_enabled(entry, active_directory=active_directory)
    return found


def told(values: Sequence[str], *, several: bool) -> str | list[str] | None:
    """Values of an attribute as changes tell them."""
    if not values:
        return None
    return sorted(values) if several or len(values) > 1 else values[0]


def listed(value: Any) -> list[str]:
    """The other way round: an attribute's values."""
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def find(
    directory: Directory, base: str, keys: Sequence[str], objects: Objects
) -> Iterator[tuple[str, Entry]]:
    """The objects with these keys, some dozens at a time."""
    wanted = attributes_to_read(objects)
    for chunk in _chunks(keys):
        text = chunk[0] if len(chunk) == 1 else f"(|{''.join(chunk)})"
        asked = set(chunk)
        for entry in list(directory.search(base, text, wanted)):
            key = key_of_entry(entry, objects)
            if key in asked:
                yield key, groups.whole(directory, entry, "member")


def resolve(
    directory: Directory, base: str, attribute: str, values: Iterable[str]
) -> Mapping[str, list[str]]:
    """DNs by the folded value of an attribute, for all values at once."""
    found: dict[str, list[str]] = {}
    for chunk in _chunks(sorted({f"({attribute}={exactly(value)})" for value in values})):
        text = chunk[0] if len(chunk) == 1 else f"(|{''.join(chunk)})"
        for entry in directory.search(base, text, [attribute]):
            for value in entry.texts(attribute):
                found.setdefault(value.casefold(), []).append(entry.dn)
    return found


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def set_enabled(directory: Directory, entry: Entry, *, enabled: bool) -> None:
    """Let an account log in, or not any more, comparing what stood there inside the write."""
    old = entry.text("userAccountControl")
    flags = int(old) if old.lstrip("-").isdigit() else ad.NORMAL
    new = flags & ~ad.DISABLED if enabled else flags | ad.DISABLED
    steps = [Modification(Edit.DELETE, "userAccountControl", [old])] if old else []
    directory.modify(entry.dn, [*steps, Modification(Edit.ADD, "userAccountControl", [str(new)])])
