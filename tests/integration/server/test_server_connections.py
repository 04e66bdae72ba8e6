"""Connections: made, changed, removed; secrets in and out."""

from typing import Any

import pytest

from runner.model.jobs import State
from runner.store import connections
from runner.store.accounts import Scope
from tests.integration.server.kit import Running

RALLY = {"alm_server": "rally.example.com", "alm_user": "u", "alm_pass": "s3cret-one"}


def params_of(server: Running, connection_id: int) -> dict[str, Any]:
    """The stored params, secrets and all, opened."""
    with server.database.read() as c:
        entry = connections.get(c, connection_id)
    assert entry is not None
    return server.services.vault.open(entry.connection.params)


def made(server: Running, **more: Any) -> dict[str, Any]:
    """A Rally connection, made through the API."""
    body = {"alias": "Ours", "system": "rally", "project": server.project(), "params": RALLY, **more}
    answer = server.admin().post("connections/alm/", json=body)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_a_connection_is_made_and_shown(server: Running) -> None:
    """What is given is kept, the rest has the original's defaults, the secret is masked."""
    shown = made(server, frequency="daily")
    assert shown["params"] == {**RALLY, "alm_pass": "********"}
    assert params_of(server, shown["id"]) == RALLY
    assert (shown["frequency"], shown["command"], shown["enabled"]) == ("daily", "sync_rally", True)
    assert (shown["connector"], shown["debug_mode"], shown["in_progress"]) == (None, False, False)
    assert shown["system"] == {"id": "rally", "short_name": "Rally", "name": "Rally"}
    admin = server.admin()
    assert admin.get(f"connections/alm/{shown['id']}/").json() == shown
    assert admin.get("connections/").json()["results"] == [shown]
    assert admin.get(f"connections/ldap/{shown['id']}/").status_code == 404


def test_an_analysis_connection_is_named_after_its_system(server: Running) -> None:
    """``alias`` is optional for scanners."""
    body = {"system": {"id": "whitehat"}, "project": server.project(), "params": {}}
    answer = server.admin().post("connections/analysis/", json=body)
    assert (answer.status_code, answer.json()["alias"]) == (201, "WhiteHat Sentinel")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"alias": ...}, {"alias"}),
        ({"alias": " "}, {"alias"}),
        ({"system": ...}, {"system"}),
        ({"system": "whitehat"}, {"system"}),
        ({"system": ["rally"]}, {"system"}),
        ({"project": ...}, {"project"}),
        ({"project": 99}, {"project"}),
        ({"params": ...}, {"params"}),
        ({"params": "x"}, {"params"}),
        ({"params": {"refuse_me": 1}}, {"params"}),
        ({"params": {"alm_pass": "********"}}, {"params"}),
        ({"frequency": "sometimes"}, {"frequency"}),
        ({"frequency": []}, {"frequency"}),
        ({"debug_mode": "x", "enabled": 5}, {"debug_mode", "enabled"}),
    ],
)
def test_wrong_connections_are_refused(server: Running, change: dict[str, Any], fields: set[str]) -> None:
    """Each wrong field is named, and nothing is made."""
    body = {"alias": "Ours", "system": "rally", "project": server.project(), "params": RALLY, **change}
    body = {name: value for name, value in body.items() if value is not ...}
    admin = server.admin()
    answer = admin.post("connections/alm/", json=body)
    assert (answer.status_code, set(answer.json())) == (400, fields)
    assert admin.get("connections/").json() == {"results": []}


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("PATCH", {"alm_user": "v"}, {**RALLY, "alm_user": "v"}),
        ("PATCH", {"alm_pass": "********", "alm_user": "v"}, {**RALLY, "alm_user": "v"}),
        ("PATCH", {"alm_pass": ""}, {"alm_server": "rally.example.com", "alm_user": "u"}),
        ("PATCH", {"alm_pass": None}, {"alm_server": "rally.example.com", "alm_user": "u"}),
        ("PATCH", {"alm_pass": "new-secret"}, {**RALLY, "alm_pass": "new-secret"}),
        (
            "PATCH",
            {"alm_server": "other.example.com", "alm_pass": "new-secret"},
            {**RALLY, "alm_server": "other.example.com", "alm_pass": "new-secret"},
        ),
        ("PUT", {**RALLY, "alm_pass": "********"}, RALLY),
        ("PUT", {"alm_user": "v"}, {"alm_user": "v"}),
    ],
)
def test_params_are_merged_or_replaced(
    server: Running, method: str, params: dict[str, Any], expected: dict[str, Any]
) -> None:
    """PATCH merges, PUT replaces; the mask means unchanged, null and "" clear."""
    ident = made(server)["id"]
    answer = server.admin().request(method, f"connections/alm/{ident}/", json={"params": params})
    assert answer.status_code == 200, answer.text
    assert params_of(server, ident) == expected


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("PATCH", {"alm_server": "evil.example.com"}),
        ("PATCH", {"alm_server": "evil.example.com", "alm_pass": "********"}),
        ("PATCH", {"alm_method": "http"}),
        ("PATCH", {"alm_proxy": "evil:3128"}),
        ("PATCH", {"validate_cert": False}),
        ("PUT", {**RALLY, "alm_server": "evil.example.com", "alm_pass": "********"}),
        ("PUT", {"alm_pass": "********"}),
    ],
)
def test_a_stored_secret_goes_to_no_other_host(server: Running, method: str, params: dict[str, Any]) -> None:
    """Where secrets go can't be changed without giving them again; the answer names them."""
    ident = made(server)["id"]
    answer = server.admin().request(method, f"connections/alm/{ident}/", json={"params": params})
    assert (answer.status_code, list(answer.json())) == (400, ["params"])
    assert "alm_pass" in answer.json()["params"][0]
    assert params_of(server, ident) == RALLY


