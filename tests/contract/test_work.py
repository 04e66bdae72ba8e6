"""Business units, applications, projects and tasks, as the API lists and makes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from runner.store import accounts, tasks, work
from runner.store.pages import Cut
from runner.store.schema import projects
from runner.store.work import Found
from tests.contract.desk import NOW, Desk, at

ALL = Cut(limit=100)


def listed(desk: Desk, what: str, part: Cut = ALL, **found: Any) -> list[str]:
    """The names of a listing, which its count agrees with."""
    page: Callable[..., list[Any]] = getattr(work, f"{what}_page")
    count: Callable[..., int] = getattr(work, f"{what}_count")
    rows = desk.ask(page, Found(**found), part)
    if part is ALL:
        assert desk.ask(count, Found(**found)) == len(rows)
    return [row.name for row in rows]


# --- the chain of names ------------------------------------------------------------------


def test_each_is_found_with_what_it_belongs_to(desk: Desk) -> None:
    """A project knows its application and business unit by id and name, and so up."""
    project = desk.ask(work.project, desk.project("Webshop"))
    assert project is not None
    assert (project.name, project.slug, project.archived, project.created) == (
        "Webshop",
        "webshop",
        False,
        NOW,
    )
    application = desk.ask(work.application, project.application_id)
    assert application is not None
    assert (application.name, application.name) == (project.application, "Portal of Webshop")
    unit = desk.ask(work.business_unit, application.business_unit_id)
    assert unit is not None
    assert (unit.id, unit.name) == (project.business_unit_id, project.business_unit)
    assert (application.business_unit, application.priority, unit.slug) == (
        unit.name,
        "0-none",
        "unit-of-webshop",
    )


@pytest.mark.parametrize("look", [work.project, work.application, work.business_unit])
def test_what_is_not_there_is_none(desk: Desk, look: Callable[..., object]) -> None:
    """An id that was never given finds nothing."""
    assert desk.ask(look, 98765) is None


def test_a_name_is_taken_once_where_it_belongs(desk: Desk) -> None:
    """A second one of the same name under the same parent isn't made; elsewhere the name is free."""
    project = desk.ask(work.project, desk.project("One"))
    other = desk.ask(work.project, desk.project("Other"))
    assert project is not None
    assert other is not None
    assert desk.do(work.create_business_unit, name="Unit of One", now=NOW) is None
    portal = partial(work.create_application, name="Portal of One", priority="1-high", now=NOW)
    assert desk.do(lambda c: portal(c, business_unit_id=project.business_unit_id)) is None
    assert desk.do(lambda c: portal(c, business_unit_id=other.business_unit_id)) is not None
    one = partial(work.create_project, name="One", description="", now=NOW)
    assert desk.do(lambda c: one(c, application_id=project.application_id)) is None
    assert desk.do(lambda c: one(c, application_id=other.application_id)) is not None


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({}, ["Blue Shop", "Red Shop", "Red_Shed"]),
        ({"name": "Red Shop"}, ["Red Shop"]),
        ({"name": "red shop"}, []),
        ({"slug": "red-shed"}, ["Red_Shed"]),
        ({"search": "shop RED"}, ["Red Shop"]),
        ({"search": "d_s"}, ["Red_Shed"]),
        ({"search": ""}, ["Blue Shop", "Red Shop", "Red_Shed"]),
        ({"search": "shop", "name": "Red_Shed"}, []),
    ],
)
def test_listings_are_narrowed(desk: Desk, found: dict[str, Any], names: list[str]) -> None:
    """By exact name or slug, or by words in any case; an underscore is one."""
    for name in ("Blue Shop", "Red Shop", "Red_Shed"):
        desk.project(name)
    assert listed(desk, "project", **found) == names


