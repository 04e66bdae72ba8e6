"""What a field's value is made of: Static, Join, Left, Substring and Resolve, as text of a job.

    Join:field=First;separator=_api_;field=Last
    Static:value=Berlin
    Left:field=Phone;length=8
    Substring:field=Phone;start=1;length=2       (the first character has the number 0)
    Resolve:field=Boss;attribute=mail            (the DN of the object whose mail it is)

Where a field is named, a transform in braces may stand: ``Left:field={Join:…};length=20``.
A Script is code; it is known by name and never executed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from runner.errors import ConfigRejected

Row: TypeAlias = Callable[[str], str | None]
"""A row of the source: the value of the column with this name; None = blank."""

Lookup: TypeAlias = Callable[[str, str], str | None]
"""The DN of the one object whose attribute (first) has a value (second); None = there is none."""

_VARIABLE = re.compile(r"%([A-Za-z_][A-Za-z0-9_]*)%")
_DEEPEST = 8  # transforms within transforms
_LONGEST = 4_000  # characters of one transform


class NotResolved(Exception):
    """A Resolve found nobody; ``args`` are attribute and value."""


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a column."""

    name: str


@dataclass(frozen=True, slots=True)
class Static:
    """The same value for each row."""

    value: str

    @property
    def variables(self) -> list[str]:
        """Names between percent signs, in upper case."""
        return [name.upper() for name in _VARIABLE.findall(self.value)]


@dataclass(frozen=True, slots=True)
class Join:
    """Two values with a text between them; beside a blank the text is left out."""

    first: "Transform"
    separator: str
    second: "Transform"


@dataclass(frozen=True, slots=True)
class Left:
    """The first characters of a value."""

    of: "Transform"
    length: int


@dataclass(frozen=True, slots=True)
class Substring:
    """Some characters of a value; ``start`` counts from 0."""

    of: "Transform"
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Resolve:
    """The DN of the object whose attribute has a value."""

    of: "Transform"
    attribute: str


@dataclass(frozen=True, slots=True)
class Script:
    """Code. It gives no value here."""


Transform: TypeAlias = Column | Static | Join | Left | Substring | Resolve | Script

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def parse(text: str, source_field: str = "") -> Transform:
    """Read a transform; without one it is the field's own column.

    ``ConfigRejected`` says what is wrong with it.
    """
    if len(text) > _LONGEST:
        msg = f"A transform is longer than {_LONGEST} characters."
        raise ConfigRejected(msg)
    if text.strip():
        return _parse(text.strip(), _DEEPEST)
    if not source_field.strip():
        raise ConfigRejected("A field has neither a source field nor a transform.")
    return Column(source_field.strip())


def _parse(text: str, depth: int) -> Transform:
    kind, colon, rest = text.partition(":")
    if not colon or depth == 0:
        raise _wrong(text, "it is nested too deeply" if not depth else "it has no colon after its name")
    readers: dict[str, Callable[[str, int], Transform]] = {
        "static": lambda rest, _: Static(_after("value", rest)),
        "join": _join,
        "left": _left,
        "substring": _substring,
        "resolve": _resolve,
        "script": lambda _rest, _: Script(),
    }
    reader = readers.get(kind.strip().lower())
    if reader is None:
        names = "Static, Join, Left, Substring, Resolve or Script"
        raise _wrong(text, f"{kind.strip()!r} is none of {names}")
    try:
        return reader(rest, depth - 1)
    except ValueError as error:
        raise _wrong(text, str(error)) from None


def _wrong(text: str, why: str) -> ConfigRejected:
    return ConfigRejected(f"The transform {text[:80]!r} can't be understood: {why}.")


def _after(name: str, rest: str) -> str:
    """What stands after ``name=``, to the end: it may have semicolons."""
    found, equals, value = rest.partition("=")
    if not equals or found.strip().lower() != name:
        msg = f"it wants {name}="
        raise ValueError(msg)
    return value


