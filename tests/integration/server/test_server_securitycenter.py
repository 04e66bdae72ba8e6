"""The SecurityCenter dialect: pyTenable's session, and the requests that its page prints."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tenable.errors import APIError, NotFoundError
from tenable.sc import TenableSC

from runner.model.jobs import Kind
from runner.store import accounts, connections
from runner.store.accounts import Role, Scope
from runner.store.schema import ldap_servers
from tests.integration.server.kit import Running, curl

NEW = {
    "name": "Test Add LDAP",
    "description": "Test Description",
    "host": "ldap.example.com",
    "port": "636",
    "encryption": "ldaps",
    "dn": "dc=example,dc=com",
    "username": "cn=reader,dc=example,dc=com",
    "password": "hunter2-hunter2",
    "attrName": "cn",
}
FIELDS = {
    "id",
    "name",
    "description",
    "host",
    "port",
    "encryption",
    "dn",
    "dnsField",
    "lowercase",
    "timeLimit",
    "password",
    "username",
    "attrEmail",
    "attrName",
    "attrPhone",
    "attrUsername",
    "searchString",
    "createdTime",
    "modifiedTime",
    "organizations",
}


def keys(server: Running, *scopes: Scope, email: str = "boss@example.com") -> tuple[int, str]:
    """The id of a new token, and itself."""
    role = Role.ADMINISTRATOR if Scope.ADMIN in scopes else Role.USER
    token = server.token(*scopes, email=email, role=role)
    with server.database.read() as c:
        holder = accounts.holder(c, token_hash=accounts.hash_token(token), now=server.clock())
    assert holder is not None
    return holder.token_id, token


def session(server: Running, *scopes: Scope, email: str = "boss@example.com") -> TenableSC:
    """pyTenable, logged in by keys."""
    ident, token = keys(server, *(scopes or (Scope.ADMIN,)), email=email)
    return TenableSC(url=server.base, access_key=str(ident), secret_key=token)


@pytest.fixture
def sc(server: Running) -> Iterator[TenableSC]:
    """pyTenable as an administrator."""
    with session(server) as made:
        yield made
        made._session.close()


def told(answer: Any) -> Any:
    """What stands in the envelope, which is whole."""
    whole = answer.json()
    assert set(whole) == {"type", "response", "error_code", "error_msg", "warnings", "timestamp"}
    assert (whole["type"], whole["error_code"], whole["error_msg"]) == ("regular", 0, "")
    return whole["response"]


def test_pytenable_adds_lists_edits_and_deletes(sc: TenableSC) -> None:
    """Its session does all that the page names; every value is text, the password is SET."""
    made = told(sc.post("ldap", json=NEW))
    assert set(made) == FIELDS
    assert all(isinstance(value, str) for name, value in made.items() if name != "organizations")
    assert (made["password"], made["timeLimit"], made["dnsField"]) == ("SET", "3600", "dNSHostName")
    assert told(sc.get("ldap")) == [
        {"id": made["id"], "name": "Test Add LDAP", "description": "Test Description"}
    ]
    one = f"ldap/{made['id']}"
    assert told(sc.get(one, params={"fields": "host,port"})) == {
        "id": made["id"],
        "host": "ldap.example.com",
        "port": "636",
    }
    changed = told(sc.patch(one, json={"attrUsername": "uid", "password": "SET"}))
    assert (changed["attrUsername"], changed["password"]) == ("uid", "SET")
    assert told(sc.delete(one)) == ""
    with pytest.raises(NotFoundError):
        sc.get(one)


def test_a_session_by_e_mail_and_token(server: Running) -> None:
    """Who logs in with e-mail and token has a session, which ends with log-out, and with its user."""
    _, token = keys(server, Scope.ADMIN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = TenableSC(url=server.base, username="Boss@example.com", password=token)
        assert told(made.get("ldap")) == []
        admin = server.client(Scope.ADMIN, email="second@example.com")
        boss = admin.get("users/?email=boss@example.com").json()["results"][0]["id"]
        admin.patch(f"users/{boss}/", json={"is_active": False})
        raw = made._session.get(f"{server.base}/rest/ldap")
        assert raw.status_code == 401
        admin.patch(f"users/{boss}/", json={"is_active": True})
        assert made._session.get(f"{server.base}/rest/ldap").status_code == 200
        made.logout()
        made._session.close()
    nobody = server.client()
    for body in (
        {"username": "boss@example.com", "password": "wrong"},
        {"username": "other@example.com", "password": token},
    ):
        assert nobody.post("/rest/token", json=body).status_code == 401
    assert nobody.get("/rest/ldap", headers={"X-SecurityCenter": "1"}).status_code == 401


def test_keys_that_do_not_belong_together(server: Running) -> None:
    """A token under the id of another is refused, and so is what isn't a key."""
    ident, token = keys(server, Scope.ADMIN)
    nobody = server.client()
    for shown in (f"accesskey={ident + 1}; secretkey={token}", f"accesskey=x; secretkey={token}", "rubbish"):
        answer = nobody.get("/rest/ldap", headers={"x-apikey": shown})
        assert (answer.status_code, answer.json()["error_code"]) == (401, 401)
    good = nobody.get("/rest/ldap", headers={"X-ApiKey": f"accessKey={ident}; secretKey={token};"})
    assert good.status_code == 200


