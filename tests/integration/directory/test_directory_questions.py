"""Questions of the SecurityCenter dialect to a real directory: tests, and people."""

from typing import Any

import pytest

from runner.errors import AccessDenied, BadInput, RunnerError
from runner.model.network import Network
from runner.worker import directories
from tests.servers import slapd
from tests.servers.slapd import SlapdServer


def ask(server: SlapdServer, *, match: str | None, **changed: str) -> list[dict[str, str]]:
    """Ask as the worker does."""
    settings = {
        "host": "127.0.0.1",
        "port": str(server.port),
        "encryption": "none",
        "dn": slapd.BASE,
        "username": slapd.READER,
        "password": slapd.READER_PASSWORD,
        "timeLimit": "3600",
        **changed,
    }
    message: dict[str, Any] = {"settings": settings, "match": match, "network": Network().to_json()}
    return directories.answer(message)


@pytest.fixture
def directory(slapd_server: SlapdServer) -> SlapdServer:
    """A directory with three people."""
    slapd_server.reset([slapd.person(uid, mail=f"{uid}@example.test") for uid in ("ann", "bob", "Jane")])
    return slapd_server


def test_people_are_found(directory: SlapdServer) -> None:
    """By match, by the usual attributes; without a match everybody who has a user name."""
    assert ask(directory, match="uid=j*", lowercase="true") == [
        {"name": "Jane Tester", "email": "Jane@example.test", "phone": "", "username": "jane"}
    ]
    everybody = ask(directory, match="", attrName="givenName")
    assert sorted(person["name"] for person in everybody) == ["Ann", "Bob", "Jane"]
    assert ask(directory, match="uid=*", searchString="mail=bob*")[0]["username"] == "bob"
    assert ask(directory, match="uid=*)(cn=*") == []


def test_too_many_are_counted(directory: SlapdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit nothing is told but how many there are."""
    monkeypatch.setattr(directories, "MOST", 2)
    with pytest.raises(BadInput, match="3 entries match"):
        ask(directory, match="uid=*")


def test_a_test_tells_its_steps(directory: SlapdServer) -> None:
    """Each step that was done, and the one that failed, without the password."""
    good = ask(directory, match=None)
    assert [step["ok"] for step in good] == ["true"] * len(good)
    bad = ask(directory, match=None, password="wrong-password")
    assert (bad[-1]["ok"], bad[-1]["name"]) == ("false", "log-in")
    assert "wrong-password" not in str(bad)
    gone = ask(directory, match=None, port="1")
    assert gone[-1]["ok"] == "false"


def test_what_goes_wrong_is_a_sentence(directory: SlapdServer) -> None:
    """A refused log-in and a base that isn't there raise what the dialect tells."""
    with pytest.raises(AccessDenied):
        ask(directory, match="uid=*", password="wrong-password")
    with pytest.raises(RunnerError, match="nowhere"):
        ask(directory, match="uid=*", dn="dc=nowhere")
