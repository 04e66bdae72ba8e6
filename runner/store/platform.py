"""The platform's side of a run, on the store: tasks as connectors read them, and the
writes of a plan, a batch at a time, in the transaction that settles their rows.

``before`` is compared inside that transaction: a thing that someone else changed since it
was read is skipped and named, never overwritten.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from runner.errors import Refused
from runner.messages import OutcomeRow
from runner.model import protected
from runner.model.changes import ASSIGNED, ChangeState, Op, StoredChange
from runner.model.platform import Meaning, Project, Verification
from runner.store import people
from runner.store.prepared import Prepared
from runner.store.rows import among, listed
from runner.store.schema import analysis_sessions, applications, business_units, notes, projects, tasks
from runner.store.values import from_json, from_micros, to_json, to_micros
from runner.store.writing import Writing, conflict, done, failed

MEANINGS = {"TS1": Meaning.DONE, "TS2": Meaning.TODO, "TS3": Meaning.NA}
"""The task statuses and what they mean."""


def project(c: sa.Connection, project_id: int) -> Project:
    """The project with its chain of names, or ``Refused`` if there is none."""
    row = c.execute(
        sa.select(
            projects.c.id,
            projects.c.name,
            projects.c.slug,
            applications.c.name.label("application"),
            business_units.c.name.label("business_unit"),
        )
        .join(applications, applications.c.id == projects.c.application_id)
        .join(business_units, business_units.c.id == applications.c.business_unit_id)
        .where(projects.c.id == project_id)
    ).one_or_none()
    if row is None:
        msg = f"There is no project {project_id}."
        raise Refused(msg, field="project", status=404)
    return Project(
        id=row.id,
        name=row.name,
        slug=row.slug,
        application=row.application,
        business_unit=row.business_unit,
    )


def task_page(
    c: sa.Connection, project_id: int, *, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Tasks of a project past the cursor, as the pipe carries them; the next cursor or None."""
    rows = c.execute(
        sa.select(tasks)
        .where(tasks.c.project_id == project_id, tasks.c.id > after)
        .order_by(tasks.c.id)
        .limit(limit)
    ).all()
    page = [
        {
            "id": f"{project_id}-{row.task_id}",
            "task_id": row.task_id,
            "title": row.title,
            "text": row.text,
            "phase": row.phase,
            "priority": row.priority,
            "status": row.status,
            "meaning": MEANINGS[row.status].value,
            "verification_status": row.verification_status,
            "updated": from_micros(row.updated).isoformat(),
            "status_updated": ""
            if row.status_updated is None
            else from_micros(row.status_updated).isoformat(),
            "cwes": from_json(row.cwes),
            "categories": from_json(row.categories),
            "catch_all": row.catch_all,
            "tags": from_json(row.tags),
            "results": from_json(row.results),
        }
        for row in rows
    ]
    return page, rows[-1].id if len(rows) == limit else None


Assigned = Mapping[tuple[str, str], Mapping[str, Any]]
"""What earlier changes of the run were given, by kind and key."""


def apply(
    c: sa.Connection,
    batch: Sequence[StoredChange],
    *,
    author: int | None,
    now: datetime,
    assigned: Assigned,
    connection_id: int | None = None,
    refers: bool = True,
) -> list[OutcomeRow]:
    """Make a batch of platform changes; tell the outcome of each, in the batch's order.

    ``refers``: whether any change may refer to what an earlier one was given.
    """
    writing = Writing(c, author, connection_id, to_micros(now))
    known = dict(assigned)
    outcomes = {outcome.sequence: outcome for outcome in _shielded(c, batch, author)}
    free = [change for change in batch if change.sequence not in outcomes]
    for kind, group in groupby(free, key=lambda change: change.kind):
        rows = list(group)
        handler = _HANDLERS.get(kind)
        if handler is None:
            text = f"The platform has nothing called {kind!r}."
            outcomes |= {row.sequence: failed(row, text) for row in rows}
            continue
        if refers:
            rows = list(_resolved(rows, known, outcomes))
        for row, outcome in zip(rows, handler(writing, rows), strict=True):
            outcomes[row.sequence] = outcome
            if outcome.assigned is not None:
                known[row.kind, row.key] = from_json(outcome.assigned)
    return [outcomes[change.sequence] for change in batch]


def _shielded(c: sa.Connection, batch: Sequence[StoredChange], author: int | None) -> list[OutcomeRow]:
    """The outcomes of changes to accounts that no run may touch."""
    if not any(change.kind in protected.ACCOUNT_OF for change in batch):
        return []
    sentences = people.untouchable(c, author)
    return [
        OutcomeRow(change.sequence, ChangeState.SKIPPED, sentences[account], None)
        for change in batch
        if (account := protected.account_of(change.kind, change.key)) in sentences
    ]


