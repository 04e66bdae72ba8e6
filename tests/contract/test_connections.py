"""Connections and the files that come to them."""

from typing import Any

import pytest
import sqlalchemy as sa

from runner.model.jobs import Frequency, Kind, State
from runner.store import connections, uploads
from runner.store.connections import Entry, Wanted
from runner.store.pages import Cut
from runner.store.schema import connections as table
from runner.store.schema import uploads as uploads_table
from tests.contract.desk import NOW, Desk, at

ALL = Cut(limit=100)
ALL_KINDS = tuple(Kind)


def get(desk: Desk, connection_id: int) -> Entry:
    """The connection."""
    found = desk.ask(connections.get, connection_id)
    assert found is not None
    return found


def listed(desk: Desk, part: Cut = ALL, **wanted: Any) -> list[int]:
    """The ids of a listing, which its count agrees with."""
    asked = Wanted(**{"kinds": ALL_KINDS, **wanted})
    found = [entry.connection.id for entry in desk.ask(connections.page, asked, part)]
    if part is ALL:
        assert desk.ask(connections.count, asked) == len(found)
    return found


def for_uploads(desk: Desk, project: int, system: str = "fortify_file_upload") -> Entry:
    """The connection that takes files."""
    return desk.do(
        connections.for_uploads, project_id=project, system=system, alias="Files", command="import", now=NOW
    )


def test_a_connection_is_kept_as_it_was_made(desk: Desk) -> None:
    """What was asked for comes out again; what wasn't has its default."""
    project = desk.project()
    made = desk.connection("Ours", kind=Kind.ANALYSIS, project_id=project, params={"ü": [1, None]})
    found = get(desk, made)
    connection = found.connection
    assert (connection.id, connection.alias, connection.kind) == (made, "Ours", Kind.ANALYSIS)
    assert (connection.project_id, connection.params) == (project, {"ü": [1, None]})
    assert (connection.frequency, connection.enabled, connection.safety) == (Frequency.MANUALLY, True, {})
    assert (found.in_progress, found.next_run) == (False, None)
    assert desk.ask(connections.get, made + 1000) is None


def test_a_change_touches_what_it_names(desk: Desk) -> None:
    """The rest stays, and that it was changed is seen by who holds an older copy."""
    made = desk.connection("Ours", params={"a": 1}, debug_mode=True)
    before = get(desk, made)
    desk.do(connections.update, made, {"alias": "Theirs", "params": {"b": 2}}, now=at(5))
    after = get(desk, made)
    assert (after.connection.alias, after.connection.params) == ("Theirs", {"b": 2})
    assert (after.connection.debug_mode, after.updated - before.updated) == (True, 5_000_000)


def test_a_new_frequency_waits_for_the_scheduler(desk: Desk) -> None:
    """The instant computed for the old one holds no more."""
    made = desk.connection()
    desk.do(lambda c: c.execute(sa.update(table).values(next_run=5)))
    assert get(desk, made).next_run is not None
    desk.do(connections.update, made, {"frequency": "daily"}, now=NOW)
    found = get(desk, made)
    assert (found.connection.frequency, found.next_run) == (Frequency.DAILY, None)


def test_a_connection_is_in_progress_while_a_job_waits_or_runs(desk: Desk) -> None:
    """Whoever looks knows that something is under way; finished jobs don't count."""
    made = desk.connection()
    job = desk.job(made)
    seen = [get(desk, made).in_progress]
    claimed = desk.claim().job
    seen.append(get(desk, made).in_progress)
    desk.finish(claimed)
    seen.append(get(desk, made).in_progress)
    assert (job, seen) == (claimed.id, [True, True, False])


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "abc"),
        ({"kinds": (Kind.ANALYSIS,)}, "b"),
        ({"kinds": (Kind.ALM, Kind.ANALYSIS)}, "abc"),
        ({"kinds": ()}, ""),
        ({"system": "rally"}, "ac"),
        ({"alias": "Blue Whale"}, "b"),
        ({"alias": "Blue"}, ""),
        ({"frequency": "daily"}, "c"),
        ({"search": "WHALE blue"}, "b"),
        ({"search": "rally"}, "ac"),
        ({"search": "50% r"}, "c"),
        ({"search": "5_% r"}, ""),
        ({"search": "whale rally"}, ""),
    ],
)
def test_a_listing_has_what_is_wanted(desk: Desk, wanted: dict[str, Any], names: str) -> None:
    """Each filter narrows, all of them together; wildcards of SQL are ordinary characters."""
    made = {
        "a": desk.connection("Red Fox", system="rally"),
        "b": desk.connection("Blue Whale", system="whitehat", kind=Kind.ANALYSIS),
        "c": desk.connection("50% Raven", system="rally", frequency=Frequency.DAILY),
    }
    assert listed(desk, **wanted) == [made[name] for name in names]


