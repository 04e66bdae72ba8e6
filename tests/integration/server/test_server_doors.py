"""The ways into a daemon, as it comes: one table of users and tokens, and nothing beside."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.datasync.world import document
from tests.integration.server.site import Site
from tests.servers.machine import Machine, free_port
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("daemon")

GROUPID = "/GroupIDSecurityService/connect/token"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that takes nothing from the environment."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


def test_nobody_comes_into_a_fresh_daemon(tmp_path: Path, session: requests.Session) -> None:
    """Without a token that somebody made there is no user, no password and no sample, only its health."""
    base = f"http://127.0.0.1:{free_port()}"
    machine = Machine(tmp_path / "state", {"RUNNER__SERVER__LISTEN": base.removeprefix("http://")})
    with machine.daemon(), contextlib.closing(machine.client()) as client:
        (service,) = client.get("users/")["results"]
        assert (service["is_active"], service["role"]["name"]) == (False, "No Role")
        assert client.get("tokens/")["results"] == client.get("projects/")["results"] == []
        assert client.get("connections/")["results"] == []
        for header in ("Basic YWRtaW46YWRtaW4=", "Token admin", f"Token {service['email']}", ""):
            headers = {"Authorization": header} if header else {}
            for path in ("/api/v2/jobs/", "/rest/ldap", "/GroupIDDataService/api/DataSyncJobs/", "/"):
                answer = session.get(f"{base}{path}", headers=headers, timeout=30)
                assert answer.status_code in {401, 403}, (path, header, answer.status_code)
        for path in ("/-/healthy", "/-/ready", "/metrics"):
            assert session.get(f"{base}{path}", timeout=30).status_code == 200, path


def test_a_daemon_that_starts_is_not_stuck(tmp_path: Path, session: requests.Session) -> None:
    """While its workers are being made it is healthy, though not ready: nobody restarts it for that."""
    base = f"http://127.0.0.1:{free_port()}"
    settings = {"RUNNER__SERVER__LISTEN": base.removeprefix("http://"), "RUNNER__ENGINE__CONCURRENCY": "16"}
    machine = Machine(tmp_path / "state", settings)
    told: set[tuple[int, str]] = set()

    def ready() -> bool:
        healthy = session.get(f"{base}/-/healthy", timeout=30)
        told.add((healthy.status_code, healthy.json()["status"]))
        return session.get(f"{base}/-/ready", timeout=30).status_code == 200

    with machine.daemon():
        until("the daemon to take jobs", ready)
    assert told == {(200, "ok")}


def test_one_user_comes_in_by_each_dialect(site: Site, session: requests.Session) -> None:
    """The same token is what each dialect asks for; the e-mail is the user's name where there is one."""
    token = next(one for one in _tokens(site) if one["user"] == "admin@localhost")
    assert session.get(
        f"{site.base}/api/v2/users/me/", headers={"Authorization": f"token {site.token}"}, timeout=30
    ).ok
    keys = {"x-apikey": f"accesskey={token['id']}; secretkey={site.token}"}
    assert session.get(f"{site.base}/rest/ldap", headers=keys, timeout=30).ok
    login = {"username": "admin@localhost", "password": site.token}
    entered = session.post(f"{site.base}/rest/token", json=login, timeout=30)
    assert (entered.status_code, entered.json()["error_code"]) == (200, 0)
    grant = {"grant_type": "password", "username": "ADMIN@localhost", "password": site.token}
    granted = session.post(f"{site.base}{GROUPID}", data=grant, timeout=30)
    assert granted.status_code == 200, granted.text
    bearer = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    names = session.get(f"{site.base}/GroupIDDataService/api/DataSyncJobs/Names", headers=bearer, timeout=30)
    assert names.status_code == 200
    refused = session.post(f"{site.base}{GROUPID}", data={**grant, "password": "admin"}, timeout=30)
    assert refused.status_code in {400, 401}


def test_a_token_dies_in_all_dialects_at_once(site: Site, session: requests.Session) -> None:
    """A user who is set inactive is out, whichever way they came in."""
    made = site.machine.json("tokens", "create", "--user", "leaver@example.com", "--admin")
    login = {"username": "leaver@example.com", "password": made["token"]}
    entered = session.post(f"{site.base}/rest/token", json=login, timeout=30).json()["response"]
    ways = [
        ("/api/v2/jobs/", {"Authorization": f"Token {made['token']}"}),
        ("/rest/ldap", {"x-apikey": f"accesskey={made['id']}; secretkey={made['token']}"}),
        ("/rest/ldap", {"X-SecurityCenter": str(entered["token"])}),
        ("/GroupIDDataService/api/DataSyncJobs/Names", {"Authorization": f"Bearer {made['token']}"}),
    ]

    def seen() -> list[int]:
        return [
            session.get(f"{site.base}{path}", headers=head, timeout=30).status_code for path, head in ways
        ]

    assert seen() == [200, 200, 200, 200]
    status, users = site.ask("GET", "users/?email=leaver@example.com")
    assert status == 200
    assert site.ask("PATCH", f"users/{users['results'][0]['id']}/", {"is_active": False})[0] == 200
    assert set(seen()) <= {401, 403}


def test_a_granted_token_ends_with_what_it_came_from(site: Site, session: requests.Session) -> None:
    """A token that was granted for minutes isn't made to last by refreshing it; the lasting one is."""

    def grant(**form: str) -> requests.Response:
        return session.post(f"{site.base}{GROUPID}", data=form, timeout=30)

    first = grant(grant_type="password", username="admin@localhost", password=site.token).json()
    assert 1190 <= first["expires_in"] <= 1200
    again = grant(grant_type="refresh_token", refresh_token=first["access_token"]).json()
    assert again["expires_in"] <= first["expires_in"]
    (short,) = [one["expires"] for one in _tokens(site)[-2:-1]]
    assert _tokens(site)[-1]["expires"] == short
    refreshed = grant(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert refreshed.status_code == 200
    assert _tokens(site)[-1]["expires"] > short


def _tokens(site: Site) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = sorted(site.machine.json("tokens", "list"), key=lambda one: one["id"])
    return listed


def test_jobs_of_datasync_are_a_kind_like_others(site: Site) -> None:
    """What is a job to the GroupID dialect is a connection here, and its runs stand among all jobs."""
    ident = site.connection("datasync", "datasync", document())
    status, made = site.ask(
        "POST", "jobs/DATASYNC/", {"connection": ident, "automatic": False, "ready": False}
    )
    assert (status, made["ready"], made["connection"]["id"]) == (201, False, ident)
    for path in ("jobs/datasync/", "jobs/", f"jobs/?connection={ident}"):
        status, listed = site.ask("GET", path)
        assert (status, made["id"] in [one["id"] for one in listed["results"]]) == (200, True)
    status, listed = site.ask("GET", "connections/datasync/")
    assert (status, [one["id"] for one in listed["results"]]) == (200, [ident])