def test_other_fields_change_alone(server: Running) -> None:
    """A PATCH without params leaves them; ``enabled: false`` keeps it from being started."""
    ident = made(server)["id"]
    admin = server.admin()
    body = {"alias": "Theirs", "enabled": False, "frequency": "weekly", "unknown": 1}
    shown = admin.patch(f"connections/alm/{ident}/", json=body).json()
    assert (shown["alias"], shown["enabled"], shown["frequency"]) == ("Theirs", False, "weekly")
    assert params_of(server, ident) == RALLY
    assert admin.patch("connections/alm/99/", json={}).status_code == 404


def test_listing_filters_and_the_last_job(server: Running) -> None:
    """The documented filters, the words of ``search``, and ``include=last_job``."""
    ident = made(server)["id"]
    server.connection("whitehat", alias="Site scan")
    server.finished_jobs(ident, 2, result_message="Well.")
    admin = server.admin()

    def found(query: str) -> list[int]:
        return [one["id"] for one in admin.get(f"connections/?{query}").json()["results"]]

    assert found("system=whitehat") == [2]
    assert found("alias=Ours") == [1]
    assert found("frequency=manually") == [1, 2]
    assert found("project=1") == [1]
    assert found("search=scan SITE") == [2]
    assert found("search=100%25") == []
    shown = admin.get("connections/alm/?include=last_job").json()["results"][0]["last_job"]
    assert (shown["id"], shown["ready"], shown["succeeded"], shown["result_message"]) == (
        2,
        True,
        True,
        "Well.",
    )
    assert admin.get("connections/analysis/2/?include=last_job").json()["last_job"] is None


def test_a_removed_connection_keeps_its_history(server: Running) -> None:
    """DELETE hides it and cancels what waits; its jobs stay to be seen. Not while one runs."""
    ident = made(server)["id"]
    admin = server.admin()
    body = {"connection": ident, "automatic": False, "ready": False}
    jobs = [admin.post("jobs/alm/", json=body).json()["id"] for _ in range(3)]
    server.start_next()
    assert admin.delete(f"connections/alm/{ident}/").status_code == 409
    server.database.write(
        lambda c: c.exec_driver_sql("UPDATE jobs SET state='pending' WHERE state='running'").rowcount
    )
    assert admin.delete(f"connections/alm/{ident}/").status_code == 204
    assert admin.get(f"connections/alm/{ident}/").status_code == 404
    assert admin.get("connections/").json() == {"results": []}
    assert [server.state(job) for job in jobs] == [State.FINISHED] * 3
    assert len(admin.get("jobs/alm/").json()["results"]) == 3
    assert admin.post("jobs/alm/", json=body).status_code == 400