def test_a_listing_can_be_of_one_project(desk: Desk) -> None:
    """Other projects' connections, and those of none, are left out."""
    one, other = desk.project("One"), desk.project("Other")
    mine = [desk.connection(project_id=one) for _ in range(2)]
    desk.connection(project_id=other)
    desk.connection()
    assert listed(desk, project_id=one) == mine


def test_a_listing_comes_in_pages_both_ways(desk: Desk) -> None:
    """A page goes on from an id, forwards or backwards, and is always told in the listing's order."""
    made = [desk.connection(f"{number}") for number in range(7)]
    assert listed(desk, Cut(limit=3)) == made[:3]
    assert listed(desk, Cut(limit=3, key=made[2])) == made[3:6]
    assert listed(desk, Cut(limit=3, key=made[5])) == made[6:]
    assert listed(desk, Cut(limit=2, offset=3)) == made[3:5]
    assert listed(desk, Cut(limit=3, key=made[5], backwards=True)) == made[2:5]


def test_a_deleted_connection_is_out_of_use_and_its_row_stays(desk: Desk) -> None:
    """It is listed and found no more, and what refers to it keeps its ground."""
    made, other = desk.connection(), desk.connection()
    job = desk.job(made)
    desk.do(connections.delete, made, now=at(5))
    assert desk.ask(connections.get, made) is None
    assert listed(desk) == [other]
    assert desk.row(job).connection_id == made


def test_a_connections_open_jobs(desk: Desk) -> None:
    """What isn't finished, the oldest first, each with its state."""
    made, other = desk.connection(), desk.connection()
    done, running, behind = (desk.job(made) for _ in range(3))
    desk.job(other, seconds=5)
    desk.finish(desk.claim().job)
    desk.claim()
    assert desk.ask(connections.open_jobs, made) == {running: State.RUNNING, behind: State.BEHIND}
    assert done not in desk.ask(connections.open_jobs, made)


def test_a_connections_newest_job_is_no_preview(desk: Desk) -> None:
    """A listing shows each connection's last real run, or none."""
    one, other, idle = desk.connection(), desk.connection(), desk.connection()
    desk.job(one)
    last = desk.job(one)
    desk.job(one, preview=True)
    desk.job(other, preview=True)
    assert desk.ask(connections.last_jobs, [one, other, idle]) == {one: last}
    assert desk.ask(connections.last_jobs, []) == {}


# --- the ones that uploads make ----------------------------------------------------------


def test_a_project_takes_files_through_one_connection(desk: Desk) -> None:
    """The first upload makes it, the next ones find it; each project and system has its own."""
    one, other = desk.project("One"), desk.project("Other")
    first = for_uploads(desk, one)
    assert (first.connection.is_file_upload, first.connection.kind) == (True, Kind.ANALYSIS)
    assert for_uploads(desk, one) == first
    ids = {for_uploads(desk, other).connection.id, for_uploads(desk, one, "else").connection.id}
    assert len(ids | {first.connection.id}) == 3


def test_a_deleted_upload_connection_comes_back(desk: Desk) -> None:
    """Whoever uploads again after it was deleted gets the same one, in use again."""
    project = desk.project()
    first = for_uploads(desk, project)
    desk.do(connections.delete, first.connection.id, now=at(5))
    again = for_uploads(desk, project)
    assert (again.connection.id, again.connection.enabled) == (first.connection.id, True)


def test_files_are_known_by_their_own_names(desk: Desk) -> None:
    """All files that should be there are known; one that was removed is not."""
    ids = [
        desk.do(
            uploads.add, uploads.Received(name="r.xml", file=file, size=3 * 2**31, sha256="0" * 64), now=NOW
        )
        for file in ("f1", "f2", "f3")
    ]
    removed = sa.update(uploads_table).where(uploads_table.c.id == ids[1]).values(removed=5)
    desk.do(lambda c: c.execute(removed))
    assert desk.ask(uploads.files) == {"f1", "f3"}
