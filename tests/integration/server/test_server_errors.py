"""Errors: the shapes of Django REST framework, and never a traceback."""

import http.client
import json
from typing import Any

import pytest

from runner.errors import StoreFull
from tests.integration.server.kit import Running


def test_what_there_is_not(server: Running) -> None:
    """An unknown address is 404 with the original's sentence, with a token and without."""
    for client in (server.admin(), server.client()):
        for path in (
            "/nope",
            "nope/",
            "jobs/nope/",
            "jobs/alm/x/",
            "jobs/alm/-1/",
            f"jobs/alm/{'9' * 30}/",
        ):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."}), path
            assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "jobs/alm/", "GET, POST"),
        ("DELETE", "jobs/alm/1/", "GET, PATCH"),
        ("GET", "jobs/analysis-file/", "POST"),
        ("POST", "connections/alm/1/", "DELETE, GET, PATCH, PUT"),
        ("OPTIONS", "tokens/", "GET, POST"),
    ],
)
def test_a_method_there_is_not(server: Running, method: str, path: str, allow: str) -> None:
    """405 says which methods there are."""
    answer = server.admin().request(method, path)
    assert (answer.status_code, answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_broken_json(server: Running, body: bytes) -> None:
    """What isn't JSON, or can't be stored, is 400 and says so."""
    answer = server.admin().post("jobs/alm/", data=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


@pytest.mark.parametrize(
    ("body", "name"), [("[]", "list"), ('"x"', "str"), ("7", "int"), ("null", "NoneType")]
)
def test_json_of_another_type(server: Running, body: str, name: str) -> None:
    """A body that is no object is refused as the original does."""
    answer = server.admin().post("connections/alm/", data=body)
    expected = {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {name}."]}
    assert (answer.status_code, answer.json()) == (400, expected)


def test_a_body_of_another_kind(server: Running) -> None:
    """Another media type is 415; curl's default and none at all are taken for JSON."""
    admin = server.admin()
    refused = admin.post("jobs/alm/", data=b"<a/>", headers={"Content-Type": "application/xml"})
    assert refused.json() == {"detail": 'Unsupported media type "application/xml" in request.'}
    assert refused.status_code == 415
    body = json.dumps({"connection": server.connection(), "automatic": False, "ready": False})
    for kind in ("application/x-www-form-urlencoded", None, "application/json; charset=utf-8"):
        assert admin.post("jobs/alm/", data=body, headers={"Content-Type": kind}).status_code == 201


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(server: Running, chunked: bool) -> None:
    """More than two MiB of JSON is 413, declared or not."""
    body = b'{"a": "' + b"x" * 2_200_000 + b'"}'
    data: Any = iter([body]) if chunked else body
    answer = server.admin().post("jobs/alm/", data=data)
    assert answer.status_code == 413


def test_a_defect_tells_nothing(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody expected is 500 with one sentence, and the next request is served."""

    def fail() -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(server.services.database, "read", fail)
    answer = server.admin().get("jobs/")
    assert (answer.status_code, answer.json()) == (500, {"detail": "A server error occurred."})
    monkeypatch.undo()
    assert server.admin().get("jobs/").status_code == 200


def test_a_store_that_takes_nothing_is_503(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told with a sentence and when to ask again."""

    def fail() -> None:
        raise StoreFull("The disk with the store is full.", detail="/somewhere/runner.db")

    client = server.admin()
    monkeypatch.setattr(server.services.database, "read", fail)
    answer = client.get("jobs/")
    assert (answer.status_code, answer.json()) == (503, {"detail": "The disk with the store is full."})
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.setattr(server.services.database, "submit", lambda _write: fail())
    assert client.post("jobs/alm/", json={}).status_code == 503


def test_health_without_a_token(server: Running) -> None:
    """``/-/healthy`` and ``/-/ready`` need no token, and say what is wrong."""
    client = server.client()
    assert client.get("/-/healthy").status_code == client.get("/-/ready").status_code == 200
    server.engine.alive = False
    server.engine.told["claiming"] = False
    assert client.get("/-/healthy").status_code == 503
    ready = client.get("/-/ready")
    assert ready.status_code == 503
    assert ready.json()["reasons"]


def test_garbage_on_the_wire(server: Running) -> None:
    """What isn't HTTP is 400, and the server goes on."""
    wire = http.client.HTTPConnection(server.base.removeprefix("http://"))
    wire.connect()
    wire.sock.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
    assert wire.sock.recv(100).startswith(b"HTTP/1.1 400")
    wire.close()
    assert server.client().get("/-/healthy").status_code == 200


def test_the_description_is_true(server: Running) -> None:
    """Each route is described once, extensions are marked, and every reference leads somewhere."""
    described = server.admin().get("/api/openapi.json").json()
    text = json.dumps(described)
    names = set(described["components"]["schemas"])
    assert {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]} <= names
    ids = [one["operationId"] for path in described["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids)) > 40
    assert described["paths"]["/api/v2/jobs/{kind}/{job_id}/changes/"]["get"]["x-extension"] is True
    assert "x-extension" not in described["paths"]["/api/v2/jobs/{kind}/"]["post"]
    assert server.client().get("/api/openapi.json").status_code == 401