def _resolved(
    rows: Sequence[StoredChange], known: Assigned, outcomes: dict[int, OutcomeRow]
) -> Iterator[StoredChange]:
    """The changes with what they refer to filled in; without those for which it is missing."""
    for row in rows:
        named = references(row.after)
        why = missing(named, known)
        if why is not None:
            # What it refers to has failed or was left alone, and that is what counts.
            outcomes[row.sequence] = OutcomeRow(row.sequence, ChangeState.SKIPPED, why, None)
        else:
            # A copy: this may be rolled back and run again, and then other ids are given.
            yield replace(row, after=resolve(row.after, known)) if named else row


def resolve(value: Any, assigned: Assigned) -> Any:
    """``value`` with the placeholders of assigned values filled in."""
    if isinstance(value, dict):
        if set(value) == {ASSIGNED}:
            kind, key, field = value[ASSIGNED]
            return assigned.get((kind, key), {}).get(field)
        return {name: resolve(part, assigned) for name, part in value.items()}
    if isinstance(value, list):
        return [resolve(part, assigned) for part in value]
    return value


def missing(named: Iterable[tuple[str, str]], assigned: Assigned) -> str | None:
    """What is referred to and was never given, as a sentence; None if all of it is known."""
    for kind, key in named:
        if (kind, key) not in assigned:
            return f"the {kind} {key} that it refers to was not made."
    return None


def references(value: Any) -> list[tuple[str, str]]:
    """Kind and key of all changes whose assigned values ``value`` refers to."""
    if isinstance(value, dict):
        if set(value) == {ASSIGNED}:
            kind, key, _ = value[ASSIGNED]
            return [(kind, key)]
        return [found for part in value.values() for found in references(part)]
    if isinstance(value, list):
        return [found for part in value for found in references(part)]
    return []


# --- analysis sessions -------------------------------------------------------------------


def _sessions(w: Writing, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
    return [_session(w, change) for change in batch]


def _session(w: Writing, change: StoredChange) -> OutcomeRow:
    if change.op is Op.DELETE:
        w.c.execute(sa.delete(analysis_sessions).where(analysis_sessions.c.key == change.key))
        return done(change)
    after = change.after or {}
    # A resumed run finds its own session by the key and makes no second one.
    found = w.c.scalar(sa.select(analysis_sessions.c.id).where(analysis_sessions.c.key == change.key))
    if found is None:
        found = w.c.execute(
            sa.insert(analysis_sessions)
            .values(
                project_id=after["project"],
                analysis_ref=after["analysis_ref"],
                analysis_type=after["analysis_type"],
                key=change.key,
                created=w.micros,
                # One that comes back, when a revert is taken back, keeps the id that its notes name.
                **({"id": after["id"]} if "id" in after else {}),
            )
            .returning(analysis_sessions.c.id)
        ).scalar_one()
    return done(change, {"id": found})


# --- tasks and their verification --------------------------------------------------------

_TASK_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "status": str,
    "verification_status": str,
    "results": lambda value: to_json(dict(sorted(value.items()))),
    "title": str,
    "text": str,
    "priority": int,
}


_TASK_COLUMNS = ("id", "task_id", "status_updated", *_TASK_FIELDS)
_TASK_BOUND = {f"b_{name}": name for name in _TASK_FIELDS}


def _load(w: Writing, batch: Sequence[StoredChange]) -> dict[str, dict[str, Any]]:
    """The tasks that a batch is about, by the API's id ("7-T21")."""
    wanted: dict[int, list[str]] = {}
    for change in batch:
        number, _, task_id = change.key.partition("-")
        if number.isdecimal() and task_id:
            wanted.setdefault(int(number), []).append(task_id)
    found: dict[str, dict[str, Any]] = {}
    for project_id, task_ids in wanted.items():
        for row in _some_tasks.rows(w.c, {"b_project": project_id, "b_list": listed(task_ids)}):
            found[f"{project_id}-{row.task_id}"] = dict(zip(_TASK_COLUMNS, row, strict=True))
    return found


_some_tasks = Prepared(
    sa.select(*(tasks.c[name] for name in _TASK_COLUMNS)).where(
        tasks.c.project_id == sa.bindparam("b_project"), among(tasks.c.task_id, "b_list")
    )
)


_KNOWN: Mapping[str, frozenset[str]] = {
    "status": frozenset(MEANINGS),
    "verification_status": frozenset(Verification),
}


def _unknown(after: Mapping[str, Any]) -> str | None:
    """The first value that no task can have, as a sentence; None if there is none."""
    for name, known in _KNOWN.items():
        if name in after and after[name] not in known:
            return f"there is no {name.replace('_', ' ')} {after[name]!r}."
    return None


def _differing(row: Mapping[str, Any], expected: Mapping[str, Any] | None) -> str | None:
    """The first expected field that the task doesn't have, as a sentence; None if all agree."""
    for name, value in (expected or {}).items():
        column = _TASK_FIELDS.get(name)
        if column is None:
            continue
        there = row[name]
        if name == "results":
            there, value = from_json(there), dict(value)  # noqa: PLW2901 - compared as values
        if there != value:
            return f"{name} is {there!r} now, {value!r} was expected."
    return None


