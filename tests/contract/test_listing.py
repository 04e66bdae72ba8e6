"""Jobs as they are listed, and the results that come from outside."""

from typing import Any

import pytest

from runner.errors import Reason
from runner.model.jobs import Kind, Outcome, State
from runner.store import accounts, claims, listing, queue, results, uploads
from runner.store.listing import JobView, Wanted
from runner.store.pages import Cut
from runner.store.values import to_micros
from tests.contract.desk import NOW, Desk, at

ALL = Cut(limit=100)
ALL_KINDS = tuple(Kind)


def listed(desk: Desk, part: Cut = ALL, **wanted: Any) -> list[int]:
    """The ids of a listing, which its count agrees with."""
    asked = Wanted(**{"kinds": ALL_KINDS, **wanted})
    found = [view.id for view in desk.ask(listing.page, asked, part)]
    if part is ALL:
        assert desk.ask(listing.count, asked) == len(found)
    return found


def view(desk: Desk, job_id: int) -> JobView:
    """The job as it is shown."""
    found = desk.ask(listing.one, job_id)
    assert found is not None
    return found


class Week:
    """A few jobs of every sort: the newest are the last."""

    def __init__(self, desk: Desk) -> None:
        self.project = desk.project()
        self.ann = desk.do(accounts.create_user, email="Ann@example.org", now=NOW)
        self.rally = desk.connection("Rally", project_id=self.project)
        self.scan = desk.connection("Scan", kind=Kind.ANALYSIS)
        self.jobs = {
            "good": self.add(desk, self.rally, user_id=self.ann),
            "bad": self.add(desk, self.rally),
            "preview": self.add(desk, self.rally, preview=True),
            "scan": self.add(desk, self.scan, kind=Kind.ANALYSIS, automatic=True),
            "running": self.add(desk, self.rally),
            "waiting": self.add(desk, self.rally, user_id=self.ann),
        }
        ends = {"good": Outcome.SUCCEEDED, "bad": Outcome.FAILED, "preview": Outcome.SUCCEEDED}
        ends |= {"scan": Outcome.CANCELLED}
        while True:
            taken = desk.do(claims.claim, owner="one", now=at(60), limit=1)
            if not taken or taken[0].job.id == self.jobs["running"]:
                break
            outcome = ends[next(name for name, key in self.jobs.items() if key == taken[0].job.id)]
            reason = None if outcome is Outcome.SUCCEEDED else Reason.INTERNAL
            desk.finish(taken[0].job, outcome=outcome, reason=reason, now=at(100 + taken[0].job.id))

    @staticmethod
    def add(desk: Desk, connection: int, *, kind: Kind = Kind.ALM, **fields: Any) -> int:
        """Add a job."""
        return desk.do(queue.enqueue, connection_id=connection, kind=kind, now=NOW, **fields)[0]


@pytest.fixture
def week(desk: Desk) -> Week:
    """Give a store with jobs of every sort."""
    return Week(desk)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "waiting running scan bad good"),
        ({"previews": True}, "waiting running scan preview bad good"),
        ({"kinds": (Kind.ALM,)}, "waiting running bad good"),
        ({"kinds": (Kind.ALM, Kind.LDAP)}, "waiting running bad good"),
        ({"kinds": (Kind.ANALYSIS,)}, "scan"),
        ({"kinds": ()}, ""),
        ({"ready": True}, "scan bad good"),
        ({"ready": False}, "waiting running"),
        ({"succeeded": True}, "good"),
        ({"succeeded": False}, "waiting running scan bad"),
        ({"succeeded": False, "ready": True}, "scan bad"),
        ({"automatic": True}, "scan"),
        ({"automatic": False, "kinds": (Kind.ALM,)}, "waiting running bad good"),
        ({"user": "aNN@example.org"}, "waiting good"),
        ({"user": "bob@example.org"}, ""),
    ],
)
def test_jobs_are_listed_as_wanted(desk: Desk, week: Week, wanted: dict[str, Any], names: str) -> None:
    """Filters narrow, the newest comes first, previews only where asked for, and the count agrees."""
    assert listed(desk, **wanted) == [week.jobs[name] for name in names.split()]


