"""Who may do what: tokens, their spellings, their ends."""

from datetime import timedelta
from typing import Any

import pytest

from runner.store import accounts
from runner.store.accounts import Role, Scope
from runner.store.schema import tokens, users
from tests.integration.server.kit import Client, Running


@pytest.mark.parametrize(
    "spelling",
    [
        "Token {}",
        "token {}",
        "TOKEN {}",
        'Token "{}"',
        "Token '{}'",
        'Token: "{}"',
        "Token: {}",
        "Token:{}",
        "  Token   {}",
    ],
)
def test_spellings_of_the_header(server: Running, spelling: str) -> None:
    """The scheme in any case, quotes and a colon: all that the original's pages print works."""
    header = spelling.format(server.token(Scope.READ))
    answer = server.client().get("jobs/", headers={"Authorization": header.strip()})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "Authentication credentials were not provided."),
        ("Basic YTpi", "Authentication credentials were not provided."),
        ("Tokenish abc", "Authentication credentials were not provided."),
        ("Token", "Invalid token header. No credentials provided."),
        ('Token ""', "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
        ("Token wrong", "Invalid token."),
        (b"Token \xff\xfe", "Invalid token."),
    ],
)
def test_refusals_say_what_the_original_says(server: Running, header: str | None, detail: str) -> None:
    """401 with the sentence that clients of the original look for, and the scheme to use."""
    client = server.client()
    for method, path in (("GET", "jobs/"), ("POST", "jobs/alm/"), ("POST", "jobs/analysis-file/")):
        answer = client.request(method, path, headers={"Authorization": header})
        assert (answer.status_code, answer.json()) == (401, {"detail": detail})
        assert answer.headers["WWW-Authenticate"] == "Token"


def test_a_token_dies_with_its_expiry_and_its_user(server: Running) -> None:
    """Expired, of an inactive user, revoked: each is 401 from the next request on."""
    admin = server.admin()
    user = server.client(Scope.READ)
    made = admin.post(
        "tokens/",
        json={"user": "somebody@example.com", "expires": (server.clock() + timedelta(hours=1)).isoformat()},
    ).json()
    short = Client(server.base, made["token"])
    server.clients.append(short)
    assert short.get("jobs/").status_code == 200
    server.clock.now += timedelta(hours=2)
    assert short.get("jobs/").json() == {"detail": "Token has expired."}
    assert user.get("jobs/").status_code == 200
    server.database.write(
        lambda c: (
            c.execute(
                users.update().where(users.c.email == "somebody@example.com").values(is_active=False)
            ).rowcount
        )
    )
    assert user.get("jobs/").json() == {"detail": "User inactive or deleted."}
    revoked = server.client(Scope.READ, email="c@example.com")
    newest = admin.get("tokens/").json()["results"][-1]
    assert newest["user"] == "c@example.com"
    assert admin.delete(f"tokens/{newest['id']}/").status_code == 204
    assert revoked.get("jobs/").json() == {"detail": "Invalid token."}
    assert admin.delete(f"tokens/{newest['id']}/").status_code == 404


def test_the_last_use_is_written_once_a_minute(server: Running) -> None:
    """Reads and writes note that a token was used, at most once a minute."""
    client = server.client(Scope.READ, Scope.RUN)

    def last() -> Any:
        server.database.submit(lambda _c: None).result()  # after what the last request left to be written
        with server.database.read() as c:
            return c.scalar(tokens.select().with_only_columns(tokens.c.last_used))

    assert last() is None
    client.get("jobs/")
    first = last()
    assert first is not None
    client.get("jobs/")
    assert last() == first
    server.clock.now += timedelta(seconds=61)
    client.post("jobs/alm/")
    assert last() > first


def test_a_token_is_told_once_and_kept_as_a_hash(server: Running) -> None:
    """The answer to its making has the token; the store has its SHA-256, listings have nothing."""
    admin = server.admin()
    server.token(Scope.READ)
    answer = admin.post("tokens/", json={"user": "SOMEBODY@example.com", "scopes": ["read", "run"]})
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert answer.json()["scopes"] == ["read", "run"]
    with server.database.read() as c:
        row = c.execute(tokens.select().where(tokens.c.id == answer.json()["id"])).one()
    assert row.hash == accounts.hash_token(token)
    assert token not in str(row)
    assert token not in admin.get("tokens/").text


def test_an_administrators_token_makes_its_user(server: Running) -> None:
    """``admin: true`` makes the user if need be; without it there must be one."""
    admin = server.admin()
    missing = admin.post("tokens/", json={"user": "new@example.com"})
    assert missing.json() == {"user": ["There is no user with this e-mail."]}
    made = admin.post("tokens/", json={"user": "new@example.com", "admin": True}).json()
    assert made["scopes"] == ["admin"]
    new = Client(server.base, made["token"])
    server.clients.append(new)
    assert new.get("tokens/").status_code == 200


