"""Places, tasks and notes."""

from runner.findings.status import Behaviour
from runner.model.platform import Verification
from runner.server.openapi import Schema
from runner.server.sdelements.schemas.parts import (
    BOOLEAN,
    FLAG,
    INSTANT,
    INTEGER,
    MAYBE_INSTANT,
    MAYBE_TEXT,
    OBJECT,
    TEXT,
    TEXTS,
    asked,
    enum,
    thing,
)

_PLACES: dict[str, Schema] = {
    "BusinessUnit": thing({"id": INTEGER, "name": TEXT, "slug": TEXT, "created": INSTANT}),
    "NewBusinessUnit": asked({"name": TEXT}, "name"),
    "ChangedBusinessUnit": asked({"name": TEXT}),
    "Application": thing(
        {
            "id": INTEGER,
            "business_unit": {"anyOf": [INTEGER, OBJECT]},
            "name": TEXT,
            "slug": TEXT,
            "priority": TEXT,
            "created": INSTANT,
        }
    ),
    "NewApplication": asked(
        {"name": TEXT, "business_unit": INTEGER, "priority": TEXT}, "name", "business_unit"
    ),
    "ChangedApplication": asked({"name": TEXT, "business_unit": INTEGER, "priority": TEXT}),
    "Project": thing(
        {
            "id": INTEGER,
            "slug": TEXT,
            "url": TEXT,
            "application": {"anyOf": [INTEGER, OBJECT]},
            "archived": BOOLEAN,
            "name": TEXT,
            "creator": {"type": "null"},
            "description": TEXT,
            "tags": TEXTS,
            "created": INSTANT,
            "updated": INSTANT,
            "parent": {"type": "null"},
            "custom_attributes": OBJECT,
            "locked": BOOLEAN,
        }
    ),
    "NewProject": asked(
        {"name": TEXT, "application": INTEGER, "description": MAYBE_TEXT, "archived": FLAG},
        "name",
        "application",
    ),
    "ChangedProject": asked(
        {"name": TEXT, "application": INTEGER, "description": MAYBE_TEXT, "archived": FLAG}
    ),
}

_UPDATER: Schema = {"type": ["object", "null"]}
_NOTE: dict[str, Schema] = {
    "id": INTEGER,
    "task": TEXT,
    "text": TEXT,
    "automatic": BOOLEAN,
    "updater": _UPDATER,
    "created": INSTANT,
    "updated": INSTANT,
}
_TASK_MORE: dict[str, Schema] = {
    "problem": OBJECT,
    "tags": TEXTS,
    "categories": TEXTS,
    "catch_all": BOOLEAN,
    "results": OBJECT,
}
_SAID: dict[str, Schema] = {
    "behaviour": enum(Behaviour),
    "confidence": {"type": "string", "enum": ["high", "low", "none"]},
    "findings": {"anyOf": [OBJECT, {"type": "array", "items": OBJECT}]},
    "finding_ref": {"type": ["string", "null"]},
    "status": enum(Verification),
    "task_status_mapping": {"type": "object", "additionalProperties": TEXT},
}
_TASKS: dict[str, Schema] = {
    "Task": thing(
        {
            "id": TEXT,
            "task_id": TEXT,
            "url": TEXT,
            "title": TEXT,
            "text": TEXT,
            "priority": INTEGER,
            "phase": {"anyOf": [TEXT, OBJECT]},
            "status": {"anyOf": [TEXT, OBJECT]},
            "status_updated": MAYBE_INSTANT,
            "verification_status": TEXT,
            "note_count": INTEGER,
            "project_specific": BOOLEAN,
            "manually_added_from_library": BOOLEAN,
            "relevant": BOOLEAN,
            "accepted": BOOLEAN,
            "assigned_to": TEXTS,
            "artifact_proxy": TEXT,
            "updated": INSTANT,
            "updater": _UPDATER,
            "library_task_created": INSTANT,
            "library_task_updated": INSTANT,
            **_TASK_MORE,
        },
        optional=tuple(_TASK_MORE),
    ),
    "ChangedTask": asked({"status": TEXT, "status_note": MAYBE_TEXT, "tags": TEXTS}),
    "NewTask": asked(
        {
            "title": TEXT,
            "phase": TEXT,
            "priority": {"type": "integer", "minimum": 1, "maximum": 10},
            "text": TEXT,
            "tags": TEXTS,
        },
        "title",
        "phase",
        "priority",
    ),
    "ChangedNote": asked({"text": TEXT}, "text"),
    "NewAnalysisSession": asked(
        {
            "analysis_ref": TEXT,
            "analysis_type": TEXT,
            "notes": {"type": "array", "items": {**asked({"task": TEXT, **_SAID}, "task")}},
        },
        "analysis_ref",
        "analysis_type",
    ),
    "NewAnalysisNote": asked({"analysis_session": {"type": ["integer", "null"]}, **_SAID}),
    "Note": thing(_NOTE),
    "NewNote": asked({"text": TEXT, "automatic": FLAG}, "text"),
    "AnalysisNote": thing(
        {
            **_NOTE,
            "analysis_session": INTEGER,
            "analysis_type": thing({"slug": TEXT, "name": TEXT}),
            "status": MAYBE_TEXT,
            "confidence": MAYBE_TEXT,
            "behaviour": MAYBE_TEXT,
            "findings": {"type": "array"},
        }
    ),
    "AnalysisSession": thing(
        {
            "id": INTEGER,
            "project": INTEGER,
            "analysis_ref": TEXT,
            "analysis_type": TEXT,
            "extra": OBJECT,
            "created": INSTANT,
            "updated": INSTANT,
            "updater": _UPDATER,
        }
    ),
}

PLATFORM: dict[str, Schema] = {**_PLACES, **_TASKS}
