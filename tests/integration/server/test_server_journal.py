"""The journal over all jobs: filters, pages, rights, and the files it is exported as."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runner.messages import OutcomeRow, PlanRow
from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Kind, Outcome
from runner.store import accounts, approvals, changes, claims, queue
from runner.store.accounts import Scope
from tests.integration.server.kit import Running

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
ENTRY = {
    "job": 1,
    "sequence": 2,
    "when": "2026-03-04T05:06:07.891234Z",
    "user": "boss@example.com",
    "triggered_by": "boss@example.com",
    "allowed_by": "",
    "connection": 1,
    "alias": "My Rally",
    "system": "rally",
    "target": "outside",
    "op": "delete",
    "kind": "task",
    "key": "K2",
    "subject": "Bob",
    "before": {"name": "old"},
    "after": None,
    "state": "skipped",
    "error": "conflict: gone",
    "why": "absent",
}


def row(sequence: int, subject: str, op: Op = Op.UPDATE, kind: str = "task") -> PlanRow:
    """A planned change."""
    after = None if op is Op.DELETE else '{"name":"new"}'
    key = f"K{sequence}"
    return PlanRow(sequence, Target.OUTSIDE, op, kind, key, subject, '{"name":"old"}', after, None, "absent")


def ran(
    server: Running,
    connection: int,
    kind: Kind,
    rows: list[PlanRow],
    outcomes: dict[int, tuple[ChangeState, str]] | None = None,
    **fields: Any,
) -> int:
    """A finished job with these changes; what isn't settled stays planned."""
    now = NOW

    def write(c: Any) -> int:
        user = accounts.user_by_email(c, "boss@example.com")
        ident = (
            accounts.create_user(c, email="boss@example.com", role=accounts.Role.ADMINISTRATOR, now=now)
            if user is None
            else user.id
        )
        asked = {"user_id": ident, "triggered_by_id": ident, **fields}
        queue.enqueue(c, connection_id=connection, kind=kind, now=now, **asked)
        (claim,) = claims.claim(c, owner="test", now=now)
        changes.add_plan(c, claim.job, rows)
        settled = [OutcomeRow(n, state, text, None) for n, (state, text) in (outcomes or {}).items()]
        changes.settle(c, claim.job.id, settled, now=now)
        claims.finish(
            c, job=claim.job, outcome=Outcome.SUCCEEDED, reason=None, message="", totals={}, now=now
        )
        return claim.job.id

    return server.database.write(write)


DONE = (ChangeState.DONE, "")


@pytest.fixture
def jobs(server: Running) -> list[int]:
    """Give three jobs of two connections, and a preview."""
    rally, ldap = server.connection(), server.connection("ldap")
    first = ran(
        server,
        rally,
        Kind.ALM,
        [row(1, "Ann"), row(2, "Bob", Op.DELETE)],
        {1: DONE, 2: (ChangeState.SKIPPED, "conflict: gone")},
    )
    second = ran(server, ldap, Kind.LDAP, [row(1, "Ann", kind="user"), row(2, "anna_1")], {1: DONE})
    third = ran(
        server, rally, Kind.ALM, [row(1, "Cy")], {1: (ChangeState.FAILED, "no")}, triggered_by_id=None
    )
    ran(server, rally, Kind.ALM, [row(1, "Ann")], preview=True)
    return [first, second, third]


def told(answer: Any) -> list[tuple[int, int]]:
    """Job and sequence of the entries of an answer."""
    assert answer.status_code == 200, answer.text
    return [(entry["job"], entry["sequence"]) for entry in answer.json()["results"]]


def test_an_entry_says_who_when_and_what(server: Running, jobs: list[int]) -> None:
    """Each entry has the change, its outcome, and whose doing it was."""
    client = server.admin()
    entries = client.get("changes/?job=1").json()["results"]
    assert entries[0] == ENTRY
    assert list(entries[0]) == list(ENTRY)
    [lone] = client.get(f"changes/?job={jobs[2]}").json()["results"]
    assert (lone["user"], lone["triggered_by"]) == ("boss@example.com", "")


