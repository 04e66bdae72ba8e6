"""The platform's side of a run: a plan's writes, made where they are settled."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from runner.errors import Refused
from runner.messages import OutcomeRow
from runner.model.changes import ASSIGNED, ChangeState, Op, StoredChange, Target
from runner.store import accounts, platform, tasks
from runner.store.pages import Cut
from runner.store.schema import analysis_sessions
from tests.contract.desk import NOW, Desk, at

ALL = Cut(limit=100)
DONE, SKIPPED, FAILED = ChangeState.DONE, ChangeState.SKIPPED, ChangeState.FAILED


def change(sequence: int, kind: str, key: str, op: Op = Op.UPDATE, **fields: Any) -> StoredChange:
    """A change as the journal has it."""
    values: dict[str, Any] = {"before": None, "after": None, **fields}
    return StoredChange(
        sequence=sequence,
        target=Target.PLATFORM,
        op=op,
        kind=kind,
        key=key,
        subject=key,
        state=ChangeState.PLANNED,
        **values,
    )


def make(
    desk: Desk,
    *batch: StoredChange,
    author: int | None = None,
    assigned: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> list[OutcomeRow]:
    """Make a batch."""
    return desk.do(platform.apply, batch, author=author, now=at(60), assigned=assigned or {})


def session(sequence: int, project: int, key: str = "import-1") -> StoredChange:
    """The creation of an analysis session."""
    after = {"project": project, "analysis_ref": "2026-03-01", "analysis_type": "fortify"}
    return change(sequence, "analysis-session", key, Op.CREATE, after=after)


def verified(sequence: int, key: str, session_key: str = "import-1") -> StoredChange:
    """A task that a scan sets to fail, with its note."""
    note = {
        "session": {ASSIGNED: ["analysis-session", session_key, "id"]},
        "analysis_type": "fortify",
        "status": "fail",
        "confidence": "high",
        "behaviour": "combine",
        "findings": [{"count": 2, "desc": "SQL Injection"}],
        "text": "Fortify has 2 findings for this task.",
    }
    return change(
        sequence,
        "verification",
        key,
        Op.FAIL,
        before={"verification_status": "none", "results": {}},
        after={"verification_status": "fail", "results": {"z": "pass", "fortify": "fail"}, "note": note},
    )


def task(desk: Desk, project: int, task_id: str = "T1") -> tasks.TaskEntry:
    """The task as it stands now."""
    found = desk.ask(tasks.get, project_id=project, task_id=task_id)
    assert found is not None
    return found


def notes(desk: Desk, project: int, task_id: str = "T1") -> list[tasks.Note]:
    """The task's notes."""
    return desk.ask(tasks.note_page, task(desk, project, task_id).row_id, ALL)


# --- reading -----------------------------------------------------------------------------


def test_a_project_is_read_with_what_it_belongs_to(desk: Desk) -> None:
    """A connector sees the whole chain of names."""
    project = desk.ask(platform.project, desk.project())
    names = (project.name, project.application, project.business_unit, project.slug)
    assert names == ("Webshop", "Portal of Webshop", "Unit of Webshop", "webshop")


def test_a_project_that_is_not_there_is_refused(desk: Desk) -> None:
    """A connection whose project is gone is told so."""
    with pytest.raises(Refused, match="no project 987"):
        desk.ask(platform.project, 987)


def test_tasks_are_read_in_pages_to_the_proven_end(desk: Desk) -> None:
    """Page after page gives each task of the project once, and says when there are no more."""
    ids = tuple(f"T{number}" for number in range(1, 8))
    project = desk.project(task_ids=ids)
    desk.project("Other", task_ids=("T1", "T2"))
    read: list[str] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        rows, after = desk.ask(platform.task_page, project, after=after, limit=3)
        read += [row["task_id"] for row in rows]
        pages += 1
    assert (tuple(read), pages) == (ids, 3)


def test_a_task_is_read_with_what_its_status_means(desk: Desk) -> None:
    """Connectors go by the meaning of a status, not by its number."""
    project = desk.project(task_ids=("T1",))
    (row,), _ = desk.ask(platform.task_page, project, after=0, limit=3)
    assert (row["id"], row["status"], row["meaning"]) == (f"{project}-T1", "TS2", "TODO")
    assert (row["verification_status"], row["results"], row["cwes"]) == ("none", {}, [])


# --- verification ------------------------------------------------------------------------


