"""Things as the API shows them."""

from typing import Any

CONNECTION: dict[str, Any] = {
    "id": 10,
    "kind": "analysis",
    "alias": "Reports of Webshop",
    "command": "import_fortify",
    "system": {"id": "fortify_file_upload", "short_name": "Fortify", "name": "Fortify SSC"},
    "frequency": "manually",
    "project": 1,
    "params": {"behaviour": "replace"},
    "enabled": True,
    "inaccessible": False,
    "is_file_upload": True,
    "debug_mode": False,
    "next_run": None,
}


def job(number: int = 7, **changed: Any) -> dict[str, Any]:
    """A job as the API shows it with all that ``include=`` adds."""
    return {
        "id": number,
        "user": "service@example.org",
        "triggered_by": "",
        "succeeded": True,
        "automatic": False,
        "ready": True,
        "result_message": "3 tasks set to fail.",
        "last_run": "2026-03-30T08:00:02.000000Z",
        "attachment": None,
        "connection": {**CONNECTION, "system": "Fortify"},
        "system": "fortify_file_upload",
        "kind": "analysis",
        "state": "finished",
        "outcome": "succeeded",
        "reason": None,
        "totals": {"findings": 4},
        "progress": "",
        "created": "2026-03-30T08:00:00.000000Z",
        "started": "2026-03-30T08:00:01.000000Z",
        "finished": "2026-03-30T08:00:02.000000Z",
        "attempt": 1,
        "preview": False,
        "retry_of": None,
        **changed,
    }


FAILED: dict[str, Any] = {
    "succeeded": False,
    "outcome": "failed",
    "reason": "auth",
    "result_message": "The key was refused.",
}
WAITING: dict[str, Any] = {
    "state": "pending",
    "outcome": None,
    "finished": None,
    "result_message": "",
    "ready": False,
}
CHANGE: dict[str, Any] = {
    "sequence": 1,
    "target": "platform",
    "op": "pass",
    "kind": "verification",
    "key": "T1",
    "subject": "T1 Validate input",
    "before": {"verification_status": "fail"},
    "after": {"verification_status": "pass"},
    "state": "planned",
    "error": "",
    "why": "",
    "assigned": None,
}
CHANGE_PRINTED = {
    name: value for name, value in {**CHANGE, "destructive": True}.items() if name != "assigned"
}

STATUS: dict[str, Any] = {
    "jobs": {"behind": 0, "pending": 3, "running": 1, "finished": 9, "unsuccessful": 1},
    "failures": [
        {
            "id": 7,
            "kind": "analysis",
            "connection": {"id": 10, "alias": "Reports of Webshop"},
            "reason": "auth",
            "result_message": "The key was refused.",
            "last_run": "2026-03-30T08:00:02.000000Z",
        }
    ],
    "connections": 2,
    "engine": {"slots": 4, "running": [8]},
    "not_ready": ["The disk is full."],
    "broken_systems": {"acme": "ImportError: no"},
    "version": "0.1.0",
    "schema": "0001",
    "now": "2026-03-30T08:00:02.000000Z",
}
