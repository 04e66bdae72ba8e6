"""Connectors of the organisation, and the connections that lay their own params over theirs."""

from typing import Any

from runner.store import claims, connections
from runner.store.accounts import Scope
from tests.integration.server.kit import Client, Running

SECRET = "hunter2-hunter2"
COMMON = {"alm_server": "rally.example.com", "alm_user": "bot", "alm_pass": SECRET}


def connector(admin: Client, **more: Any) -> int:
    """A connector to Rally."""
    made = admin.post(
        "connectors/alm/", json={"name": "Our Rally", "system": "rally", "params": COMMON, **more}
    )
    assert made.status_code == 201, made.text
    ident: int = made.json()["id"]
    return ident


def connection(server: Running, admin: Client, of: int, **params: Any) -> int:
    """A connection of it."""
    body = {"alias": "Shop", "connector": of, "project": server.project(), "params": params}
    made = admin.post("connections/alm/", json=body)
    assert made.status_code == 201, made.text
    ident: int = made.json()["id"]
    return ident


def test_connectors_are_added_shown_changed_and_removed(server: Running) -> None:
    """They have the fields of the original; secrets are masked; one in use stays."""
    admin = server.admin()
    ident = connector(admin)
    path = f"connectors/alm/{ident}/"
    shown = admin.get(path).json()
    assert (shown["name"], shown["system"]["id"], shown["inaccessible"]) == ("Our Rally", "rally", False)
    assert shown["params"] == {**COMMON, "alm_pass": "********"}
    assert admin.get("connectors/alm/").json()["results"] == [shown]
    assert admin.get("connectors/analysis/").json()["results"] == []
    changed = admin.patch(path, json={"name": "Rally", "params": {"alm_user": "other"}}).json()
    assert (changed["name"], changed["params"]["alm_user"]) == ("Rally", "other")
    assert "params" not in server.client(Scope.READ).get(path).json()
    used = connection(server, admin, ident)
    assert admin.delete(path).status_code == 409
    assert admin.get(f"connections/alm/{used}/").json()["connector"] == ident
    other = connector(admin)
    assert admin.delete(f"connectors/alm/{other}/").status_code == 204
    assert admin.get(f"connectors/alm/{other}/").status_code == 404


def test_a_connection_runs_with_both(server: Running) -> None:
    """Effective params are the connector's with the connection's own over them, shown and run alike."""
    admin = server.admin()
    of = connector(admin)
    ident = connection(server, admin, of, rally_workspace="W", alm_user="mine")
    shown = admin.get(f"connections/alm/{ident}/").json()["params"]
    assert shown == {**COMMON, "alm_pass": "********", "alm_user": "mine", "rally_workspace": "W"}
    job = admin.post("jobs/alm/", json={"connection": ident, "automatic": False, "ready": False}).json()
    assert job["connection"]["params"] == shown
    claim = server.database.write(lambda c: claims.claim(c, owner="test", now=server.clock()))[0]
    opened = server.services.vault.open(claim.connection.params)
    assert opened == {**COMMON, "alm_user": "mine", "rally_workspace": "W"}


def test_what_is_shown_can_be_written_back_and_follows(server: Running) -> None:
    """Writing back what was shown stores nothing of the connector's: it goes on following it."""
    admin = server.admin()
    of = connector(admin)
    ident = connection(server, admin, of, rally_workspace="W")
    path = f"connections/alm/{ident}/"
    for send in (admin.put, admin.patch):
        assert send(path, json={"params": admin.get(path).json()["params"]}).status_code == 200
    with server.database.read() as c:
        entry = connections.get(c, ident)
    assert entry is not None
    assert entry.own_params == {"rally_workspace": "W"}
    admin.patch(f"connectors/alm/{of}/", json={"params": {"alm_user": "new"}})
    assert admin.get(path).json()["params"]["alm_user"] == "new"


def test_a_connectors_secret_stays_with_its_host(server: Running) -> None:
    """No project leads the organisation's password elsewhere, nor the organisation a project's."""
    admin = server.admin()
    of = connector(admin)
    project = server.project("Other")
    moved = {"alias": "x", "connector": of, "project": project, "params": {"alm_server": "evil"}}
    refused = admin.post("connections/alm/", json=moved)
    assert (refused.status_code, "alm_pass" in refused.json()["params"][0]) == (400, True)
    ident = connection(server, admin, of)
    path = f"connections/alm/{ident}/"
    assert admin.patch(path, json={"params": {"alm_server": "evil"}}).status_code == 400
    assert admin.post(f"{path}test/", json={"params": {"alm_server": "evil"}}).status_code == 400
    assert admin.patch(path, json={"params": {"alm_pass": "own-password"}}).status_code == 200
    led = admin.patch(f"connectors/alm/{of}/", json={"params": {"alm_server": "new", "alm_pass": "other"}})
    assert (led.status_code, str(ident) in led.json()["params"][0]) == (400, True)
    assert admin.patch(f"connectors/alm/{of}/", json={"params": {"alm_server": "new"}}).status_code == 400


def test_a_connector_keeps_fields_for_itself(server: Running) -> None:
    """With a list of editable fields, others of its own aren't changed on a project."""
    admin = server.admin()
    of = connector(admin, fields_editable_on_project=["alm_project"])
    ident = connection(server, admin, of, alm_project="P")
    path = f"connections/alm/{ident}/"
    refused = admin.patch(path, json={"params": {"alm_user": "me"}})
    assert (refused.status_code, "alm_user" in refused.json()["params"][0]) == (400, True)
    assert admin.patch(path, json={"params": admin.get(path).json()["params"]}).status_code == 200


def test_what_is_wrong_with_a_connector_is_named(server: Running) -> None:
    """System, name and params are needed; a connection's connector must be of its kind and system."""
    admin, project = server.admin(), server.project()
    assert sorted(admin.post("connectors/alm/", json={}).json()) == ["name", "params"]
    assert list(admin.post("connectors/alm/", json={"name": "a", "params": {}}).json()) == ["system"]
    of = connector(admin)
    body = {"alias": "a", "project": project, "params": {}}
    assert list(admin.post("connections/alm/", json={**body, "connector": 99}).json()) == ["connector"]
    assert list(admin.post("connections/analysis/", json={**body, "connector": of}).json()) == ["connector"]
    assert server.client(Scope.EDIT_VERIFICATION).post("connectors/alm/", json={}).status_code == 403
