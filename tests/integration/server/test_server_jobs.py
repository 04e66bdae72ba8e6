"""Looking at jobs: shapes, filters, paging, rights."""

import json
import re
from typing import Any

import pytest

from runner.model.jobs import Kind
from runner.store import accounts, queue
from runner.store.accounts import Scope
from tests.integration.server.kit import Running

CONNECTION = {
    "alias": str,
    "command": str,
    "frequency": str,
    "id": int,
    "params": dict,
    "project": int,
    "system": str,
}
JOB = {
    "id": int,
    "user": str,
    "triggered_by": str,
    "succeeded": bool,
    "automatic": bool,
    "ready": bool,
    "result_message": str,
    "last_run": str,
    "connection": dict,
}


def types_of(value: dict[str, Any], expected: dict[str, type]) -> dict[str, type]:
    """The types of the expected fields, to be compared with them."""
    return {name: type(value.get(name)) for name in expected}


def test_a_listing_has_the_fields_of_the_seeds(server: Running) -> None:
    """Every field that the original's pages print is there with its type."""
    connection = server.connection(project_id=server.project(), params={"alm_user": "rally_user"})
    client = server.admin()
    client.post("jobs/alm/", json={"connection": connection, "automatic": False, "ready": False})
    (shown,) = client.get("jobs/alm/").json()["results"]
    assert types_of(shown, JOB) == JOB
    assert shown["attachment"] is None
    assert types_of(shown["connection"], CONNECTION) == CONNECTION
    assert shown["connection"]["system"] == "Rally"
    assert re.fullmatch(r"2026-03-04T05:06:07\.\d{6}Z", shown["last_run"])
    assert shown == client.get("jobs/").json()["results"][0] == client.get(f"jobs/ALM/{shown['id']}").json()


def test_an_ldap_job_names_no_project(server: Running) -> None:
    """LDAP connections belong to the whole platform; the seeds show ``inaccessible`` instead."""
    connection = server.connection("ldap")
    client = server.admin()
    made = client.post("jobs/LDAP/", json={"connection": connection, "automatic": False, "ready": False})
    assert made.status_code == 201
    assert made.json()["connection"]["inaccessible"] is False
    assert "project" not in made.json()["connection"]