def test_listings_are_narrowed_by_parent(desk: Desk) -> None:
    """By its id or its name; of those of another nothing is shown."""
    one, _ = desk.project("One"), desk.project("Other")
    project = desk.ask(work.project, one)
    assert project is not None
    assert listed(desk, "project", parent_id=project.application_id) == ["One"]
    assert listed(desk, "project", parent_name="Portal of Other") == ["Other"]
    assert listed(desk, "application", parent_id=project.business_unit_id) == ["Portal of One"]
    assert listed(desk, "application", parent_name="Unit of Other") == ["Portal of Other"]
    assert listed(desk, "application", parent_name="Nobody") == []


@pytest.mark.parametrize("what", ["project", "application", "business_unit"])
def test_listings_come_in_pages(desk: Desk, what: str) -> None:
    """Page after page gives each row once."""
    for number in range(5):
        desk.project(f"{number}")
    pages = [listed(desk, what, Cut(limit=2, offset=offset)) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert [name for page in pages for name in page] == listed(desk, what)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Customer Portal", "customer-portal"), ("  Ü & _x_ ", "ü-x"), ("!!!", "unnamed"), ("", "unnamed")],
)
def test_a_slug_may_stand_in_an_address(name: str, slug: str) -> None:
    """Words of any language, joined by hyphens; never nothing."""
    assert work.slug(name) == slug


# --- tasks -------------------------------------------------------------------------------


def task(desk: Desk, project: int, task_id: str = "T1") -> tasks.TaskEntry:
    """The task as it stands now."""
    found = desk.ask(tasks.get, project_id=project, task_id=task_id)
    assert found is not None
    return found


def add(desk: Desk, project: int, *entries: dict[str, Any]) -> None:
    """Add tasks."""
    desk.do(tasks.add, project, entries, now=NOW)


def test_a_task_is_kept_as_it_was_added(desk: Desk) -> None:
    """All that was given, and the defaults of a task that nobody has touched."""
    project = desk.project()
    entry = {"task_id": "T1", "title": "Escape", "text": " Do. \n", "priority": 9, "phase": "development"}
    more = {"cwes": [79, 80], "categories": ["XSS"], "catch_all": True, "tags": ["web"]}
    add(desk, project, entry | more)
    found = task(desk, project)
    assert (found.id, found.task_id, found.title, found.text) == (f"{project}-T1", "T1", "Escape", "Do.")
    assert (found.cwes, found.categories, found.catch_all, found.tags) == ([79, 80], ["XSS"], True, ["web"])
    assert (found.status, found.verification_status, found.results) == ("TS2", "none", {})
    assert (found.status_updated, found.created, found.note_count) == (None, NOW, 0)


def test_a_task_id_is_used_once_in_a_project(desk: Desk) -> None:
    """Two tasks of a project can't have one id; those of different projects can."""
    project = desk.project("One", task_ids=("T1",))
    desk.project("Other", task_ids=("T1",))
    with pytest.raises(sa.exc.IntegrityError):
        add(desk, project, {"task_id": "T1", "title": "x", "priority": 1, "phase": "testing"})