def test_an_upload_revives_its_removed_connection(server: Running) -> None:
    """The one connection per project and system comes back when a file is sent again."""
    project, admin = server.project(), server.admin()

    def send() -> int:
        data = {"system": "fortify_file_upload", "project": str(project)}
        answer = admin.post("jobs/analysis-file/", data=data, files={"report_file": ("r.xml", b"<x/>")})
        ident: int = answer.json()["connection"]["id"]
        return ident

    ident = send()
    assert admin.delete(f"connections/analysis/{ident}/").status_code == 204
    assert send() == ident
    assert admin.get(f"connections/analysis/{ident}/").json()["enabled"] is True


def test_params_are_for_those_who_edit_the_kind(server: Running) -> None:
    """Without the kind's scope a connection is shown without params, and left out of the whole list."""
    made(server)
    client = server.client(Scope.READ)
    assert "params" not in client.get("connections/alm/").json()["results"][0]
    assert client.get("connections/").json() == {"results": []}


def test_a_connection_has_ceilings_of_its_own(server: Running) -> None:
    """An administrator sets them; PATCH merges by name, null takes one away, PUT replaces."""
    number = server.connection()
    path = f"connections/alm/{number}/"
    client = server.admin()
    assert client.get(path).json()["safety"] == {}
    steps: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("PATCH", {"max_destructive": 10}, {"max_destructive": 10}),
        ("PATCH", {"max_destructive_share": 1}, {"max_destructive": 10, "max_destructive_share": 1}),
        ("PATCH", {"max_destructive": None}, {"max_destructive_share": 1}),
        ("PUT", {"max_creates": 5}, {"max_creates": 5}),
        ("PUT", {}, {}),
    ]
    for method, given, kept in steps:
        answer = client.request(method, path, json={"safety": given})
        assert (answer.status_code, answer.json()["safety"]) == (200, kept)
        assert client.get("connections/alm/").json()["results"][0]["safety"] == kept


@pytest.mark.parametrize(
    ("safety", "said"),
    [
        ({"max_destructve": 10}, "did you mean 'max_destructive'?"),
        ({"max_destructive": -1}, "greater than or equal to 0"),
        ({"max_destructive": "10"}, "max_destructive: Input should be a valid integer"),
        ({"max_destructive": True}, "valid integer"),
        ({"max_pass_share": 1.5}, "less than or equal to 1"),
        ([], "Expected a dictionary"),
    ],
)
def test_wrong_ceilings_are_refused(server: Running, safety: Any, said: str) -> None:
    """A ceiling that means nothing is never stored, for without it a run might destroy more."""
    path = f"connections/alm/{server.connection()}/"
    client = server.admin()
    for answer in (
        client.patch(path, json={"safety": safety}),
        client.put(path, json={"safety": safety, "params": {}}),
    ):
        assert answer.status_code == 400
        assert said in " ".join(answer.json()["safety"])
    assert client.get(path).json()["safety"] == {}


def test_ceilings_are_an_administrator_s(server: Running) -> None:
    """Who edits connections may send back what was shown, but can't change a ceiling."""
    path = f"connections/alm/{server.connection()}/"
    server.admin().patch(path, json={"safety": {"max_destructive": 10}})
    editor = server.client(Scope.EDIT_ALM, Scope.READ)
    assert editor.patch(path, json={"safety": {"max_destructive": 11}}).status_code == 403
    assert editor.put(path, json={**editor.get(path).json(), "alias": "New"}).status_code == 200
    assert editor.get(path).json()["safety"] == {"max_destructive": 10}
    made = {"system": "rally", "alias": "A", "project": server.project(), "params": {}}
    assert editor.post("connections/alm/", json={**made, "safety": {"max_creates": 1}}).status_code == 403
    fresh = server.admin().post("connections/alm/", json={**made, "safety": {"max_creates": 1}})
    assert fresh.json()["safety"] == {"max_creates": 1}
