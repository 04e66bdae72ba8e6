"""Many users at once, from a CSV."""

from typing import Any

import pytest
import requests

from runner.store.accounts import Scope
from tests.integration.server.kit import Client, Running

LINES = """email,first_name,last_name,role,groups
ann@example.com,Ann,Lee,User,developers;G{second}
bob@example.com,Bob,,UR5,
"""


def send(client: Client, text: str, query: str = "", kind: str = "text/csv") -> requests.Response:
    """Send a list of users."""
    return client.post(f"users/bulk-upload/{query}", data=text.encode(), headers={"Content-Type": kind})


def emails(client: Client) -> list[str]:
    """Who is there."""
    return [one["email"] for one in client.get("users/").json()["results"]]


def test_a_list_is_looked_at_first_and_then_added(server: Running) -> None:
    """Without commit nothing is added; with it all are, with names, roles and groups."""
    admin = server.admin()
    admin.post("groups/", json={"name": "developers"})
    second = admin.post("groups/", json={"name": "testers"}).json()["id"]
    text = LINES.replace("G{second}", second)
    looked = send(admin, text)
    told = [{"line": 2, "email": "ann@example.com"}, {"line": 3, "email": "bob@example.com"}]
    assert (looked.status_code, looked.json()) == (200, {"committed": False, "users": told})
    assert "ann@example.com" not in emails(admin)
    added = send(admin, text, "?commit=true")
    assert (added.status_code, added.json()) == (200, {"committed": True, "users": told})
    (ann,) = admin.get("users/?email=ann@example.com").json()["results"]
    assert (ann["first_name"], ann["last_name"], ann["role"]["name"]) == ("Ann", "Lee", "User")
    assert [group["name"] for group in ann["groups"]] == ["developers", "testers"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("no mail,A,B,,\nc@d,,,,\n", ["line 1, email: Enter a valid email address."]),
        ("c@d,,,Boss,\n", ['line 1, role: "Boss" is not a valid choice.']),
        ("c@d,,,,nobodies\n", ['line 1, groups: Invalid pk "nobodies" - object does not exist.']),
        ("c@d\nC@D\n", ["line 2, email: It stands in line 1 already."]),
        ("BOSS@example.com\n", ["line 1, email: There is a user with this e-mail already."]),
        ("a@b,,,,,,\n", ["line 1: there are 7 columns, not 5."]),
        ('"a@b\n', ["line 1 is no CSV (unexpected end of data)."]),
        (
            "".join(f"u{n}@example.com\n" for n in range(1001)),
            ["There are 1001 users; send at most 1000 at a time."],
        ),
    ],
)
def test_what_is_wrong_is_named_and_nobody_is_added(server: Running, text: str, sentences: list[str]) -> None:
    """Each wrong line is named by its number; those that are right wait for them."""
    admin = server.admin()
    before = emails(admin)
    refused = send(admin, text, "?commit=true")
    assert (refused.status_code, refused.json()) == (400, {"users": sentences})
    assert emails(admin) == before


def test_a_list_that_is_too_large_or_no_text_is_refused(server: Running) -> None:
    """More than a million bytes are 413; what isn't UTF-8 is said to be so."""
    admin = server.admin()
    assert send(admin, "x" * 1_000_001).status_code == 413
    answer: Any = admin.post("users/bulk-upload/", data=b"\xff\xfe")
    assert answer.json() == {"users": ["It isn't UTF-8 (byte 0); save it as CSV in UTF-8."]}


def test_power_is_not_had_by_the_dozen(server: Running) -> None:
    """Who may make no administrators one by one makes none by a list; readers make nobody."""
    boss = server.admin()
    ident = boss.post("users/", json={"email": "plain@example.com", "role": "UR1"}).json()["id"]
    assert ident
    reader = server.client(Scope.READ, email="plain@example.com")
    assert send(reader, "x@y\n").status_code == 403
    assert "x@y" not in emails(boss)