def test_jobs_are_listed_by_place(desk: Desk, week: Week) -> None:
    """A connection's jobs, or a project's."""
    of_rally = [week.jobs[name] for name in ("waiting", "running", "bad", "good")]
    assert listed(desk, connection_id=week.rally) == of_rally == listed(desk, project_id=week.project)
    assert listed(desk, connection_id=week.scan) == [week.jobs["scan"]]
    assert listed(desk, connection_id=week.scan, kinds=(Kind.ALM,)) == []


@pytest.mark.parametrize("most", [100, 0])
def test_a_projects_jobs_are_those_of_all_its_connections(
    desk: Desk, week: Week, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in one order and in pages both ways, by every filter, however many connections it has."""
    monkeypatch.setattr(listing, "_MOST_MERGED", most)
    other = desk.connection("Second", project_id=week.project)
    late = [Week.add(desk, other, automatic=automatic) for automatic in (True, False)]
    of_rally = [week.jobs[name] for name in ("waiting", "running", "bad", "good")]
    every = [*late[::-1], *of_rally]
    assert listed(desk, project_id=week.project) == every
    assert listed(desk, Cut(limit=2, key=every[2]), project_id=week.project) == every[3:5]
    assert listed(desk, Cut(limit=2, key=every[4], backwards=True), project_id=week.project) == every[2:4]
    assert listed(desk, Cut(limit=3, offset=1), project_id=week.project) == every[1:4]
    assert listed(desk, project_id=week.project, automatic=True) == late[:1]
    assert listed(desk, project_id=week.project, succeeded=True) == [week.jobs["good"]]
    assert listed(desk, project_id=week.project, succeeded=False) == [*late[::-1], *of_rally[:3]]
    assert listed(desk, project_id=week.project, kinds=(Kind.LDAP,)) == []
    assert listed(desk, project_id=week.project, connection_id=other) == late[::-1]
    assert listed(desk, project_id=week.project, connection_id=week.scan) == []
    assert listed(desk, project_id=2**40) == []


def test_a_listing_comes_in_pages_both_ways(desk: Desk, week: Week) -> None:
    """A page goes on from an id, and is always told newest first."""
    every = listed(desk)
    assert listed(desk, Cut(limit=2)) == every[:2]
    assert listed(desk, Cut(limit=2, key=every[1])) == every[2:4]
    assert listed(desk, Cut(limit=2, key=every[4], backwards=True)) == every[2:4]
    assert listed(desk, Cut(limit=2, offset=4)) == every[4:]


def test_a_job_is_shown_with_its_surroundings(desk: Desk) -> None:
    """Connection, project, users and file are there in one look."""
    project = desk.project()
    connection = desk.connection("Ours", project_id=project, params={"a": 1})
    users = [desk.do(accounts.create_user, email=f"{name}@example.org", now=NOW) for name in ("ann", "bob")]
    upload = desk.do(uploads.add, uploads.Received(name="r.xml", file="f", size=1, sha256=""), now=NOW)
    job = desk.job(connection, user_id=users[0], triggered_by_id=users[1], upload_id=upload, only="T1")
    found = view(desk, job)
    assert (found.user, found.triggered_by) == ("ann@example.org", "bob@example.org")
    assert (found.attachment, found.upload_removed, found.only) == ("r.xml", None, "T1")
    assert (found.alias, found.params, found.project_id) == ("Ours", '{"a":1}', project)
    assert found.application_id is not None
    assert found.business_unit_id is not None
    assert (found.state, found.created, found.finished) == ("pending", to_micros(NOW), None)
    assert desk.ask(listing.one, job + 1000) is None


def test_a_job_without_surroundings_is_shown(desk: Desk) -> None:
    """A job of the whole platform that nobody asked for lacks nothing that it needs."""
    found = view(desk, desk.job(desk.connection()))
    assert (found.user, found.triggered_by, found.attachment, found.project_id) == (None, None, None, None)


def test_the_last_failures_are_shown(desk: Desk, week: Week) -> None:
    """The newest that failed, without previews and without those that a person cancelled."""
    assert [found.id for found in desk.ask(listing.last_failures, 5)] == [week.jobs["bad"]]
    assert desk.ask(listing.last_failures, 0) == []


def test_totals_count_all_and_the_unsuccessful(desk: Desk, week: Week) -> None:
    """Whoever looks from afar sees two numbers."""
    assert desk.ask(listing.totals) == {"all": len(week.jobs), "unsuccessful": 2}


def test_what_ended_since_an_instant(desk: Desk, week: Week) -> None:
    """A daemon that was to do all that is due tells how it went; previews don't count."""
    found = desk.ask(listing.finished_since, NOW)
    assert found == [
        (week.jobs["good"], Outcome.SUCCEEDED),
        (week.jobs["bad"], Outcome.FAILED),
        (week.jobs["scan"], Outcome.CANCELLED),
    ]
    assert desk.ask(listing.finished_since, at(100 + week.jobs["bad"])) == found[1:]
    assert desk.ask(listing.finished_since, at(10**6)) == []


# --- results from outside ----------------------------------------------------------------


def oldest(desk: Desk, connection: int, *, automatic: bool = False) -> int | None:
    """The job that a result without a number belongs to."""
    return desk.ask(results.oldest_waiting, connection_id=connection, automatic=automatic)


def end(desk: Desk, job_id: int, *, succeeded: bool = True) -> State | None:
    """Give a job its result from outside."""

    def give(c: Any) -> State | None:
        results.lock_connection(c, desk.row(job_id).connection_id)
        return results.end_waiting(c, job_id=job_id, succeeded=succeeded, message="Done there.", now=at(9))

    return desk.do(give)


def test_the_oldest_waiting_job_takes_the_result(desk: Desk) -> None:
    """Among those of the same sort; previews and other connections' jobs are never meant."""
    connection, other = desk.connection(), desk.connection()
    desk.job(other)
    desk.job(connection, preview=True)
    first, second = desk.job(connection), desk.job(connection)
    scheduled = desk.job(connection, automatic=True)
    assert (oldest(desk, connection), oldest(desk, connection, automatic=True)) == (first, scheduled)
    end(desk, first)
    assert oldest(desk, connection) == second


def test_a_running_job_is_not_waiting(desk: Desk) -> None:
    """What a daemon runs can't be ended from outside."""
    job = desk.running()
    assert oldest(desk, job.connection_id) is None
    assert end(desk, job.id) is None
    assert desk.state(job.id) is State.RUNNING


@pytest.mark.parametrize(("succeeded", "outcome"), [(True, "succeeded"), (False, "failed")])
def test_a_result_ends_the_job_and_lets_the_next_follow(desk: Desk, succeeded: bool, outcome: str) -> None:
    """The pending one gives way to the one behind; one behind ends where it stands."""
    connection = desk.connection()
    first, second, third = (desk.job(connection) for _ in range(3))
    assert end(desk, second, succeeded=succeeded) is State.BEHIND
    assert desk.state(first) is State.PENDING
    assert end(desk, first, succeeded=succeeded) is State.PENDING
    assert desk.state(third) is State.PENDING
    row = desk.row(first)
    assert (row.outcome, row.result_message, row.finished) == (outcome, "Done there.", to_micros(at(9)))
    assert end(desk, first) is None


def test_a_run_elsewhere_can_be_added_with_its_result(desk: Desk) -> None:
    """It is finished from the start, and stands in nobody's way."""
    connection = desk.connection()
    made = desk.do(
        results.add_finished,
        connection_id=connection,
        kind=Kind.ALM,
        automatic=True,
        succeeded=False,
        message="No entry.",
        user_id=None,
        now=at(5),
    )
    found = view(desk, made)
    assert (found.state, found.outcome, found.result_message) == ("finished", "failed", "No entry.")
    assert (found.automatic, found.created, found.finished) == (True, to_micros(at(5)), to_micros(at(5)))
    assert desk.state(desk.job(connection)) is State.PENDING
