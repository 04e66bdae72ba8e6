"""Changes in the words of the REST API, and the comparison of what stands with what was planned."""

import json
from collections.abc import Mapping
from typing import Any

from runner.messages import OutcomeRow
from runner.model.changes import ASSIGNED, ChangeState, StoredChange

Json = dict[str, Any]

NOT_MADE = "not made before the run ended"
"""Said of a change that was sent and, as was found out afterwards, never made."""

_COMPARED = ("status", "verification_status", "title", "text", "priority")
_LONGEST_REF = 500  # characters of a note that a server keeps of an analysis


def outcome(
    change: StoredChange, state: ChangeState, message: str = "", assigned: Mapping[str, Any] | None = None
) -> OutcomeRow:
    """What became of a change; ``assigned`` is what the server gave, as the journal keeps it."""
    given = json.dumps(dict(assigned), sort_keys=True) if assigned else None
    return OutcomeRow(change.sequence, state, message, given)


def ident_of(there: Any) -> Any:
    """The id of a thing that is told whole, or by its id."""
    return there.get("id") if isinstance(there, dict) else there


def reference(after: Mapping[str, Any], run: str) -> str:
    """What an analysis is called over there: its report, and the run that made it."""
    return f"{after['analysis_ref']} #{run}"


def is_of(row: StoredChange, session: StoredChange) -> bool:
    """Whether a change is what this analysis, which isn't begun yet, says of a task."""
    note = (row.after or {}).get("note") if row.kind == "verification" else None
    return note is not None and note["session"] == {ASSIGNED: [session.kind, session.key, "id"]}


def differing(there: Json | None, row: StoredChange) -> str | None:
    """Why a change may not be made any more, as a sentence; None if it may."""
    if row.kind not in {"verification", "task", "note"}:
        return None
    if there is None:
        return f"there is no task {row.key} any more."
    before = row.before or {}
    for name in _COMPARED:
        if row.kind != "note" and name in before and there.get(name) != before[name]:
            return f"{name} is {there.get(name)!r} now, {before[name]!r} was expected."
    expected, standing = before.get("results"), there.get("results")
    if standing and expected is not None and standing != dict(expected):
        return f"results is {standing!r} now, {expected!r} was expected."
    return None


def agrees(there: Json, expected: Mapping[str, Any] | None) -> bool:
    """Whether a task has all that a change was to give it."""
    values = expected or {}
    if there.get("results") and "results" in values and there["results"] != dict(values["results"]):
        return False
    return all(there.get(name) == values[name] for name in _COMPARED if name in values)


def analysis_note(row: StoredChange, slugs: Mapping[str, str]) -> Json:
    """What an analysis says of one task, as the API takes it."""
    after = row.after or {}
    note = after.get("note")
    if note is None:
        # A revert: what stood before, said by nobody's scanner.
        return {"status": after["verification_status"], "behaviour": "replace", "findings": []}
    body = {
        "analysis_session": note["session"],
        "behaviour": note["behaviour"],
        "findings": note["findings"],
        "finding_ref": str(note["text"])[:_LONGEST_REF],
        "status": note["status"],
    }
    if note.get("confidence") is not None:
        body["confidence"] = note["confidence"]
    slug = slugs.get(str(after.get("status")))
    if slug:
        body["task_status_mapping"] = {after["verification_status"]: slug}
    return body
