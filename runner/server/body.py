"""Request bodies as JSON, with limits on size and depth."""

import json
import math
from typing import Any

from starlette.requests import Request

from runner.errors import Refused
from runner.server.replies import Invalid

LARGEST = 2 * 2**20
"""Bytes of a JSON body at the most. Report files go another way, with a limit of their own."""

DEEPEST = 60
"""Levels of nesting at the most: what is taken must be written again by others."""

# curl sends the form's type where nothing is said, and the original's pages say nothing.
_TYPES = {"", "application/json", "application/x-www-form-urlencoded", "text/plain"}


class Body:
    """A body that was read. What is wrong with it is told after the caller is known."""

    __slots__ = ("_problem", "_value", "raw")

    def __init__(self, value: Any = None, problem: Refused | None = None, raw: bytes = b"") -> None:
        self._value = value
        self._problem = problem
        self.raw = raw  # as it came

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; ``Refused`` if it isn't one."""
        if self._problem is not None:
            raise self._problem
        if not isinstance(self._value, dict):
            name = type(self._value).__name__
            text = f"Invalid data. Expected a dictionary, but got {name}."
            raise Invalid({"non_field_errors": [text]})
        return self._value


async def read_body(request: Request) -> Body:
    """Read a JSON body. No body at all is an empty object."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in _TYPES and not content_type.endswith("+json"):
        text = f'Unsupported media type "{content_type}" in request.'
        return Body(problem=Refused(text, status=415))
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST:
            text = f"The body is larger than {LARGEST} bytes."
            return Body(problem=Refused(text, status=413))
    if not raw.strip():
        return Body({})
    try:
        return Body(parse(bytes(raw)), raw=bytes(raw))
    except ValueError as error:
        return Body(problem=Refused(f"JSON parse error - {error}"))


def parse(raw: bytes) -> Any:
    """Read JSON strictly: UTF-8, finite numbers, not too deep, text that can be stored."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 at byte {error.start}"
        raise ValueError(msg) from None
    if text.count("[") + text.count("{") > DEEPEST:
        _measure(text)
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    if "\\u" in text:
        _check_text(value)
    return value


def _measure(text: str) -> None:
    """Refuse what is nested too deeply, before a parser recurses into it."""
    depth, quoted, escaped = 0, False, False
    for character in text:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                msg = f"nested deeper than {DEEPEST} levels"
                raise ValueError(msg)
        elif character in "]}":
            depth -= 1


def _refuse_constant(name: str) -> float:
    msg = f"Out of range float values are not JSON compliant: {name}"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _refuse_constant(text)
    return value


def _check_text(value: Any) -> None:
    """Refuse NUL and halves of surrogate pairs: no database stores them."""
    written = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in written and "\x00" in "".join(_strings(value)):
        msg = "Null characters are not allowed."
        raise ValueError(msg)
    try:
        written.encode()
    except UnicodeEncodeError:
        msg = "a string holds half of a surrogate pair"
        raise ValueError(msg) from None


def _strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [*map(str, value), *(text for part in value.values() for text in _strings(part))]
        case list():
            return [text for part in value for text in _strings(part)]
    return []
