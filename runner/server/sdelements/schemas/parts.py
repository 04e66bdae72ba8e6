"""What schemas are made of."""

from collections.abc import Mapping
from typing import Any

from runner.server.openapi import Schema

TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
INTEGER: Schema = {"type": "integer"}
MAYBE_INTEGER: Schema = {"type": ["integer", "null"]}
BOOLEAN: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
MAYBE_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
OBJECT: Schema = {"type": "object", "additionalProperties": True}
TEXTS: Schema = {"type": "array", "items": TEXT}
FLAG: Schema = {"anyOf": [BOOLEAN, {"enum": ["true", "false", "1", "0", 1, 0]}]}
"""A Boolean as requests may write it."""


def enum(members: Any) -> Schema:
    """One of the members of a closed set."""
    return {"type": "string", "enum": [member.value for member in members]}


def thing(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = (), more: bool = False) -> Schema:
    """An object with these fields, all there but the optional ones."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": more,
    }


def asked(properties: Mapping[str, Schema], *required: str) -> Schema:
    """The body of a request: fields that aren't known are ignored, as the original does."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}


SYSTEM_REF = thing({"id": TEXT, "short_name": TEXT, "name": TEXT})
