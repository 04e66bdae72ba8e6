"""Errors, fixed lists, tokens, status."""

from runner.model.jobs import Kind
from runner.server.openapi import Schema
from runner.server.sdelements.schemas.parts import (
    BOOLEAN,
    FLAG,
    INSTANT,
    INTEGER,
    MAYBE_INSTANT,
    MAYBE_INTEGER,
    MAYBE_TEXT,
    OBJECT,
    TEXT,
    TEXTS,
    asked,
    enum,
    thing,
)
from runner.store.accounts import Scope

_PLUGIN_FIELD = thing(
    {
        "name": TEXT,
        "label": TEXT,
        "description": TEXT,
        "field_type": {"enum": ["string", "masked_string", "select", "boolean"]},
        "default": {},
        "readonly": BOOLEAN,
        "max_length": MAYBE_INTEGER,
        "required": BOOLEAN,
        "deprecated": BOOLEAN,
        "placeholder": TEXT,
        "scope": TEXTS,
        "help_text": TEXT,
        "options": {
            "type": "array",
            "items": thing({"label": TEXT, "value": {}, "disabled": BOOLEAN}),
        },
    }
)

_HEADING = {
    "id": TEXT,
    "kind": enum(Kind),
    "name": TEXT,
    "short_name": TEXT,
    "command": TEXT,
    "is_file_upload": BOOLEAN,
    "broken": MAYBE_TEXT,
}
"""What a connector is, in either list of them."""

OTHERS: dict[str, Schema] = {
    "Error": thing({"detail": TEXT}),
    "FieldErrors": {"type": "object", "additionalProperties": {"anyOf": [TEXT, TEXTS]}},
    "Health": thing({"status": TEXT, "reasons": TEXTS}, optional=("reasons",)),
    "TaskStatus": thing({"id": TEXT, "meaning": TEXT, "slug": TEXT, "name": TEXT, "icon": TEXT}),
    "VerificationStatus": thing({"id": TEXT, "slug": TEXT, "name": TEXT}),
    "Phase": thing({"id": TEXT, "name": TEXT, "slug": TEXT, "ordinal": INTEGER, "active": BOOLEAN}),
    "System": thing({**_HEADING, "secrets": TEXTS, "params": OBJECT}),
    "Plugin": thing(
        {
            **_HEADING,
            "sections": {
                "type": "array",
                "items": thing(
                    {"label": TEXT, "optional": BOOLEAN, "fields": {"type": "array", "items": _PLUGIN_FIELD}}
                ),
            },
        }
    ),
    "RemoteAgent": thing(
        {
            "id": INTEGER,
            "name": TEXT,
            "creator": {"anyOf": [TEXT, OBJECT]},
            "version": TEXT,
            "platform": TEXT,
            "last_sync": MAYBE_INSTANT,
        }
    ),
    "NewRemoteAgent": asked({"name": TEXT, "version": TEXT, "platform": TEXT}, "name"),
    "ChangedRemoteAgent": asked({"version": TEXT, "platform": TEXT}),
    "Provider": thing(
        {
            "name": TEXT,
            "kind": TEXT,
            "origin": TEXT,
            "where": TEXT,
            "size": MAYBE_INTEGER,
            "modified": MAYBE_INSTANT,
        }
    ),
    "NewProvider": asked(
        {"name": TEXT, "workbook": {"type": "string", "format": "binary"}}, "name", "workbook"
    ),
    "Finding": thing(
        {
            "id": INTEGER,
            "category": TEXT,
            "cwes": {"type": "array", "items": INTEGER},
            "severity": TEXT,
            "number": INTEGER,
            "via": TEXT,
            "mapped": BOOLEAN,
            "tasks": TEXTS,
            "examples": TEXTS,
        }
    ),
    "LogLine": thing({"id": INTEGER, "when": INSTANT, "attempt": INTEGER, "event": TEXT, "fields": OBJECT}),
    "Token": thing(
        {
            "id": INTEGER,
            "user": TEXT,
            "scopes": TEXTS,
            "created": INSTANT,
            "expires": MAYBE_INSTANT,
            "last_used": MAYBE_INSTANT,
        }
    ),
    "NewToken": asked(
        {
            "user": TEXT,
            "scopes": {"type": "array", "items": enum(Scope)},
            "admin": FLAG,
            "expires": MAYBE_INSTANT,
        },
        "user",
    ),
    "MadeToken": thing(
        {"id": INTEGER, "token": TEXT, "user": TEXT, "scopes": TEXTS, "expires": MAYBE_INSTANT}
    ),
    "Status": thing(
        {
            "jobs": OBJECT,
            "failures": {"type": "array"},
            "connections": INTEGER,
            "paused": {"type": ["object", "null"]},
            "version": TEXT,
            "schema": TEXT,
            "state": MAYBE_TEXT,
            "scheduler": {"type": ["object", "null"]},
            "remotes": {"type": ["array", "null"]},
            "configuration": {"type": ["object", "null"]},
            "engine": OBJECT,
            "not_ready": TEXTS,
            "broken_systems": OBJECT,
            "now": INSTANT,
        }
    ),
    "Reconciled": thing(
        {
            "matched": INTEGER,
            "missing": {"type": "array"},
            "foreign": {"type": "array"},
            "double": {"type": "array"},
            "agreed": INTEGER,
            "disagreed": {"type": "array"},
        }
    ),
    "Paused": thing({"paused": BOOLEAN, "since": MAYBE_INSTANT, "why": MAYBE_TEXT}),
    "Pause": asked({"why": TEXT}),
    "Description": OBJECT,
}