def test_a_changed_status_is_dated(desk: Desk) -> None:
    """When a status changes is known; when the same is set again, it stays."""
    project = desk.project(task_ids=("T1",))
    row_id = task(desk, project).row_id
    desk.do(tasks.change, row_id, {"status": "TS1", "tags": ["a"]}, now=at(5))
    found = task(desk, project)
    assert (found.status, found.tags, found.status_updated, found.updated) == ("TS1", ["a"], at(5), at(5))
    desk.do(tasks.change, row_id, {"status": "TS1"}, now=at(9))
    assert task(desk, project).status_updated == at(5)
    desk.do(tasks.change, row_id, {"title": "New"}, now=at(10))
    assert (task(desk, project).status_updated, task(desk, project).title) == (at(5), "New")


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["T1", "T2", "T10"]),
        ({"status": "TS1"}, ["T2"]),
        ({"phase": "testing"}, ["T10"]),
        ({"priority": 9}, ["T1"]),
        ({"verification": "none"}, ["T1", "T2", "T10"]),
        ({"verification": "fail"}, []),
        ({"search": "t1"}, ["T1", "T10"]),
        ({"search": "ESCAPE t10"}, ["T10"]),
    ],
)
def test_tasks_are_listed_as_wanted(desk: Desk, wanted: dict[str, Any], ids: list[str]) -> None:
    """Filters narrow a project's tasks; their order is that in which they were made."""
    project = desk.project("One")
    desk.project("Other", task_ids=("T1", "T99"))
    add(
        desk,
        project,
        {"task_id": "T1", "title": "Log", "priority": 9, "phase": "development"},
        {"task_id": "T2", "title": "Escape input", "priority": 5, "phase": "development"},
        {"task_id": "T10", "title": "Test to escape", "priority": 5, "phase": "testing"},
    )
    desk.do(tasks.change, task(desk, project, "T2").row_id, {"status": "TS1"}, now=NOW)
    asked = tasks.Wanted(project_id=project, **wanted)
    assert [entry.task_id for entry in desk.ask(tasks.page, asked, ALL)] == ids
    assert desk.ask(tasks.count, asked) == len(ids)


def test_notes_are_told_oldest_first_and_counted(desk: Desk) -> None:
    """Each with who wrote it; those of other tasks are left out."""
    project = desk.project(task_ids=("T1", "T2"))
    ann = desk.do(accounts.create_user, email="ann@example.org", now=NOW)
    row_id = task(desk, project).row_id
    ids = [
        desk.do(tasks.add_note, task=row_id, text=text, automatic=False, user_id=ann, now=at(n))
        for n, text in enumerate(("one", "two", "three"))
    ]
    other = task(desk, project, "T2").row_id
    desk.do(tasks.add_note, task=other, text="else", automatic=True, user_id=None, now=NOW)
    found = desk.ask(tasks.note_page, row_id, ALL)
    assert [(note.id, note.text) for note in found] == list(zip(ids, ("one", "two", "three"), strict=True))
    assert (found[0].user, found[0].task, found[0].automatic) == ("ann@example.org", f"{project}-T1", False)
    assert (found[0].session_id, found[0].findings, found[2].created) == (None, [], at(2))
    assert [note.text for note in desk.ask(tasks.note_page, row_id, Cut(limit=1, key=ids[0]))] == ["two"]
    assert (desk.ask(tasks.note_count, row_id), task(desk, project).note_count) == (3, 3)
    assert desk.ask(tasks.note_page, row_id, ALL, of_analyses=True) == []
    assert desk.ask(tasks.note_count, row_id, of_analyses=True) == 0


def test_a_note_is_found_on_its_task_only_and_can_be_removed(desk: Desk) -> None:
    """A note's id under another task finds nothing."""
    project = desk.project(task_ids=("T1", "T2"))
    one, other = (task(desk, project, name).row_id for name in ("T1", "T2"))
    made = desk.do(tasks.add_note, task=one, text="x", automatic=True, user_id=None, now=NOW)
    found = desk.ask(tasks.note, task=one, note_id=made)
    assert found is not None
    assert (found.text, found.user, found.automatic) == ("x", None, True)
    assert desk.ask(tasks.note, task=other, note_id=made) is None
    desk.do(tasks.delete_note, made)
    assert desk.ask(tasks.note, task=one, note_id=made) is None


def test_a_project_takes_its_tasks_and_notes_with_it(desk: Desk) -> None:
    """When a project's row is removed, nothing of it is left over."""
    project = desk.project(task_ids=("T1",))
    row_id = task(desk, project).row_id
    desk.do(tasks.add_note, task=row_id, text="x", automatic=True, user_id=None, now=NOW)
    desk.do(lambda c: c.execute(sa.delete(projects).where(projects.c.id == project)))
    assert desk.ask(tasks.note_count, row_id) == 0
    assert desk.ask(tasks.get, project_id=project, task_id="T1") is None
