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


def plain(value: Any, field: "FieldInfo") -> Any:
    """A value as a file has it."""
    from runner.settings import SIZE

    match value:
        case timedelta():
            return format_duration(value)
        case StrEnum():
            return value.value
        case Path():
            return str(value)
        case int() if SIZE in field.metadata:
            return format_size(value)
        case tuple() | list():
            return [part.value if isinstance(part, StrEnum) else part for part in value]
    return value


def written(value: Any) -> str:
    """A value in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return (
                "{ " + ", ".join(f"{_key(key)} = {written(part)}" for key, part in value.items()) + " }"
                if value
                else "{}"
            )
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
