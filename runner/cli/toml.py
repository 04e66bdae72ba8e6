"""Values as a configuration file has them."""

import json
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.model.units import format_duration, format_size

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def plain(found: Any, field: "FieldInfo") -> Any:
    """A value as a file has it."""
    from runner.settings import SIZE

    match found:
        case timedelta():
            return format_duration(found)
        case StrEnum():
            return found.value
        case Path():
            return str(found)
        case int() if SIZE in field.metadata:
            return format_size(found)
        case tuple() | list():
            return [part.value if isinstance(part, StrEnum) else part for part in found]
    return found


def key(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else _quoted(name)


def value(found: Any) -> str:
    """A value on one line. TOML has no null: what is null in a table or a list is left out."""
    match found:
        case bool():
            return "true" if found else "false"
        case dict():
            parts = [f"{key(name)} = {value(part)}" for name, part in found.items() if part is not None]
            return "{ " + ", ".join(parts) + " }" if parts else "{}"
        case list():
            return "[" + ", ".join(value(part) for part in found if part is not None) + "]"
        case str():
            return _quoted(found)
    return str(found)


def _quoted(text: str) -> str:
    """As in JSON, but for the one control code that JSON takes as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
