"""Secrets through the API: sealed in the store, opened for agents and tests alone; TLS."""

import gc
from pathlib import Path

import pytest
import requests

from runner.errors import SettingsInvalid
from runner.server.app import create_app
from runner.server.serve import HttpServer, Tls
from runner.store.accounts import Scope
from runner.store.schema import connections
from tests.integration.server.kit import Running
from tests.servers.certificates import issue

SECRET = "hunter2-hunter2"
PARAMS = {"alm_server": "rally.example.com", "alm_pass": SECRET}


def test_a_secret_is_sealed_in_the_store(server: Running) -> None:
    """What is sent in clear stands nowhere in the database; masks keep it, a new one replaces it."""
    project, admin = server.project(), server.admin()
    body = {"alias": "A", "system": "rally", "project": project, "params": PARAMS}
    made = admin.post("connections/alm/", json=body)
    assert (made.status_code, made.json()["params"]["alm_pass"]) == (201, "********")
    path = f"connections/alm/{made.json()['id']}/"

    def stored() -> str:
        with server.database.read() as c:
            text: str = c.execute(connections.select()).one().params
        return text

    assert SECRET not in stored()
    assert "rally.example.com" in stored()
    before = stored()
    admin.patch(path, json={"params": {"alm_pass": "********", "alm_user": "me"}})
    agent = server.client(Scope.AGENT, email="agent@example.com")
    assert agent.get(path).json()["params"] == {**PARAMS, "alm_user": "me"}
    assert before != stored()
    admin.patch(path, json={"params": {"alm_pass": "another-secret"}})
    assert agent.get(path).json()["params"]["alm_pass"] == "another-secret"
    assert "another-secret" not in stored()
    assert admin.post(f"{path}test/", json={}).json()["success"] is True
    tested = server.services.vault.open(server.engine.checked[0].params)  # as the engine does
    assert tested["alm_pass"] == "another-secret"
    admin.patch(path, json={"params": {"alm_pass": None}})
    assert "alm_pass" not in agent.get(path).json()["params"]


def test_a_lost_key_is_a_sentence(server: Running) -> None:
    """Without the key file nothing is shown in its place: the agent is told what to do."""
    project, admin = server.project(), server.admin()
    body = {"alias": "A", "system": "rally", "project": project, "params": PARAMS}
    ident = admin.post("connections/alm/", json=body).json()["id"]
    server.services.vault.drop_old_keys()
    (server.socket.parent / "secrets.key").unlink()
    server.services.vault.add_key()
    shut = server.client(Scope.AGENT, email="agent@example.com").get(f"connections/alm/{ident}/")
    assert (shut.status_code, "secrets.key" in shut.json()["detail"]) == (500, True)
    assert admin.get(f"connections/alm/{ident}/").json()["params"]["alm_pass"] == "********"


# A client that gave up in mid-handshake leaves its socket to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_is_served(server: Running, tmp_path: Path) -> None:
    """With a certificate the listener speaks TLS alone; who trusts its authority is served."""
    files = issue(tmp_path / "tls", "localhost")
    tls = Tls(str(files.certificate), str(files.key))
    http = HttpServer(listen="127.0.0.1:0", app=create_app(server.services), tls=tls)
    http.start()
    try:
        token = {"Authorization": f"Token {server.token(Scope.READ)}"}
        url = f"https://localhost:{http.port}/api/v2/users/me/"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, headers=token, timeout=30)
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(url.replace("https", "http"), headers=token, timeout=30)
        # Last, so that the server has seen those two go when it stops.
        good = requests.get(url, headers=token, verify=str(files.ca), timeout=30)
        assert good.status_code == 200
    finally:
        http.stop()
        gc.collect()


def test_files_that_are_no_certificate_are_named(server: Running, tmp_path: Path) -> None:
    """A missing or wrong file is a sentence before anything listens."""
    (tmp_path / "x.pem").write_text("nothing")
    for cert in (tmp_path / "absent.pem", tmp_path / "x.pem"):
        http = HttpServer(listen="127.0.0.1:0", app=create_app(server.services), tls=Tls(str(cert)))
        with pytest.raises(SettingsInvalid, match="tls_cert"):
            http.start()