def test_a_verification_is_written_with_its_note_and_session(desk: Desk) -> None:
    """Session, task and note are there together, and the note names the session it came with."""
    project = desk.project(task_ids=("T1", "T2"))
    author = desk.do(accounts.create_user, email="a@example.org", now=NOW)
    first, second = make(desk, session(1, project), verified(2, f"{project}-T1"), author=author)
    (stored,) = desk.ask(tasks.session_page, project, ALL)
    assert (first.sequence, first.state, first.assigned) == (1, DONE, f'{{"id":{stored.id}}}')
    assert (second.sequence, second.state) == (2, DONE)
    found = task(desk, project)
    assert (found.verification_status, found.results) == ("fail", {"z": "pass", "fortify": "fail"})
    assert (found.updated, found.status_updated) == (at(60), None)
    (note,) = notes(desk, project)
    assert (note.session_id, note.analysis_type, note.status) == (stored.id, "fortify", "fail")
    assert (note.confidence, note.behaviour, note.automatic) == ("high", "combine", True)
    assert (note.findings, note.user) == ([{"count": 2, "desc": "SQL Injection"}], "a@example.org")
    assert task(desk, project, "T2").verification_status == "none"


def test_a_placeholder_is_filled_from_an_earlier_batch(desk: Desk) -> None:
    """What the target assigned in one transaction is known in the next."""
    project = desk.project(task_ids=("T1",))
    (outcome,) = make(desk, session(1, project))
    (stored,) = desk.ask(tasks.session_page, project, ALL)
    assert outcome.assigned == f'{{"id":{stored.id}}}'
    make(
        desk,
        verified(2, f"{project}-T1"),
        assigned={("analysis-session", "import-1"): {"id": stored.id}},
    )
    assert [note.session_id for note in notes(desk, project)] == [stored.id]


def test_a_session_made_before_a_crash_is_found_again(desk: Desk) -> None:
    """A resumed run makes no second session of the same key, and goes on with the first one's id."""
    project = desk.project(task_ids=("T1",))
    outcomes = [make(desk, session(1, project))[0] for _ in range(2)]
    assert outcomes[0].assigned == outcomes[1].assigned
    assert desk.ask(tasks.session_count, project) == 1
    make(desk, session(2, project, "import-2"))
    assert desk.ask(tasks.session_count, project) == 2


def test_a_session_can_be_taken_back(desk: Desk) -> None:
    """With a session go the notes that came with it, and nothing else."""
    project = desk.project(task_ids=("T1",))
    make(desk, session(1, project), session(2, project, "import-2"))
    make(desk, session(1, project), verified(3, f"{project}-T1"))
    make(desk, change(4, "analysis-session", "import-1", Op.DELETE))
    assert notes(desk, project) == []
    assert desk.ask(lambda c: list(c.scalars(sa.select(analysis_sessions.c.key)))) == ["import-2"]


# --- conflicts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"status": "TS1"}, "status is 'TS2' now, 'TS1' was expected"),
        ({"verification_status": "pass"}, "verification_status is 'none' now"),
        ({"results": {"fortify": "pass"}}, "results is {} now"),
    ],
)
def test_what_was_changed_since_is_left_alone(desk: Desk, before: dict[str, Any], words: str) -> None:
    """A task that isn't as it was read is skipped, with what is there and what was expected."""
    project = desk.project(task_ids=("T1",))
    old = task(desk, project)
    (outcome,) = make(desk, change(1, "task", old.id, before=before, after={"status": "TS3"}))
    assert outcome.state is SKIPPED
    assert outcome.message.startswith("conflict: ")
    assert words in outcome.message
    assert task(desk, project) == old


def test_a_conflict_stops_nothing_else(desk: Desk) -> None:
    """The others of its batch are made, and outcomes come in the batch's order."""
    project = desk.project(task_ids=("T1", "T2"))
    outcomes = make(
        desk,
        change(1, "task", f"{project}-T1", before={"status": "TS1"}, after={"status": "TS3"}),
        change(2, "task", f"{project}-T9", before={"status": "TS2"}, after={"status": "TS3"}),
        change(3, "task", f"{project}-T2", before={"status": "TS2"}, after={"status": "TS3"}),
    )
    assert [(row.sequence, row.state) for row in outcomes] == [(1, SKIPPED), (2, SKIPPED), (3, DONE)]
    assert task(desk, project, "T2").status == "TS3"


@pytest.mark.parametrize("kind", ["task", "verification", "note"])
@pytest.mark.parametrize("key", ["{project}-T9", "9999-T1", "T1", "", "x-y", "-T1"])
def test_a_task_that_is_gone_is_named(desk: Desk, kind: str, key: str) -> None:
    """A task that was removed since it was read is skipped with its id."""
    project = desk.project(task_ids=("T1",))
    key = key.format(project=project)
    (outcome,) = make(desk, change(1, kind, key, after={"status": "TS1", "text": "x"}))
    assert (outcome.state, outcome.message) == (SKIPPED, f"conflict: there is no task {key} any more.")


