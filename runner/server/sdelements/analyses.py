"""Analyses that are run elsewhere: sessions, and what they say of tasks, by the status rule."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.findings.mapping import Confidence
from runner.findings.status import Behaviour, standing, verdict
from runner.model.platform import Meaning, Task, Verification
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import REQUIRED, Fields, no_such
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import Invalid, not_found, reply
from runner.server.sdelements import notes, tasks
from runner.server.sdelements.reference import STATUSES
from runner.server.sdelements.shapes import Shown
from runner.server.services import services_of
from runner.server.unit import reading, writing
from runner.store import analyses as store
from runner.store import tasks as task_store
from runner.store.accounts import Scope
from runner.store.platform import MEANINGS
from runner.store.tasks import Note, Session, TaskEntry

_MOST_NOTES = 5_000  # in one session's POST
_BY_SLUG = {entry["slug"]: ident for ident, entry in STATUSES.items()}
_MAY_SET = {
    Verification.PASS: {Meaning.DONE, Meaning.TODO},
    Verification.PARTIAL: {Meaning.DONE, Meaning.TODO},
    Verification.FAIL: {Meaning.TODO},
}
"""What a task's status may become by what was found: a failed task is never done."""


def add_routes(router: Router, root: str) -> None:
    """Add the addresses where analyses come in, below a project's ``root``."""
    sessions, of_task = f"{root}/analysis-sessions/", f"{root}/tasks/{{task_id}}/analysis-notes/"
    begun = Op(
        summary="Begin an analysis, perhaps with all it says",
        body="NewAnalysisSession",
        answer="AnalysisSession",
        status=201,
        also=(413, 415),
    )
    add(router, "POST", sessions, create_session, begun)
    shown = Op(summary="Show an analysis", answer="AnalysisSession")
    add(router, "GET", f"{sessions}{{session_id:number}}/", show_session, shown)
    said = Op(
        summary="Say what an analysis found of a task",
        body="NewAnalysisNote",
        answer="AnalysisNote",
        status=201,
        also=(413, 415),
    )
    add(router, "POST", of_task, create_note, said)


class _Said(NamedTuple):
    """What a note says, read strictly."""

    says: Verification
    confidence: Confidence | None
    behaviour: Behaviour
    findings: list[Any]
    statuses: Mapping[Verification, str]  # the task's status, by what was found
    text: str


def _read(values: Mapping[str, Any], prefix: str = "") -> _Said:
    fields = Fields(values)
    given = fields.choice("status", Verification)
    confidence = fields.choice("confidence", _Confidence)
    behaviour = fields.choice("behaviour", Behaviour)
    findings = values.get("findings") or []
    if isinstance(findings, dict):
        findings = [findings]
    if not isinstance(findings, list) or not all(isinstance(one, dict) for one in findings):
        fields.wrong("findings", "Expected an object, or a list of objects.")
        findings = []
    level = Confidence(confidence) if confidence not in {None, _Confidence.NONE} else None
    says = given or verdict(found=bool(findings), confidence=level)
    if given is None and not findings and level is None and "status" not in values:
        fields.wrong("status", REQUIRED)
    if findings and says in {Verification.PASS, Verification.NONE}:
        fields.wrong("status", f'It can\'t be "{says}": there are findings.')
    statuses = _statuses(fields, values)
    ref = fields.text("finding_ref", null=True, longest=500)
    try:
        fields.done()
    except Invalid as error:
        raise Invalid({f"{prefix}{name}": texts for name, texts in error.fields.items()}) from None
    return _Said(says, level, behaviour or Behaviour.REPLACE, findings, statuses, ref or "")


class _Confidence(StrEnum):
    """How far an analysis can be trusted; older clients say "none"."""

    HIGH = "high"
    LOW = "low"
    NONE = "none"


def _statuses(fields: Fields, values: Mapping[str, Any]) -> dict[Verification, str]:
    """``task_status_mapping``: the id of the status that a task is given, by what was found."""
    given = values.get("task_status_mapping") or {}
    if not isinstance(given, dict):
        fields.wrong("task_status_mapping", "Expected a dictionary of statuses by note status.")
        return {}
    found: dict[Verification, str] = {}
    for name, slug in given.items():
        ident = _BY_SLUG.get(slug) if isinstance(slug, str) else None
        allowed = _MAY_SET.get(name, set())
        if ident is None or MEANINGS[ident] not in allowed:
            fields.wrong("task_status_mapping", f'"{name}" can\'t lead to the status {slug!r}.')
        else:
            found[Verification(name)] = ident
    return found


