"""``POST /jobs/analysis-file/``: a scanner's report comes in and becomes a job."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.engine.catalogue import System
from runner.errors import Refused
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.body import parse
from runner.server.fields import REQUIRED, no_such, whole
from runner.server.form import Form
from runner.server.multipart import boundary_of, receive
from runner.server.once import once
from runner.server.replies import Invalid, reply, to_bytes
from runner.server.sdelements import shapes
from runner.server.sdelements.initiate import masking
from runner.server.sdelements.params import merged, sealed
from runner.server.sdelements.shapes import JobStyle
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, systems_of, writing
from runner.store import connections, queue, uploads, work
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.uploads import Received
from runner.store.vault import Vault

FILE = "report_file"

_NOT_A_FILE = "The submitted data was not a file. Check the encoding type on the form."


class _Asked(NamedTuple):
    """A form that was read and fits what the server knows by itself."""

    received: Received
    system: System
    project_id: int
    params: dict[str, Any]


async def post_file(request: Request) -> Response:
    """Take a report, keep it, and queue its import."""
    services = services_of(request)
    # Who may not send is told before the file is read: it may be large.
    await reading(request, lambda _c, _caller: None, Scope.RUN)
    systems = await systems_of(request)
    largest = services.settings.server.max_upload
    form = Form(boundary_of(request), services.uploads, file_field=FILE, largest=largest)
    await receive(request, form, largest=largest)
    try:
        asked = read(form, systems)
        if asked.params:
            await in_thread(lambda: services.engine.validate(asked.system.id, asked.params))
        now = services.clock()
        take = partial(_take, asked=asked, now=now, vault=services.vault)
        first = once(request, _said(asked), lambda c, caller: take(c, masking(caller)))
        done = await writing(request, first, Scope.RUN)
    except Refused:
        # After other errors the commit may have happened, and the job wants its file; a file
        # that no row knows is swept at the next start.
        await in_thread(form.drop)
        raise
    if done.again:
        await in_thread(form.drop)  # the first time its file was taken
    services.engine.wake()
    return reply(done.shown, 201)


def _said(asked: _Asked) -> bytes:
    """What tells this form from another, but not what is by chance, as its boundary."""
    parts = [asked.received.sha256, asked.received.name, asked.system.id, asked.project_id, asked.params]
    return to_bytes(parts)


def read(form: Form, systems: Mapping[str, System]) -> _Asked:
    """Read the form's fields; ``Invalid`` names all that are wrong."""
    wrong: dict[str, list[str]] = {}
    if form.received is None:
        wrong[FILE] = [_NOT_A_FILE if form.not_a_file else "No file was submitted."]
    elif form.received.size == 0:
        wrong[FILE] = ["The submitted file is empty."]
    system = _system(form.fields.get("system", ""), systems, wrong)
    project_id = _project_id(form.fields.get("project", ""), wrong)
    params = _params(form.fields.get("params", ""), wrong)
    if wrong or form.received is None or system is None or project_id is None or params is None:
        raise Invalid(wrong)
    return _Asked(form.received, system, project_id, params)


def _system(name: str, systems: Mapping[str, System], wrong: dict[str, list[str]]) -> System | None:
    name = name.strip()
    found = systems.get(name)
    if not name:
        wrong["system"] = [REQUIRED]
    elif found is None:
        wrong["system"] = [no_such(name)]
    elif found.broken is not None:
        wrong["system"] = [f"The connector for {name} can't be loaded: {found.broken}"]
    elif not found.file_upload:
        wrong["system"] = [f"{found.name} doesn't take files."]
    return found


def _project_id(text: str, wrong: dict[str, list[str]]) -> int | None:
    if not text.strip():
        wrong["project"] = [REQUIRED]
        return None
    found = whole(text)
    if found is None or found < 1:
        wrong["project"] = ["Incorrect type. Expected pk value, received str."]
        return None
    return found


def _params(text: str, wrong: dict[str, list[str]]) -> dict[str, Any] | None:
    if not text.strip():
        return {}
    try:
        value = parse(text.encode())
    except ValueError as error:
        wrong["params"] = [f"JSON parse error - {error}"]
        return None
    if not isinstance(value, dict):
        wrong["params"] = [f'Expected a dictionary of items but got type "{type(value).__name__}".']
        return None
    return value


def _take(c: sa.Connection, caller: Caller, *, asked: _Asked, now: datetime, vault: Vault) -> shapes.Shown:
    """Record the file, its connection and its job, in one transaction."""
    if work.project(c, asked.project_id) is None:
        raise Invalid({"project": [no_such(asked.project_id)]})
    if asked.params and not caller.edits(Kind.ANALYSIS):
        raise Refused("params change the connection, which wants the scope edit-verification.", status=403)
    entry = connections.for_uploads(
        c,
        project_id=asked.project_id,
        system=asked.system.id,
        alias=f"File Upload Connection - {asked.system.short_name}",
        command=asked.system.command,
        now=now,
    )
    if asked.params:
        params = merged(entry.connection.params, asked.params, system=asked.system, replace=True, vault=vault)
        stored = sealed(params, system=asked.system, vault=vault)
        connections.update(c, entry.connection.id, {"params": stored}, now=now)
    job_id, _ = queue.enqueue(
        c,
        connection_id=entry.connection.id,
        kind=Kind.ANALYSIS,
        now=now,
        user_id=caller.user_id,
        triggered_by_id=caller.user_id,
        upload_id=uploads.add(c, asked.received, now=now),
    )
    return _shown(c, caller, asked.system, job_id)


def _shown(c: sa.Connection, caller: Caller, system: System, job_id: int) -> shapes.Shown:
    """The job as this address shows it: with more of its connection than others tell."""
    view = store.one(c, job_id)
    assert view is not None  # it was written in this transaction
    shown = shapes.job(view, JobStyle({system.id: system}, caller))
    shown["connection"] = {
        **shown["connection"],
        "params": shapes.effective_params(view, system),
        "system": shapes.system(system.id, system),
        "in_progress": True,
        "connector": None,
        "debug_mode": view.debug_mode,
        "is_file_upload": True,
    }
    return shown