def test_what_others_see(server: Running, sc: TenableSC) -> None:
    """Who is no administrator sees id, name and description, and changes nothing."""
    ident = told(sc.post("ldap", json=NEW))["id"]
    with session(server, Scope.READ, email="reader@example.com") as reader:
        shown = told(reader.get(f"ldap/{ident}", params={"fields": "id,host,password,description"}))
        assert shown == {"id": ident, "description": "Test Description"}
        for method, path in (
            ("POST", "ldap"),
            ("PATCH", f"ldap/{ident}"),
            ("DELETE", f"ldap/{ident}"),
            ("POST", "ldap/test"),
            ("POST", f"ldap/{ident}/test"),
            ("POST", f"ldap/{ident}/query"),
        ):
            with pytest.raises(APIError) as refused:
                reader._req(method, path, json=NEW)
            assert refused.value.response.status_code == 403
        reader._session.close()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"name": ""}, "name"),
        ({"port": "0"}, "port"),
        ({"port": "x"}, "port"),
        ({"encryption": "ssl"}, "encryption"),
        ({"lowercase": "yes"}, "lowercase"),
        ({"host": " "}, "host"),
        ({"organizations": [{"id": "99"}]}, "organizations"),
        ({"organizations": "1"}, "organizations"),
    ],
)
def test_a_wrong_parameter_is_named(sc: TenableSC, change: dict[str, Any], name: str) -> None:
    """What is wrong is 403 with error code 146 and the parameter's name, and nothing is stored."""
    with pytest.raises(APIError) as refused:
        sc.post("ldap", json={**NEW, **change})
    body = refused.value.response.json()
    assert (refused.value.response.status_code, body["error_code"]) == (403, 146)
    assert name in body["error_msg"]
    assert told(sc.get("ldap")) == []


def test_a_password_stays_with_its_host(server: Running, sc: TenableSC) -> None:
    """Sealed in the store, it goes nowhere else: who changes the host gives it again, in tests too."""
    ident = told(sc.post("ldap", json=NEW))["id"]
    with server.database.read() as c:
        assert NEW["password"] not in c.execute(ldap_servers.select()).one().settings
    for path, method in ((f"ldap/{ident}", "PATCH"), (f"ldap/{ident}/test", "POST")):
        for moved in (
            {"host": "evil.example.net"},
            {"port": "1389", "password": "SET"},
            {"encryption": "none"},
        ):
            with pytest.raises(APIError) as refused:
                sc._req(method, path, json=moved)
            assert "password" in refused.value.response.json()["error_msg"]
    assert server.engine.directories == []
    assert told(sc.patch(f"ldap/{ident}", json={"host": "new.example.com", "password": "other"}))
    assert told(sc.post(f"ldap/{ident}/test", json={}))["status"] is True
    assert server.engine.directories[0][0]["password"] == "other"
    assert server.engine.directories[0][0]["host"] == "new.example.com"