def test_the_newest_comes_first(server: Running, jobs: list[int]) -> None:
    """The newest job's changes first, of a job the last one first; previews only if asked for."""
    client = server.admin()
    everything = [(3, 1), (2, 2), (2, 1), (1, 2), (1, 1)]
    assert told(client.get("changes/")) == everything
    assert told(client.get("changes/?include=preview")) == [(4, 1), *everything]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subject=Ann", [(2, 1), (1, 1)]),
        ("subject=ann", []),
        ("subject__contains=ANN", [(2, 2), (2, 1), (1, 1)]),
        ("subject__contains=a_1", [(2, 2)]),
        ("connection=2", [(2, 2), (2, 1)]),
        ("job=1", [(1, 2), (1, 1)]),
        ("job=99", []),
        ("state=done", [(2, 1), (1, 1)]),
        ("state=planned", [(2, 2)]),
        ("op=delete", [(1, 2)]),
        ("kind=user", [(2, 1)]),
        ("since=2026-03-04T05:06:07.891234Z", [(3, 1), (2, 1), (1, 2), (1, 1)]),
        ("since=2026-03-04T05:06:07.891235Z", []),
        ("until=2026-03-04T05:06:07.891234Z", []),
        ("until=2026-03-05&state=failed", [(3, 1)]),
        ("subject=Ann&connection=1&state=done", [(1, 1)]),
    ],
)
def test_filters(server: Running, jobs: list[int], query: str, expected: list[tuple[int, int]]) -> None:
    """Each filter leaves what it says, in the listing, its count and its export."""
    client = server.admin()
    assert told(client.get(f"changes/?{query}")) == expected
    assert client.get(f"changes/?{query}&page_size=1").json()["count"] == len(expected)
    lines = client.get(f"changes/?{query}&format=jsonl").text.splitlines()
    assert [(entry["job"], entry["sequence"]) for entry in map(json.loads, lines)] == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=finished", "state"),
        ("op=remove", "op"),
        ("job=x", "job"),
        ("connection=1.5", "connection"),
        ("since=yesterday", "since"),
        ("until=tomorrow", "until"),
        ("format=xml", "format"),
        ("format=csv&page_size=5", "format"),
        ("page_size=0", "page_size"),
    ],
)
def test_wrong_filters_are_named(server: Running, query: str, field: str) -> None:
    """What can't be meant is refused by name."""
    answer = server.admin().get(f"changes/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_pages_lead_there_and_back(server: Running) -> None:
    """Each page's links lead on through jobs of any size, and back again."""
    connection = server.connection()
    for size in (7, 1, 5):
        ran(server, connection, Kind.ALM, [row(n, f"S{n}") for n in range(1, size + 1)])
    client = server.admin()
    page = client.get("changes/?page_size=3").json()
    pages = [page["results"]]
    while page["next"]:
        page = client.get(page["next"]).json()
        pages.append(page["results"])
    seen = [(entry["job"], entry["sequence"]) for results in pages for entry in results]
    assert seen == sorted(
        ((j, n) for j, s in ((1, 7), (2, 1), (3, 5)) for n in range(1, s + 1)), reverse=True
    )
    back = [page["results"]]
    while page["previous"]:
        page = client.get(page["previous"]).json()
        back.append(page["results"])
    assert back[::-1] == pages
    assert told(client.get("changes/?page_size=3&page=2")) == seen[3:6]


def test_it_is_told_whole(server: Running) -> None:
    """Without ``page_size`` nothing is cut, however many pages the server reads, in all formats."""
    connection = server.connection()
    for _ in range(3):
        ran(server, connection, Kind.ALM, [row(n, f"S{n}") for n in range(1, 701)])
    client = server.admin()
    assert len(told(client.get("changes/"))) == len(set(told(client.get("changes/")))) == 2100
    assert len(client.get("changes/?format=jsonl").text.splitlines()) == 2100
    assert len(client.get("changes/?format=csv").text.splitlines()) == 2101


def test_who_may_see_it(server: Running, jobs: list[int]) -> None:
    """The journal shows the kinds whose params the caller may see, and nothing without a token."""
    assert server.client().get("changes/").status_code == 401
    assert server.client(Scope.RUN).get("changes/").status_code == 403
    assert told(server.client(Scope.READ).get("changes/")) == []
    assert server.client(Scope.READ).get("changes/?format=csv").text.count("\n") == 1
    assert told(server.client(Scope.READ, Scope.EDIT_LDAP).get("changes/")) == [(2, 2), (2, 1)]


def test_who_allowed_it_is_told(server: Running) -> None:
    """An approval that a run made use of is named in the journal and on the job."""
    connection = server.connection()
    job = ran(server, connection, Kind.ALM, [row(1, "Ann", Op.DELETE)], {1: DONE})
    other = ran(server, connection, Kind.ALM, [row(1, "Ann")], {1: DONE})

    def write(c: Any) -> None:
        user = accounts.user_by_email(c, "boss@example.com")
        assert user is not None
        for allowed in (40, 3):
            approvals.grant(c, connection_id=connection, allowed=allowed, user_id=user.id, now=NOW)
        approvals.use_up(c, connection_id=connection, job_id=job)

    server.database.write(write)
    client = server.admin()
    assert [entry["allowed_by"] for entry in client.get("changes/").json()["results"]] == [
        "",
        "boss@example.com",
    ]
    shown = client.get(f"jobs/alm/{job}/?include=allowed_by").json()
    assert shown["allowed_by"] == {
        "user": "boss@example.com",
        "allowed": 40,
        "when": "2026-03-04T05:06:07.891234Z",
    }
    assert "allowed_by" not in client.get(f"jobs/alm/{job}/").json()
    listed = client.get("jobs/?include=allowed_by").json()["results"]
    assert [entry["allowed_by"] is None for entry in listed] == [True, False]
    assert listed[0]["id"] == other


@pytest.mark.parametrize(
    ("query", "accept", "media"),
    [
        ("?format=csv", "*/*", "text/csv"),
        ("", "text/csv", "text/csv"),
        ("?format=jsonl", "text/csv", "application/x-ndjson"),
        ("", "application/x-ndjson, */*;q=0.1", "application/x-ndjson"),
        ("?format=json", "text/csv", "application/json"),
        ("", "*/*", "application/json"),
    ],
)
def test_the_format_is_asked_for(
    server: Running, jobs: list[int], query: str, accept: str, media: str
) -> None:
    """The query says the format, or else the header."""
    answer = server.admin().get(f"changes/{query}", headers={"Accept": accept})
    assert answer.headers["Content-Type"].partition(";")[0] == media
    assert ("attachment" in answer.headers.get("Content-Disposition", "")) is (media != "application/json")


def test_csv_holds_no_formulas(server: Running) -> None:
    """A cell that a spreadsheet would calculate begins with an apostrophe; all else is as it was."""
    connection = server.connection(alias="=1+1")
    formulas = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\tx", "\r=1", "\n=1"]
    harmless = ['a "b", c\nd', "'quoted", "a=1"]
    plan = [row(number, subject) for number, subject in enumerate([*formulas, *harmless], 1)]
    ran(server, connection, Kind.ALM, plan, {1: (ChangeState.FAILED, "-")})
    answer = server.admin().get("changes/?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert list(rows[0]) == list(ENTRY)
    written = [entry["subject"] for entry in reversed(rows)]
    assert written == [*(f"'{subject}" for subject in formulas), *harmless]
    assert {entry["alias"] for entry in rows} == {"'=1+1"}
    assert rows[-1]["error"] == "'-"
    assert json.loads(rows[0]["before"]) == {"name": "old"}
    assert (rows[0]["when"], rows[0]["job"]) == ("", "1")