def test_only_administrators_have_tokens_of_one(server: Running) -> None:
    """A user who is none can't be given one's token, and losing the role ends what it could do."""
    admin = server.admin()
    server.token(Scope.READ)
    for body in ({"admin": True}, {"scopes": ["admin"]}):
        answer = admin.post("tokens/", json={"user": "somebody@example.com", **body})
        assert (answer.status_code, list(answer.json())) == (400, ["user"])
    server.database.write(lambda c: c.execute(users.update().values(role=Role.USER.value)).rowcount)
    assert admin.get("tokens/").status_code == 403


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"user"}),
        ({"user": "no mail"}, {"user"}),
        ({"user": 7}, {"user"}),
        ({"user": "somebody@example.com", "scopes": ["everything"]}, {"scopes"}),
        ({"user": "somebody@example.com", "scopes": "read"}, {"scopes"}),
        ({"user": "somebody@example.com", "expires": "tomorrow"}, {"expires"}),
        ({"user": "somebody@example.com", "expires": "2001-01-01T00:00:00Z"}, {"expires"}),
        ({"user": "somebody@example.com", "expires": 5, "admin": "x"}, {"expires", "admin"}),
    ],
)
def test_wrong_tokens_are_refused(server: Running, body: dict[str, Any], fields: set[str]) -> None:
    """Each wrong field is named."""
    answer = server.admin().post("tokens/", json=body)
    assert (answer.status_code, set(answer.json())) == (400, fields)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "jobs/", Scope.READ),
        ("GET", "jobs/alm/", Scope.READ),
        ("GET", "jobs/alm/1/", Scope.READ),
        ("GET", "jobs/alm/1/changes/", Scope.READ),
        ("POST", "jobs/alm/1/cancel/", Scope.RUN),
        ("POST", "jobs/alm/1/retry/", Scope.RUN),
        ("POST", "jobs/analysis-file/", Scope.RUN),
        ("GET", "connections/", Scope.READ),
        ("POST", "connections/alm/", Scope.EDIT_ALM),
        ("PUT", "connections/alm/1/", Scope.EDIT_ALM),
        ("PATCH", "connections/alm/1/", Scope.EDIT_ALM),
        ("DELETE", "connections/alm/1/", Scope.EDIT_ALM),
        ("POST", "connections/analysis/", Scope.EDIT_VERIFICATION),
        ("POST", "connections/ldap/", Scope.EDIT_LDAP),
        ("POST", "connections/datasync/", Scope.EDIT_LDAP),
        ("GET", "projects/", Scope.READ),
        ("POST", "projects/", Scope.ADMIN),
        ("POST", "applications/", Scope.ADMIN),
        ("POST", "business-units/", Scope.ADMIN),
        ("GET", "projects/1/tasks/", Scope.READ),
        ("PATCH", "projects/1/tasks/1-T21/", Scope.VERIFY),
        ("POST", "projects/1/tasks/1-T21/notes/", Scope.VERIFY),
        ("DELETE", "projects/1/tasks/1-T21/notes/1/", Scope.VERIFY),
        ("GET", "systems/", Scope.READ),
        ("GET", "status/", Scope.READ),
        ("GET", "tokens/", Scope.ADMIN),
        ("POST", "tokens/", Scope.ADMIN),
        ("DELETE", "tokens/1/", Scope.ADMIN),
    ],
)
def test_every_route_wants_its_scope(server: Running, method: str, path: str, scope: Scope) -> None:
    """With every scope but its own (and those that imply it) a route is 403."""
    others = set(Scope) - {scope, Scope.ADMIN, Scope.AGENT}
    assert server.client(*others).request(method, path).status_code == 403
    allowed = server.client(scope, email="boss@example.com", role=Role.ADMINISTRATOR)
    assert allowed.request(method, path).status_code != 401


def test_the_socket_is_the_local_administrator(server: Running) -> None:
    """Over the Unix socket no token is needed, and all rights are there."""
    import http.client
    import json
    import socket

    class Wire(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.connect(str(server.socket))

    wire = Wire("localhost")
    try:
        for body in (None, {"user": "first@example.com", "admin": True}):
            wire.request("POST" if body else "GET", "/api/v2/tokens/", json.dumps(body) if body else None)
            answer = wire.getresponse()
            assert answer.status == (201 if body else 200)
            answer.read()
        run = {"connection": server.connection(), "automatic": False, "ready": False}
        wire.request("POST", "/api/v2/jobs/alm/", json.dumps(run))
        assert json.loads(wire.getresponse().read())["user"] == accounts.SERVICE_EMAIL
    finally:
        wire.close()