def _tasks(w: Writing, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
    there = _load(w, batch)
    outcomes: list[OutcomeRow] = []
    updates: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []
    for change in batch:
        row = there.get(change.key)
        if row is None:
            outcomes.append(conflict(change, f"there is no task {change.key} any more."))
            continue
        differing = _differing(row, change.before)
        if differing is not None:
            outcomes.append(conflict(change, differing))
            continue
        after = change.after or {}
        unknown = _unknown(after)
        if unknown is not None:
            outcomes.append(failed(change, unknown))
            continue
        fields = {name: _TASK_FIELDS[name](value) for name, value in after.items() if name in _TASK_FIELDS}
        if fields.get("status", row["status"]) != row["status"]:
            row["status_updated"] = w.micros
        row |= fields  # a later change of this batch finds the task as this one leaves it
        updates.append(
            {
                "b_id": row["id"],
                "b_updated": w.micros,
                "b_status_updated": row["status_updated"],
                **{bound: row[name] for bound, name in _TASK_BOUND.items()},
            }
        )
        if "note" in after:
            written.append(_note_row(w, row["id"], after["note"]))
        elif change.before and "note" in change.before:
            # A revert: what the run said of the task goes with what it did to it.
            _take_back_note(w, row["id"], change.before["note"])
        outcomes.append(done(change))
    _update_task.each(w.c, updates)
    _insert_note.each(w.c, _unwritten(w, written))
    return outcomes


def _unwritten(w: Writing, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of an analysis's notes that an earlier attempt at the same run didn't write."""
    sessions = {row["b_session_id"] for row in rows} - {None}
    if not sessions:
        return list(rows)
    query = sa.select(notes.c.task, notes.c.session_id, notes.c.text).where(
        notes.c.task.in_([row["b_task"] for row in rows]), notes.c.session_id.in_(sessions)
    )
    there = {(row.task, row.session_id, row.text) for row in w.c.execute(query)}
    return [row for row in rows if (row["b_task"], row["b_session_id"], row["b_text"]) not in there]


_update_task = Prepared(
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("b_id"))
    .values(
        **{name: sa.bindparam(f"b_{name}") for name in _TASK_FIELDS},
        updated=sa.bindparam("b_updated"),
        status_updated=sa.bindparam("b_status_updated"),
    )
)
_NOTE = {c.name: sa.bindparam(f"b_{c.name}", type_=c.type) for c in notes.c if c.name != "id"}
_insert_note = Prepared(sa.insert(notes).values(_NOTE))


def _note_row(w: Writing, task: int, note: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "b_task": task,
        "b_text": note["text"],
        "b_automatic": True,
        "b_user_id": w.author,
        "b_session_id": note.get("session"),
        "b_analysis_type": note.get("analysis_type"),
        "b_status": note.get("status"),
        "b_confidence": note.get("confidence"),
        "b_behaviour": note.get("behaviour"),
        "b_findings": to_json(note["findings"]) if "findings" in note else None,
        "b_created": w.micros,
        "b_updated": w.micros,
    }


def _take_back_note(w: Writing, task: int, note: Mapping[str, Any]) -> None:
    """Delete what a run said of a task: its own note, never one that people wrote."""
    session = note.get("session")
    w.c.execute(
        sa.delete(notes).where(
            notes.c.task == task,
            notes.c.automatic,
            notes.c.text == note["text"],
            notes.c.session_id.is_(None) if session is None else notes.c.session_id == session,
        )
    )


# --- plain notes -------------------------------------------------------------------------


def _notes(w: Writing, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
    """Notes by task and text: the key is the task's, and the text tells one from another."""
    there = _load(w, batch)
    outcomes: list[OutcomeRow] = []
    wanted: list[tuple[int, str]] = []
    unwanted: list[tuple[int, str]] = []
    for change in batch:
        row = there.get(change.key)
        if row is None:
            outcomes.append(conflict(change, f"there is no task {change.key} any more."))
            continue
        text = (change.after or change.before or {})["text"]
        (unwanted if change.op is Op.DELETE else wanted).append((row["id"], text))
        outcomes.append(done(change))
    # A batch adds or deletes, never both: what is destructive comes after all else.
    _delete_note.each(w.c, [{"b_task": task, "b_text": text} for task, text in unwanted])
    _note_once.each(w.c, [_note_row(w, task, {"text": text}) for task, text in wanted])
    return outcomes


_note_once = Prepared(
    sa.insert(notes).from_select(
        list(_NOTE),
        sa.select(*_NOTE.values()).where(
            ~sa.exists().where(notes.c.task == _NOTE["task"], notes.c.text == _NOTE["text"])
        ),
    )
)
_delete_note = Prepared(
    sa.delete(notes).where(notes.c.task == sa.bindparam("b_task"), notes.c.text == sa.bindparam("b_text"))
)


_HANDLERS: Mapping[str, Callable[[Writing, Sequence[StoredChange]], list[OutcomeRow]]] = {
    "analysis-session": _sessions,
    "verification": _tasks,
    "task": _tasks,
    "note": _notes,
    **people.HANDLERS,
}