async def create_session(request: Request) -> Response:
    """Begin an analysis; with ``notes``, all it says is taken in one transaction, or nothing."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        tasks.check_project(c, request)
        project_id = request.path_params["project_id"]
        values = body.object()
        fields = Fields(values)
        ref = fields.text("analysis_ref", required=True, longest=500)
        kind = fields.text("analysis_type", required=True, blank=False, longest=100)
        said = values.get("notes") or []
        if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
            fields.wrong("notes", "Expected a list of objects.")
        elif len(said) > _MOST_NOTES:
            fields.wrong("notes", f"Ensure this field has no more than {_MOST_NOTES} elements.")
        fields.done()
        # All is read before the first write: a refusal writes nothing.
        read = [
            (
                tasks.named(c, project_id, one.get("task"), f"notes.{number}.task"),
                _read(one, f"notes.{number}."),
            )
            for number, one in enumerate(said)
        ]
        made = store.create_session(c, project_id, analysis_ref=ref or "", analysis_type=kind or "", now=now)
        session = _session(c, project_id, made)
        for task, what in read:
            _say(c, task, what, session, user_id=caller.user_id, now=now)
        return notes.session(session)

    return reply(await writing(request, create, Scope.VERIFY), 201)


def _session(c: sa.Connection, project_id: int, session_id: int) -> Session:
    found = store.session(c, project_id, session_id)
    if found is None:
        raise not_found()
    return found


async def show_session(request: Request) -> Response:
    """Tell one analysis."""
    project_id, ident = request.path_params["project_id"], request.path_params["session_id"]
    return reply(
        await reading(request, lambda c, _caller: notes.session(_session(c, project_id, ident)), Scope.READ)
    )


async def create_note(request: Request) -> Response:
    """Take what an analysis says of a task; the task's verification follows by the status rule."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, caller: Caller) -> Shown:
        task = tasks.find(c, request)
        values = body.object()
        fields = Fields(values)
        ident = fields.integer("analysis_session", null=True)
        session = None if ident is None else store.session(c, task.project_id, ident)
        if ident is not None and session is None:
            fields.wrong("analysis_session", no_such(ident))
        fields.done()
        what = _read(values)
        if session is None:
            session = _session(c, task.project_id, store.manual_session(c, task.project_id, now=now))
        made = _say(c, task, what, session, user_id=caller.user_id, now=now)
        return notes.analysis_note(made)

    return reply(await writing(request, create, Scope.VERIFY), 201)


def _say(
    c: sa.Connection, task: TaskEntry, what: _Said, session: Session, *, user_id: int | None, now: datetime
) -> Note:
    """Write a note and what follows from it. A task may be spoken of twice in one session."""
    there = task_store.get(c, project_id=task.project_id, task_id=task.task_id)
    assert there is not None  # it was read in this transaction
    after = standing(_as_task(there), session.analysis_type, what.says, what.behaviour)
    store.set_verification(
        c,
        there.row_id,
        status=after.status.value,
        results={name: result.value for name, result in after.results.items()},
        now=now,
    )
    status = what.statuses.get(after.status)
    if status is not None:
        task_store.change(c, there.row_id, {"status": status}, now=now)
    values = {
        "text": what.text,
        "automatic": session.analysis_type != store.MANUAL,
        "session_id": session.id,
        "analysis_type": session.analysis_type,
        "status": what.says.value,
        "confidence": None if what.confidence is None else what.confidence.value,
        "behaviour": what.behaviour.value,
        "findings": what.findings,
    }
    made = store.add_note(c, there.row_id, values, user_id=user_id, now=now)
    found = task_store.note(c, task=there.row_id, note_id=made)
    assert found is not None  # it was written in this transaction
    return found


def _as_task(entry: TaskEntry) -> Task:
    return Task(
        id=entry.id,
        task_id=entry.task_id,
        title=entry.title,
        text=entry.text,
        phase=entry.phase,
        priority=entry.priority,
        status=entry.status,
        meaning=MEANINGS[entry.status],
        verification_status=Verification(entry.verification_status),
        updated=entry.updated.isoformat(),
        cwes=tuple(entry.cwes),
        categories=tuple(entry.categories),
        catch_all=entry.catch_all,
        tags=tuple(entry.tags),
        results={name: Verification(result) for name, result in entry.results.items()},
    )