def _operand(text: str, depth: int) -> Transform:
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        return _parse(text[1:-1].strip(), depth)
    if not text:
        msg = "a field's name is missing"
        raise ValueError(msg)
    return Column(text)


def _cut(rest: str) -> tuple[str, str]:
    """The first operand after ``field=``, and what follows its semicolon."""
    value = _after("field", rest)
    level = 0
    for at, character in enumerate(value):
        level += {"{": 1, "}": -1}.get(character, 0)
        if character == ";" and level <= 0:
            return value[:at], value[at + 1 :]
    return value, ""


def _join(rest: str, depth: int) -> Transform:
    first, following = _cut(rest)
    value = _after("separator", following)
    # The separator may have semicolons, and even "field=": the last one counts.
    at = _last_field(value)
    if at < 0:
        msg = "it wants field=, separator= and field="
        raise ValueError(msg)
    return Join(_operand(first, depth), value[:at], _operand(value[at + len(";field=") :], depth))


def _last_field(text: str) -> int:
    """Where the last ``;field=`` outside of braces begins; -1 = nowhere."""
    level, at = 0, len(text)
    while at > 0:
        at -= 1
        level += {"}": 1, "{": -1}.get(text[at], 0)
        if level <= 0 and text[at : at + 7].lower() == ";field=":
            return at
    return -1


def _numbers(text: str, *names: str) -> Iterator[int]:
    given = {
        name.strip().lower(): value.strip()
        for name, _, value in (part.partition("=") for part in text.split(";") if part.strip())
    }
    for name in names:
        if not re.fullmatch(r"[0-9]{1,6}", given.get(name, "")):
            msg = f"{name}= has to be a whole number"
            raise ValueError(msg)
        yield int(given[name])


def _left(rest: str, depth: int) -> Transform:
    operand, following = _cut(rest)
    (length,) = _numbers(following, "length")
    return Left(_operand(operand, depth), length)


def _substring(rest: str, depth: int) -> Transform:
    operand, following = _cut(rest)
    start, length = _numbers(following, "start", "length")
    return Substring(_operand(operand, depth), start, length)


def _resolve(rest: str, depth: int) -> Transform:
    operand, following = _cut(rest)
    attribute = _after("attribute", following).strip()
    if not _ATTRIBUTE.fullmatch(attribute):
        msg = f"{attribute!r} is no attribute"
        raise ValueError(msg)
    return Resolve(_operand(operand, depth), attribute)


def columns(transform: Transform) -> Iterator[str]:
    """The columns that a transform reads."""
    match transform:
        case Column(name):
            yield name
        case Join(first, _, second):
            yield from columns(first)
            yield from columns(second)
        case Left(of, _) | Substring(of, _, _) | Resolve(of, _):
            yield from columns(of)


def parts(transform: Transform) -> Iterator[Transform]:
    """A transform and all within it."""
    yield transform
    match transform:
        case Join(first, _, second):
            yield from parts(first)
            yield from parts(second)
        case Left(of, _) | Substring(of, _, _) | Resolve(of, _):
            yield from parts(of)


def value_of(transform: Transform, row: Row, lookup: Lookup, variables: Mapping[str, str]) -> str | None:
    """What a transform makes of a row; None = blank. ``NotResolved`` where nobody was found."""
    match transform:
        case Column(name):
            return row(name)
        case Static(value):
            return _VARIABLE.sub(lambda found: variables.get(found[1].upper(), found[0]), value) or None
        case Join(first, separator, second):
            both = value_of(first, row, lookup, variables), value_of(second, row, lookup, variables)
            return separator.join(filter(None, both)) or None
        case Left(of, length):
            return (value_of(of, row, lookup, variables) or "")[:length] or None
        case Substring(of, start, length):
            return (value_of(of, row, lookup, variables) or "")[start : start + length] or None
        case Resolve(of, attribute):
            wanted = value_of(of, row, lookup, variables)
            if wanted is None:
                return None
            found = lookup(attribute, wanted)
            if found is None:
                raise NotResolved(attribute, wanted)
            return found
        case Script():
            return None