def test_an_unknown_kind_fails(desk: Desk) -> None:
    """A connector that names something the platform doesn't have hears its name."""
    (outcome,) = make(desk, change(1, "spaceship", "1"))
    assert (outcome.state, outcome.message) == (FAILED, "The platform has nothing called 'spaceship'.")


def test_two_changes_of_one_task_add_up(desk: Desk) -> None:
    """The second change of a task in a batch finds it as the first one left it."""
    project = desk.project(task_ids=("T1",))
    key = f"{project}-T1"
    outcomes = make(
        desk,
        change(1, "task", key, before={"status": "TS2"}, after={"status": "TS1"}),
        change(2, "task", key, before={"status": "TS1"}, after={"title": "Renamed"}),
        change(3, "task", key, before={"status": "TS2"}, after={"title": "Never"}),
    )
    assert [row.state for row in outcomes] == [DONE, DONE, SKIPPED]
    found = task(desk, project)
    assert (found.status, found.title, found.status_updated) == ("TS1", "Renamed", at(60))


def test_a_status_is_dated_when_it_changes(desk: Desk) -> None:
    """A write of the status that stands already doesn't date it anew."""
    project = desk.project(task_ids=("T1",))
    make(desk, change(1, "task", f"{project}-T1", after={"status": "TS2"}))
    assert task(desk, project).status_updated is None
    make(desk, change(2, "task", f"{project}-T1", after={"status": "TS1"}))
    assert task(desk, project).status_updated == at(60)


# --- plain notes -------------------------------------------------------------------------


def test_a_note_is_known_by_its_text(desk: Desk) -> None:
    """The same text on the same task is one note, however often it is written."""
    project = desk.project(task_ids=("T1", "T2"))
    first, second = f"{project}-T1", f"{project}-T2"
    batch = [
        change(1, "note", first, Op.CREATE, after={"text": "Hello"}),
        change(2, "note", first, Op.CREATE, after={"text": "Hello"}),
        change(3, "note", first, Op.CREATE, after={"text": "Good bye"}),
        change(4, "note", second, Op.CREATE, after={"text": "Hello"}),
    ]
    for _ in range(2):
        assert {row.state for row in make(desk, *batch)} == {DONE}
    assert [note.text for note in notes(desk, project)] == ["Hello", "Good bye"]
    assert [note.text for note in notes(desk, project, "T2")] == ["Hello"]


def test_a_note_can_be_taken_back(desk: Desk) -> None:
    """The note with this text goes; one that is gone already is no trouble."""
    project = desk.project(task_ids=("T1",))
    key = f"{project}-T1"
    make(desk, *(change(n, "note", key, Op.CREATE, after={"text": f"{n}"}) for n in (1, 2)))
    for _ in range(2):
        (outcome,) = make(desk, change(3, "note", key, Op.DELETE, before={"text": "1"}))
        assert outcome.state is DONE
    assert [note.text for note in notes(desk, project)] == ["2"]


def test_taking_back_a_verification_takes_its_note(desk: Desk) -> None:
    """A revert removes what the run said of the task; what people wrote stays."""
    project = desk.project(task_ids=("T1",))
    key = f"{project}-T1"
    desk.do(
        tasks.add_note,
        task=task(desk, project).row_id,
        text="By hand",
        automatic=False,
        user_id=None,
        now=NOW,
    )
    make(desk, session(1, project), verified(2, key))
    done = verified(2, key)
    note = {**(done.after or {})["note"], "session": desk.ask(tasks.session_page, project, ALL)[0].id}
    make(
        desk,
        change(
            3,
            "verification",
            key,
            Op.UNVERIFY,
            before={**(done.after or {}), "note": note},
            after=done.before,
        ),
    )
    found = task(desk, project)
    assert (found.verification_status, found.results) == ("none", {})
    assert [left.text for left in notes(desk, project)] == ["By hand"]


# --- placeholders ------------------------------------------------------------------------


def test_placeholders_are_filled_wherever_they_stand() -> None:
    """In lists and in objects; one that nothing was assigned to becomes null; all else stays."""
    mark = {ASSIGNED: ["user", "jdoe", "id"]}
    assigned = {("user", "jdoe"): {"id": 7}}
    assert platform.resolve({"a": [mark, {"b": mark}], "c": 1}, assigned) == {"a": [7, {"b": 7}], "c": 1}
    assert platform.resolve({ASSIGNED: ["user", "other", "id"]}, assigned) is None
    assert platform.resolve(None, assigned) is None