def test_queries_and_tests_tell_what_the_directory_said(server: Running, sc: TenableSC) -> None:
    """People by match; a test that fails says where; a directory that is away is an error of a query."""
    ident = told(sc.post("ldap", json=NEW))["id"]
    assert told(sc.post(f"ldap/{ident}/query", json={"match": "uid=j*"})) == [
        {"name": "John Doe", "email": "", "phone": "", "username": "JohnDoe"}
    ]
    assert server.engine.directories[0][1] == "uid=j*"
    away = {**NEW, "host": "away"}
    tested = told(sc.post("ldap/test", json=away))
    assert (tested["status"], "away" in tested["message"]) == (False, True)
    other = told(sc.post("ldap", json={**away, "name": "away"}))["id"]
    with pytest.raises(APIError) as refused:
        sc.post(f"ldap/{other}/query", json={})
    assert "Nobody answers at away." in refused.value.response.json()["error_msg"]


def test_a_server_that_connections_name_stays(server: Running, sc: TenableSC) -> None:
    """A connection that names it by id or name keeps it from being deleted, and so does a datasync job."""
    by_id, by_name, of_job = (
        told(sc.post("ldap", json={**NEW, "name": name}))["id"] for name in ("one", "two", "three")
    )
    first = server.connection("ldap", params={"directory": int(by_id)})
    server.connection("ldap", alias="b", params={"directory": "two"})
    server.database.write(
        lambda c: connections.create(
            c,
            kind=Kind.DATASYNC,
            system="datasync",
            alias="c",
            command="datasync",
            project_id=None,
            params={"jobInfo": {"destinationProvider": "three"}},
            now=server.clock(),
        )
    )
    for ident in (by_id, by_name, of_job):
        with pytest.raises(APIError) as refused:
            sc.delete(f"ldap/{ident}")
        assert "Connections name it" in refused.value.response.json()["error_msg"]
    server.admin().delete(f"connections/ldap/{first}/")
    assert told(sc.delete(f"ldap/{by_id}")) == ""


def test_organizations_are_business_units(server: Running, sc: TenableSC) -> None:
    """A server's organisations are told with their names."""
    server.project()
    made = told(sc.post("ldap", json={**NEW, "organizations": [{"id": "1"}]}))
    assert made["organizations"] == [{"id": "1", "name": "Unit of Webshop", "description": ""}]


def test_the_printed_requests_by_curl(server: Running) -> None:
    """Each request of the page, with curl: status, and the names and types of what comes back."""
    ident, token = keys(server, Scope.ADMIN)
    usual = [
        "-H",
        f"x-apikey: accesskey={ident}; secretkey={token}",
        "-H",
        "Content-Type: application/json",
    ]

    def ask(method: str, path: str, body: object = None) -> Any:
        arguments = [*usual, "-X", method, f"{server.base}/rest/{path}"]
        status, text = curl(*arguments, *([] if body is None else ["-d", json.dumps(body)]))
        assert status == 200, text
        answer = json.loads(text)
        assert isinstance(answer["timestamp"], int)
        assert answer["error_code"] == 0
        return answer["response"]

    made = ask("POST", "ldap", NEW)
    assert set(made) == FIELDS
    one = f"ldap/{made['id']}"
    assert [set(entry) for entry in ask("GET", "ldap")] == [{"id", "name", "description"}]
    assert set(ask("GET", one)) == {"id", "name", "description"}
    assert set(ask("GET", f"{one}?fields=id,host,createdTime")) == {"id", "host", "createdTime"}
    assert set(ask("PATCH", one, {"description": "Other"})) == FIELDS
    assert [set(person) for person in ask("POST", f"{one}/query", {"match": "uid=*"})] == [
        {"name", "email", "phone", "username"}
    ]
    for path in ("ldap/test", f"{one}/test"):
        tested = ask("POST", path, NEW if path == "ldap/test" else {})
        assert {name: type(value) for name, value in tested.items()} == {"status": bool, "message": str}
    assert ask("DELETE", one) == ""
