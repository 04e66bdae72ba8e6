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
            "connector": {"type": "null"},
            "project": MAYBE_INTEGER,
            "params": OBJECT,
            "last_job": {"type": ["object", "null"]},
        },
        optional=("connector", "project", "params", "last_job"),
    ),
    "NewConnection": asked(
        {"system": {"anyOf": [TEXT, SYSTEM_REF]}, "project": INTEGER, **_CONNECTION_FIELDS},
        "system",
        "params",
    ),
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
