"""Jobs and what belongs to them."""

from runner.errors import Reason
from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Frequency, Kind, Outcome, State
from runner.server.openapi import Schema, ref
from runner.server.sdelements.schemas.parts import (
    BOOLEAN,
    FLAG,
    INSTANT,
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

_CONNECTION_OF_JOB: dict[str, Schema] = {
    "alias": TEXT,
    "command": TEXT,
    "frequency": enum(Frequency),
    "id": INTEGER,
    "params": OBJECT,
    "project": MAYBE_INTEGER,
    "system": TEXT,
    "inaccessible": BOOLEAN,
}
_PERSON: Schema = {"anyOf": [TEXT, ref("User")]}
_JOB: dict[str, Schema] = {
    "id": INTEGER,
    "user": _PERSON,
    "triggered_by": _PERSON,
    "succeeded": BOOLEAN,
    "automatic": BOOLEAN,
    "ready": BOOLEAN,
    "result_message": TEXT,
    "last_run": INSTANT,
    "attachment": MAYBE_TEXT,
    "connection": ref("JobConnection"),
}
_JOB_MORE: dict[str, Schema] = {
    "kind": enum(Kind),
    "uuid": TEXT,
    "preview": BOOLEAN,
    "only": MAYBE_TEXT,
    "state": enum(State),
    "outcome": {"type": ["string", "null"], "enum": [*(one.value for one in Outcome), None]},
    "reason": MAYBE_TEXT,
    "progress": TEXT,
    "totals": OBJECT,
    "attempt": INTEGER,
    "cancel_requested": BOOLEAN,
    "retry_of": MAYBE_INTEGER,
    "revert_of": MAYBE_INTEGER,
    "allowed_by": {"anyOf": [thing({"user": TEXT, "allowed": INTEGER, "when": INSTANT}), {"type": "null"}]},
    "created": INSTANT,
    "started": MAYBE_INSTANT,
    "finished": MAYBE_INSTANT,
}
_ALLOWED: Schema = {"type": ["integer", "null"], "minimum": 0}
_VALUES: Schema = {"type": ["object", "null"]}
_CHANGE: dict[str, Schema] = {
    "target": enum(Target),
    "op": enum(Op),
    "kind": TEXT,
    "key": TEXT,
    "subject": TEXT,
    "before": _VALUES,
    "after": _VALUES,
    "state": enum(ChangeState),
    "error": TEXT,
    "why": TEXT,
}
_ATTEMPT: Schema = {"type": "integer", "minimum": 1}
_LEASE: Schema = {"type": "integer", "minimum": 10, "maximum": 3600, "description": "seconds"}
_AGENT: Schema = {
    "type": ["string", "null"],
    "maxLength": 64,
    "description": "what the agent calls itself; without it, it is known by its token",
}
_CLAIM = thing(
    {
        **_JOB,
        **_JOB_MORE,
        "project": {"type": ["object", "null"]},
        "memory": OBJECT,
        "lease_until": INSTANT,
    },
    optional=tuple(_JOB_MORE),
)
JOBS: dict[str, Schema] = {
    "JobConnection": thing(_CONNECTION_OF_JOB, optional=("params", "project")),
    "Job": thing({**_JOB, **_JOB_MORE}, optional=tuple(_JOB_MORE)),
    "FileJob": thing(
        {
            **_JOB,
            "connection": thing(
                {
                    **_CONNECTION_OF_JOB,
                    "system": SYSTEM_REF,
                    "in_progress": BOOLEAN,
                    "connector": {"type": "null"},
                    "debug_mode": BOOLEAN,
                    "is_file_upload": BOOLEAN,
                }
            ),
        }
    ),
    "NewJob": asked(
        {
            "connection": INTEGER,
            "automatic": FLAG,
            "ready": FLAG,
            "succeeded": {"anyOf": [FLAG, {"type": "null"}]},
            "result_message": MAYBE_TEXT,
            "id": MAYBE_INTEGER,
            "preview": FLAG,
            "only": MAYBE_TEXT,
        },
        "connection",
        "automatic",
    ),
    "NewFileJob": asked(
        {
            "report_file": {"type": "string", "format": "binary"},
            "system": TEXT,
            "project": INTEGER,
            "params": TEXT,
        },
        "report_file",
        "system",
        "project",
    ),
    "NewClaim": asked(
        {
            "kinds": {"type": "array", "items": enum(Kind)},
            "systems": {"type": "array", "items": TEXT},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "lease": _LEASE,
            "agent": _AGENT,
            "holding": {
                "type": "array",
                "items": INTEGER,
                "description": "jobs that this agent knows it has",
            },
            "skip": {
                "type": "array",
                "items": INTEGER,
                "description": "connections that it leaves to others",
            },
        }
    ),
    "Claims": thing({"results": {"type": "array", "items": _CLAIM}}),
    "Attempt": asked({"attempt": _ATTEMPT, "uuid": MAYBE_TEXT, "agent": _AGENT}, "attempt"),
    "Heartbeat": asked(
        {
            "attempt": _ATTEMPT,
            "uuid": MAYBE_TEXT,
            "agent": _AGENT,
            "lease": _LEASE,
            "progress": MAYBE_TEXT,
        },
        "attempt",
    ),
    "Held": thing({"id": INTEGER, "attempt": INTEGER, "lease_until": INSTANT, "cancel_requested": BOOLEAN}),
    "AgentResult": asked(
        {
            "attempt": _ATTEMPT,
            "uuid": MAYBE_TEXT,
            "agent": _AGENT,
            "succeeded": FLAG,
            "result_message": TEXT,
            "reason": {"type": ["string", "null"], "enum": [*(one.value for one in Reason), None]},
            "totals": {"type": "object", "additionalProperties": INTEGER},
            "memory": OBJECT,
        },
        "attempt",
        "succeeded",
        "result_message",
    ),
    "Retry": asked({"allow_destructive": _ALLOWED}),
    "Revert": asked({"preview": FLAG, "allow_destructive": _ALLOWED}),
    "Changes": thing(
        {
            "next": MAYBE_TEXT,
            "results": {
                "type": "array",
                "items": thing({"sequence": INTEGER, **_CHANGE, "assigned": _VALUES}),
            },
        }
    ),
    "JournalEntry": thing(
        {
            "job": INTEGER,
            "sequence": INTEGER,
            "when": MAYBE_INSTANT,
            "user": TEXT,
            "triggered_by": TEXT,
            "allowed_by": TEXT,
            "connection": INTEGER,
            "alias": TEXT,
            "system": TEXT,
            **_CHANGE,
        }
    ),
}
