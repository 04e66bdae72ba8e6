"""A connector's parameters as rows to be shown, from the JSON schema by which it describes itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter."""

    name: str
    type: str  # in words
    default: Any  # JSON; None = there is none, or it is unset
    required: bool
    secret: bool
    meaning: str


def rows(schema: Schema) -> Iterator[Parameter]:
    """The parameters of a schema, in its order."""
    named = schema.get("$defs", {})
    for name, field in schema.get("properties", {}).items():
        yield Parameter(
            name=name,
            type=_words(field, named),
            default=field.get("default"),
            required=name in schema.get("required", ()),
            secret='"format": "password"' in json.dumps(field),
            meaning=field.get("description", ""),
        )


def _words(field: Schema, named: dict[str, Schema]) -> str:
    """What values a field takes."""
    if "$ref" in field:
        return _words(named[field["$ref"].rpartition("/")[2]], named)
    if "enum" in field:
        return " or ".join(f'"{value}"' for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    if "anyOf" in field:
        return " or ".join(_words(part, named) for part in field["anyOf"] if part != {"type": "null"})
    match field.get("type"):
        case "array":
            return f"list of {_words(field['items'], named)}" if "items" in field else "list"
        case "object":
            return "object"
        case "boolean":
            return "true or false"
        case "integer" | "number" as number:
            return ("whole number" if number == "integer" else "number") + _bounds(field)
        case "string":
            return {"path": "path", "duration": "duration"}.get(field.get("format", ""), "text")
    return "any"


def _bounds(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f" from {low}"
    if "exclusiveMinimum" in field:
        return f" above {field['exclusiveMinimum']}"
    return "" if high is None else f" up to {high}"
