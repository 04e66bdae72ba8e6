"""The description of the API is true: schemathesis, in the role of a client that tries everything."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.store.accounts import Role, Scope
from runner.store.schema import tokens, users
from tests.integration.server.kit import Running

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)
_FAR = 7_654_321  # an id that nothing generated meets: the client mustn't lock itself out


def fill(server: Running) -> str:
    """One of everything that paths name; a superuser's token."""
    project = server.project()
    server.connection(project_id=project)
    server.connection("whitehat", project_id=project)
    ldap = server.connection("ldap")
    server.finished_jobs(1, 3)
    server.analysis_note(1, "2 findings")
    server.token(Scope.READ)
    token = server.token(Scope.ADMIN, email="root@example.com", role=Role.ADMINISTRATOR)

    def move(c) -> None:  # type: ignore[no-untyped-def]  # a connection
        root = c.execute(users.select().where(users.c.email == "root@example.com")).one()
        c.execute(
            users.insert().values(
                id=_FAR,
                email="far@example.com",
                email_key="far@example.com",
                role="UR4",
                is_superuser=True,
                date_joined=root.date_joined,
            )
        )
        c.execute(tokens.update().where(tokens.c.user_id == root.id).values(id=_FAR, user_id=_FAR))

    server.database.write(move)
    admin = server.client(Scope.ADMIN)
    admin.headers["Authorization"] = f"Token {token}"
    group = admin.post("groups/", json={"name": "g"}).json()["id"]
    body = {"ldap_group": "x", "sde_group": group}
    assert admin.post(f"connections/ldap/{ldap}/group-mappings/", json=body).status_code == 201
    return token


def attack(server: Running, folder: Path, *, examples: int, phases: str) -> tuple[int, str]:
    """Have schemathesis try each operation; how many requests it sent, and what it found."""
    token = fill(server)
    client = server.client()
    client.headers["Authorization"] = f"Token {token}"
    described = client.get("/api/openapi.json").json()
    schema = folder / "openapi.json"
    schema.write_text(json.dumps(described))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--no-color",
            "run",
            str(schema),
            f"--url={server.base}",
            f"--header=Authorization: Token {token}",
            f"--checks={','.join(CHECKS)}",
            f"--phases={phases}",
            f"--max-examples={examples}",
            "--generation-deterministic",
            "--continue-on-failure",
            "--suppress-health-check=all",
            "--warnings=off",
            "--request-timeout=30",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    sent = re.search(r"(\d[\d,]*) generated", done.stdout)
    found = "" if done.returncode == 0 else done.stdout[-20_000:] + done.stderr[-2_000:]
    return int(sent[1].replace(",", "")) if sent else 0, found


def test_no_answer_is_outside_the_description(server: Running, tmp_path: Path) -> None:
    """A few thousand requests, good and bad, find no 500 and nothing that isn't described."""
    sent, found = attack(server, tmp_path, examples=10, phases="examples,coverage,fuzzing")
    if found:
        pytest.fail(found, pytrace=False)
    assert sent > 2_000


@pytest.mark.torture
def test_no_answer_is_outside_the_description_at_length(server: Running, tmp_path: Path) -> None:
    """The same with twenty thousand requests."""
    sent, found = attack(server, tmp_path, examples=200, phases="examples,coverage,fuzzing")
    if found:
        pytest.fail(found, pytrace=False)
    assert sent >= 20_000
