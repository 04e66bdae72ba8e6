"""Connections."""

from runner.model.jobs import Frequency, Kind
from runner.server.openapi import Schema
from runner.server.sdelements.schemas.parts import (
    BOOLEAN,
    FLAG,
    INTEGER,
    MAYBE_INSTANT,
    MAYBE_INTEGER,
    MAYBE_TEXT,
    OBJECT,
    SYSTEM_REF,
    TEXT,
    asked,
    enum,
    thing,
)

_CONNECTION_FIELDS: dict[str, Schema] = {
    "alias": TEXT,
    "frequency": enum(Frequency),
    "debug_mode": FLAG,
    "inaccessible": FLAG,
    "enabled": FLAG,
    "schedule": MAYBE_TEXT,
    "timezone": MAYBE_TEXT,
    "params": OBJECT,
    "safety": OBJECT,
}
_CONNECTOR: dict[str, Schema] = {
    "name": TEXT,
    "inaccessible": FLAG,
    "params": OBJECT,
    "fields_editable_on_project": {"type": ["array", "null"], "items": TEXT},
}
CONNECTIONS: dict[str, Schema] = {
    "Connection": thing(
        {
            "id": INTEGER,
            "kind": enum(Kind),
            "alias": TEXT,
            "system": SYSTEM_REF,
            "frequency": enum(Frequency),
            "command": TEXT,
            "debug_mode": BOOLEAN,
            "inaccessible": BOOLEAN,
            "in_progress": BOOLEAN,
            "is_file_upload": BOOLEAN,
            "enabled": BOOLEAN,
            "schedule": MAYBE_TEXT,
            "timezone": MAYBE_TEXT,
            "paused": BOOLEAN,
            "declared": MAYBE_TEXT,
            "next_run": MAYBE_INSTANT,
            "safety": OBJECT,
            "connector": MAYBE_INTEGER,
            "project": MAYBE_INTEGER,
            "params": OBJECT,
            "last_job": {"type": ["object", "null"]},
        },
        optional=("connector", "project", "params", "last_job"),
    ),
    "NewConnection": asked(
        {
            "system": {"anyOf": [TEXT, SYSTEM_REF]},
            "connector": MAYBE_INTEGER,
            "project": INTEGER,
            **_CONNECTION_FIELDS,
        },
        "params",
    ),
    "Connector": thing(
        {
            "id": INTEGER,
            "name": TEXT,
            "system": SYSTEM_REF,
            "inaccessible": BOOLEAN,
            "params": OBJECT,
            "fields_editable_on_project": {"type": ["array", "null"], "items": TEXT},
            "declared": MAYBE_TEXT,
        },
        optional=("params",),
    ),
    "NewConnector": asked(
        {"system": {"anyOf": [TEXT, SYSTEM_REF]}, **_CONNECTOR}, "name", "system", "params"
    ),
    "ChangedConnector": asked(_CONNECTOR),
    "TestedConnection": asked({"params": OBJECT}),
    "NewTestedConnection": asked(
        {"system": {"anyOf": [TEXT, SYSTEM_REF]}, "project": INTEGER, "params": OBJECT}, "system", "params"
    ),
    "ConnectionTest": thing(
        {
            "success": BOOLEAN,
            "steps": {"type": "array", "items": thing({"name": TEXT, "ok": BOOLEAN, "message": TEXT})},
        }
    ),
    "ChangedConnection": asked(_CONNECTION_FIELDS),
}