def test_the_newest_comes_first_and_nothing_is_cut(server: Running) -> None:
    """Without ``page_size`` a listing is whole, however many pages the server reads."""
    server.finished_jobs(server.connection(), 1234)
    answer = server.admin().get("jobs/")
    assert set(answer.json()) == {"results"}
    assert [job["id"] for job in answer.json()["results"]] == list(range(1234, 0, -1))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("automatic=TRUE", [3]),
        ("automatic=0", [5, 4, 2, 1]),
        ("ready=false", [5, 4]),
        ("ready=1", [3, 2, 1]),
        ("succeeded=true", [3, 1]),
        ("succeeded=False", [5, 4, 2]),
        ("connection=2", [5, 4]),
        ("connection=99", []),
        ("user=ANNA@example.com", [4]),
        ("user=nobody@example.com", []),
        ("ready=true&succeeded=true&automatic=false", [1]),
        ("automatic=", [5, 4, 3, 2, 1]),
    ],
)
def test_filters(server: Running, query: str, expected: list[int]) -> None:
    """Each documented filter leaves what it says, Booleans in any case."""
    one, two = server.connection(), server.connection("whitehat")
    server.finished_jobs(one, 1)
    server.finished_jobs(one, 1, outcome="failed")
    server.finished_jobs(one, 1, automatic=True)

    def write(c: Any) -> None:
        anna = accounts.create_user(c, email="Anna@example.com", now=server.clock())
        for user in (anna, None):
            queue.enqueue(c, connection_id=two, kind=Kind.ANALYSIS, now=server.clock(), user_id=user)

    server.database.write(write)
    answer = server.admin().get(f"jobs/?{query}")
    assert [job["id"] for job in answer.json()["results"]] == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("automatic=perhaps", "automatic"),
        ("ready=2", "ready"),
        ("succeeded=yes", "succeeded"),
        ("connection=alm", "connection"),
        ("connection=99999999999999999999", "connection"),
        ("user=%00", "user"),
        ("page_size=0", "page_size"),
        ("page_size=10001", "page_size"),
        ("page=2", "page"),
        ("page_size=5&cursor=x", "cursor"),
    ],
)
def test_a_bad_filter_is_named(server: Running, query: str, field: str) -> None:
    """A value that can't be read is 400 with the parameter's name."""
    answer = server.admin().get(f"jobs/alm/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_pages_lead_through_the_whole_listing_and_back(server: Running) -> None:
    """``next`` and ``previous`` visit each job once in both directions."""
    server.finished_jobs(server.connection(), 7)
    client = server.admin()
    forth, url = [], "jobs/alm/?page_size=3"
    page: dict[str, Any] = {}
    while url:
        page = client.get(url).json()
        assert page["count"] == 7
        forth.append([job["id"] for job in page["results"]])
        url = page["next"]
    assert forth == [[7, 6, 5], [4, 3, 2], [1]]
    back = []
    while page["previous"]:
        page = client.get(page["previous"]).json()
        back.append([job["id"] for job in page["results"]])
    assert back == [[4, 3, 2], [7, 6, 5]]
    second = client.get("jobs/alm/?page_size=3&page=2").json()
    assert [job["id"] for job in second["results"]] == [4, 3, 2]
    assert second["previous"] is not None


def test_expand_shows_whole_users(server: Running) -> None:
    """``expand=`` turns e-mails into the objects that the seeds print."""
    connection = server.connection()
    client = server.client(Scope.READ, Scope.RUN, Scope.EDIT_ALM)
    client.post("jobs/alm/", json={"connection": connection, "automatic": False, "ready": False})
    (shown,) = client.get("jobs/alm/?expand=user,triggered_by").json()["results"]
    assert shown["user"] == shown["triggered_by"]
    assert shown["user"]["email"] == "somebody@example.com"
    assert shown["user"]["role"] == {"id": "UR1", "name": "User"}
    assert set(shown["user"]) == {
        *("id", "email", "first_name", "last_name", "last_login", "date_joined"),
        *("is_active", "is_superuser", "role", "groups", "password_reset_in_progress"),
    }


def test_what_may_not_be_seen_is_left_out_or_without_params(server: Running) -> None:
    """``/jobs/`` leaves out kinds without the permission; ``/jobs/{kind}/`` shows them without params."""
    server.finished_jobs(server.connection(params={"alm_user": "u"}), 1)
    server.finished_jobs(server.connection("ldap", params={"base_dn": "o"}), 1, kind="ldap")
    client = server.client(Scope.READ, Scope.EDIT_VERIFICATION)
    assert [job["id"] for job in client.get("jobs/").json()["results"]] == [2]
    assert "params" not in client.get("jobs/alm/").json()["results"][0]["connection"]
    assert client.get("jobs/ldap/2/").json()["connection"]["params"] == {"base_dn": "o"}
    assert server.client(Scope.READ, email="c@example.com").get("jobs/").json() == {"results": []}


def test_secrets_are_masked(server: Running) -> None:
    """A secret param is never told, in no listing; an empty one is shown to be empty."""
    server.finished_jobs(server.connection(params={"alm_pass": "s3cret-one", "alm_user": "u"}), 1)
    server.finished_jobs(server.connection(params={"alm_pass": "", "alm_user": "u"}), 1)
    client = server.admin()
    for path in ("jobs/", "jobs/alm/", "jobs/alm/1/", "connections/", "connections/alm/1/"):
        assert "s3cret-one" not in client.get(path).text
    assert client.get("jobs/alm/1/").json()["connection"]["params"]["alm_pass"] == "********"
    assert client.get("jobs/alm/2/").json()["connection"]["params"]["alm_pass"] == ""


def test_previews_are_seen_by_those_who_ask(server: Running) -> None:
    """A preview appears with ``include=preview`` only, in listings as alone."""
    connection = server.connection()
    client = server.admin()
    made = client.post(
        "jobs/alm/",
        json={"connection": connection, "automatic": False, "ready": False, "preview": True, "only": "T21"},
    ).json()
    assert (made["preview"], made["only"]) == (True, "T21")
    assert client.get("jobs/").json() == {"results": []}
    assert client.get("jobs/?ready=false").json() == {"results": []}
    assert client.get(f"jobs/alm/{made['id']}/").status_code == 404
    (shown,) = client.get("jobs/alm/?include=preview").json()["results"]
    assert shown["preview"] is True
    assert client.get(f"jobs/alm/{made['id']}/?include=preview,state").json()["state"] == "pending"


def test_the_older_path_narrows_to_its_project(server: Running) -> None:
    """``/projects/{id}/jobs/{kind}/`` shows that project's jobs, and 404 for none of its own."""
    mine, other = server.project("Mine"), server.project("Other")
    server.finished_jobs(server.connection(project_id=mine), 1)
    server.finished_jobs(server.connection(project_id=other), 1)
    client = server.admin()
    assert [job["id"] for job in client.get(f"projects/{mine}/jobs/alm/").json()["results"]] == [1]
    assert client.get(f"projects/{mine}/jobs/alm/1/").status_code == 200
    assert client.get(f"projects/{mine}/jobs/alm/2/").status_code == 404
    assert client.get("projects/99/jobs/alm/").status_code == 404


def test_a_listing_streams_with_flat_memory(server: Running) -> None:
    """A long listing comes in pieces, and the pieces are one JSON document."""
    server.finished_jobs(server.connection(params={"text": "x" * 2000}), 3000)
    client = server.admin()
    with client.get("jobs/alm/", stream=True) as answer:
        assert answer.headers.get("Transfer-Encoding") == "chunked"
        pieces = list(answer.iter_content(2**20))
    assert len(json.loads(b"".join(pieces))["results"]) == 3000
