"""Who may do what: every route, with a token of each scope. A route without a row fails."""

from typing import Any

import pytest
import requests

from runner.server.app import create_app
from runner.server.openapi import Described
from runner.server.securitycenter.envelope import BAD_PARAMETER
from runner.store import accounts
from runner.store.accounts import Role, Scope
from tests.integration.server.kit import Client, Running

SCOPES = tuple(scope.value for scope in Scope)
SUPER = ("super agent", "super edit-ldap", "super admin")
"""Tokens of a superuser; the others' users aren't one."""

ANY = frozenset({*SCOPES, *SUPER})
OPEN = frozenset({*ANY, "nobody"})
ADMIN = frozenset({"admin", "super admin"})
AGENT = ADMIN | {"agent", "super agent"}
READ = AGENT | {"read"}
RUN = ADMIN | {"run"}
VERIFY = AGENT | {"verify"}
ALM = AGENT | {"edit-alm"}
LDAP = AGENT | {"edit-ldap", "super edit-ldap"}
SCANNERS = AGENT | {"edit-verification"}
ACCOUNTS = ADMIN | {"super agent"}
MAPPINGS = frozenset(SUPER)

JOB = {"connection": 1, "automatic": False, "ready": False}
HELD = {"attempt": 1, "succeeded": True, "result_message": ""}
_BOTH = ("jobs", "projects/1/jobs")
GROUPID = "/GroupIDDataService/api/DataSyncJobs"

RIGHTS: dict[str, frozenset[str]] = {
    "GET /-/healthy": OPEN,
    "GET /-/ready": OPEN,
    "GET /metrics": OPEN,
    "GET /": READ,
    "GET /api/openapi.json": ANY,
    **{f"GET /api/v2/{root}/": READ for root in _BOTH},
    **{f"GET /api/v2/{root}/{{kind}}/": READ for root in _BOTH},
    **{f"POST /api/v2/{root}/{{kind}}/": RUN for root in _BOTH},
    **{f"GET /api/v2/{root}/{{kind}}/{{job_id}}/": READ for root in _BOTH},
    # What a run changed tells what its params would, so it wants the right to see these as well.
    **{f"GET /api/v2/{root}/{{kind}}/{{job_id}}/changes/": AGENT for root in _BOTH},
    **{
        f"POST /api/v2/{root}/{{kind}}/{{job_id}}/{deed}/": RUN
        for root in _BOTH
        for deed in ("cancel", "retry", "revert")
    },
    "POST /api/v2/jobs/claim/": AGENT,
    "POST /api/v2/jobs/{kind}/{job_id}/heartbeat/": AGENT,
    "POST /api/v2/jobs/{kind}/{job_id}/give-back/": AGENT,
    "PATCH /api/v2/jobs/{kind}/{job_id}/": AGENT,
    "GET /api/v2/jobs/{kind}/{job_id}/log/": READ,
    "GET /api/v2/jobs/{kind}/{job_id}/events/": READ,
    "GET /api/v2/jobs/analysis/{job_id}/findings/": READ,
    "POST /api/v2/jobs/analysis-file/": RUN,
    "GET /api/v2/changes/": READ,
    "GET /api/v2/remote-agent/": READ,
    "GET /api/v2/remote-agent/{agent_id}/": READ,
    "POST /api/v2/remote-agent/": AGENT,
    "PATCH /api/v2/remote-agent/{agent_id}/": AGENT,
    "DELETE /api/v2/remote-agent/{agent_id}/": ADMIN,
    "GET /api/v2/connections/": READ,
    "GET /api/v2/connections/{kind}/": READ,
    "GET /api/v2/connections/{kind}/{connection_id}/": READ,
    "POST /api/v2/connections/{kind}/": ALM,
    "PUT /api/v2/connections/{kind}/{connection_id}/": ALM,
    "PATCH /api/v2/connections/{kind}/{connection_id}/": ALM,
    "DELETE /api/v2/connections/{kind}/{connection_id}/": ALM,
    "POST /api/v2/connections/{kind}/{connection_id}/pause/": ALM,
    "POST /api/v2/connections/{kind}/{connection_id}/resume/": ALM,
    "POST /api/v2/connections/{kind}/{connection_id}/test/": ALM,
    "POST /api/v2/connections/{kind}/test/": ALM,
    "GET /api/v2/connections/analysis/{connection_id}/mapping/": READ,
    "PUT /api/v2/connections/analysis/{connection_id}/mapping/": SCANNERS,
    "GET /api/v2/connections/ldap/{connection_id}/group-mappings/": MAPPINGS,
    "POST /api/v2/connections/ldap/{connection_id}/group-mappings/": MAPPINGS,
    "GET /api/v2/connections/ldap/{connection_id}/group-mappings/{mapping_id}/": MAPPINGS,
    "PUT /api/v2/connections/ldap/{connection_id}/group-mappings/{mapping_id}/": MAPPINGS,
    "DELETE /api/v2/connections/ldap/{connection_id}/group-mappings/{mapping_id}/": MAPPINGS,
    **{
        f"{method} /api/v2/{path}/": right
        for path, key in (
            ("projects", "project_id"),
            ("applications", "application_id"),
            ("business-units", "business_unit_id"),
        )
        for method, path, right in (
            ("GET", path, READ),
            ("POST", path, ADMIN),
            ("GET", f"{path}/{{{key}}}", READ),
            ("PUT", f"{path}/{{{key}}}", ADMIN),
            ("PATCH", f"{path}/{{{key}}}", ADMIN),
            ("DELETE", f"{path}/{{{key}}}", ADMIN),
        )
    },
    "GET /api/v2/providers/": LDAP,
    "POST /api/v2/providers/": LDAP,
    "DELETE /api/v2/providers/{name}/": LDAP,
    "GET /api/v2/connectors/{kind}/": READ,
    "POST /api/v2/connectors/{kind}/": ALM,
    "GET /api/v2/connectors/{kind}/{connector_id}/": READ,
    "PUT /api/v2/connectors/{kind}/{connector_id}/": ALM,
    "PATCH /api/v2/connectors/{kind}/{connector_id}/": ALM,
    "DELETE /api/v2/connectors/{kind}/{connector_id}/": ALM,
    "GET /api/v2/users/": READ,
    "GET /api/v2/users/me/": ANY,
    "GET /api/v2/users/{user_id}/": READ,
    "POST /api/v2/users/": ACCOUNTS,
    "POST /api/v2/users/bulk-upload/": ACCOUNTS,
    "PUT /api/v2/users/{user_id}/": ACCOUNTS,
    "PATCH /api/v2/users/{user_id}/": ACCOUNTS,
    "DELETE /api/v2/users/{user_id}/": ADMIN,
    "GET /api/v2/groups/": READ,
    "GET /api/v2/groups/{group_id}/": READ,
    "POST /api/v2/groups/": ACCOUNTS,
    "PUT /api/v2/groups/{group_id}/": ACCOUNTS,
    "PATCH /api/v2/groups/{group_id}/": ACCOUNTS,
    "DELETE /api/v2/groups/{group_id}/": ADMIN,
    **{
        f"{method} /api/v2/projects/{{project_id}}/{path}/": right
        for method, path, right in (
            ("GET", "tasks", READ),
            ("POST", "tasks", ADMIN),
            ("GET", "tasks/{task_id}", READ),
            ("PATCH", "tasks/{task_id}", VERIFY),
            ("DELETE", "tasks/{task_id}", ADMIN),
            ("GET", "tasks/{task_id}/notes", READ),
            ("POST", "tasks/{task_id}/notes", VERIFY),
            ("GET", "tasks/{task_id}/notes/{note_id}", READ),
            ("PATCH", "tasks/{task_id}/notes/{note_id}", VERIFY),
            ("DELETE", "tasks/{task_id}/notes/{note_id}", VERIFY),
            ("GET", "tasks/{task_id}/analysis-notes", READ),
            ("POST", "tasks/{task_id}/analysis-notes", VERIFY),
            ("GET", "analysis-sessions", READ),
            ("POST", "analysis-sessions", VERIFY),
            ("GET", "analysis-sessions/{session_id}", READ),
        )
    },
    **{
        f"GET /api/v2/{path}/": READ
        for path in ("task-statuses", "verification-statuses", "phases", "systems", "status")
    },
    "GET /api/v2/plugins/": READ,
    "GET /api/v2/plugins/{kind}/": READ,
    "GET /api/v2/plugins/{kind}/{plugin_id}/": READ,
    "GET /api/v2/tokens/": ADMIN,
    "POST /api/v2/tokens/": ADMIN,
    "DELETE /api/v2/tokens/{token_id}/": ADMIN,
    "GET /rest/system": OPEN,
    "POST /rest/token": ANY,
    "DELETE /rest/token": OPEN,
    "GET /rest/ldap": READ,
    "POST /rest/ldap": ADMIN,
    "POST /rest/ldap/test": ADMIN,
    "GET /rest/ldap/{server_id}": READ,
    "PATCH /rest/ldap/{server_id}": ADMIN,
    "DELETE /rest/ldap/{server_id}": ADMIN,
    "POST /rest/ldap/{server_id}/query": LDAP,
    "POST /rest/ldap/{server_id}/test": ADMIN,
    f"POST {GROUPID}/": LDAP,
    f"GET {GROUPID}/": LDAP,
    f"DELETE {GROUPID}/": LDAP,
    f"GET {GROUPID}/Names/": LDAP,
    f"GET {GROUPID}/{{job_id}}/Details/": LDAP,
    f"PUT {GROUPID}/{{job_id}}/": LDAP,
    f"POST {GROUPID}/{{job_id}}/Run/": RUN,
    f"GET {GROUPID}/{{job_id}}/Runs/": LDAP,
    f"GET {GROUPID}/{{job_id}}/Runs/{{run_id}}/Log/": LDAP,
    f"POST {GROUPID}/{{job_id}}/IgnoreScripts/": ADMIN,
    f"POST {GROUPID}/Collections/": LDAP,
    f"PATCH {GROUPID}/Collections/": LDAP,
    f"GET {GROUPID}/Collections/": LDAP,
    f"DELETE {GROUPID}/Collections/": LDAP,
    f"GET {GROUPID}/Collections/Details/": LDAP,
    f"GET {GROUPID}/Collections/{{collection_id}}/Details/": LDAP,
    f"POST {GROUPID}/Collections/{{collection_id}}/Run/": RUN,
    f"GET {GROUPID}/Collections/{{collection_id}}/Runs/": LDAP,
    "POST /GroupIDSecurityService/connect/token/": OPEN,
    "GET /api/v2/remotes/{name}/reconcile/": ADMIN,
    "GET /api/v2/backup/": frozenset(),  # over the Unix socket only
    "POST /api/v2/pause/": ADMIN,
    "POST /api/v2/resume/": ADMIN,
}
"""By method and path, who may."""

BODIES: dict[str, Any] = {"POST /api/v2/jobs/{kind}/": JOB, "POST /api/v2/projects/1/jobs/{kind}/": JOB}
"""Where what is wrong with the body would be told before who may."""

VALUES = {"kind": "alm", "task_id": "T21", "group_id": "G1", "token_id": "999999", "plugin_id": "rally"}
"""What stands in a path; any other id is 1."""


def _key(route: Described, method: str) -> str:
    parts = [
        "{" + part.strip("{}").partition(":")[0] + "}" if part.startswith("{") else part
        for part in route.path.split("/")
    ]
    path = "/".join(parts).replace("/api/v2/projects/{project_id}/jobs/", "/api/v2/projects/1/jobs/")
    return f"{method} {path}"


def _address(key: str) -> tuple[str, str]:
    method, _, path = key.partition(" ")
    parts = [VALUES.get(part[1:-1], "1") if part.startswith("{") else part for part in path.split("/")]
    return method, "/".join(parts)


@pytest.fixture
def callers(server: Running) -> dict[str, Client]:
    """A session of each sort, in a server where everything that paths name is there."""
    project = server.project()
    server.connection(project_id=project)
    server.connection("whitehat", project_id=project)
    server.connection("ldap")
    server.finished_jobs(1, 1)
    server.database.write(
        lambda c: accounts.create_user(c, email="one@example.com", now=server.clock())  # number 1 in paths
    )
    server.database.write(
        lambda c: accounts.create_user(
            c, email="root@example.com", now=server.clock(), role=Role.ADMINISTRATOR, is_superuser=True
        )
    )
    made = {scope: server.client(Scope(scope), email=f"{scope}@example.com") for scope in SCOPES}
    made |= {
        name: server.client(Scope(name.partition(" ")[2]), email="root@example.com", role=Role.ADMINISTRATOR)
        for name in SUPER
    }
    made["nobody"] = server.client()
    return made


def test_every_route_lets_in_whom_its_row_names(server: Running, callers: dict[str, Client]) -> None:
    """Each route is asked with each sort of token: 401 and 403 for all but those its row names."""
    wrong = []
    for key, may in sorted(RIGHTS.items(), key=lambda row: row[0].startswith("DELETE")):
        method, path = _address(key)
        # Those who may not come first: what they aren't shown must still be there.
        for name in sorted(callers, key=lambda name: name in may):
            client = callers[name]
            body, headers = BODIES.get(key, {}), dict[str, str]()
            if path.startswith("/rest/"):
                body, headers = _as_securitycenter(server, name, client)
            with client.request(method, path, json=body, headers=headers, stream=True) as answer:
                let_in = answer.status_code not in {401, 403} or _names_a_parameter(answer)
                if let_in != (name in may) or answer.status_code >= 500 or answer.status_code == 405:
                    wrong.append(f"{key}: {name} got {answer.status_code}")
    assert wrong == [], "\n".join(wrong)


def _as_securitycenter(server: Running, name: str, client: Client) -> tuple[Any, dict[str, str]]:
    """A body that logs in where it is asked, and the token as that dialect's clients show it."""
    if client.token is None:
        return {"username": "nobody@example.com", "password": "x"}, {}
    with server.database.read() as c:
        holder = accounts.holder(c, token_hash=accounts.hash_token(client.token), now=server.clock())
    assert holder is not None
    keys = {"x-apikey": f"accesskey={holder.token_id}; secretkey={client.token}"}
    return {"username": _email(name), "password": client.token}, keys


def _names_a_parameter(answer: requests.Response) -> bool:
    """Whether a 403 of the SecurityCenter dialect is about the body, not about who asks."""
    return "/rest/" in answer.url and answer.json()["error_code"] == BAD_PARAMETER


def test_no_route_is_without_a_row(server: Running) -> None:
    """A new route has to be given its row in the table above, or this fails."""
    app = create_app(server.services)
    there = {
        _key(route, method)
        for route in app.router.routes
        if isinstance(route, Described)
        for method in route.methods or ()
    }
    assert there == set(RIGHTS)


@pytest.mark.parametrize(
    ("kind", "system", "may"),
    [
        ("alm", "rally", ALM),
        ("analysis", "whitehat", SCANNERS),
        ("ldap", "ldap", LDAP),
    ],
)
def test_params_are_for_those_who_edit_their_kind(
    server: Running, callers: dict[str, Client], kind: str, system: str, may: frozenset[str]
) -> None:
    """Of a kind that one may not edit one sees connections and jobs, but no params."""
    ident = server.connection(system, params={"host": "h"}, project_id=1 if kind != "ldap" else None)
    server.finished_jobs(ident, 1, kind=kind)
    # LDAP params are shown to those who edit verification as well, as the original says.
    sees = may | (SCANNERS if kind == "ldap" else frozenset())
    for name, client in callers.items():
        both = Client(server.base, server.token(Scope.READ, *_scopes(name), email=_email(name)))
        server.clients.append(both)
        if name == "nobody":
            continue
        shown = both.get(f"connections/{kind}/{ident}/").json()
        (job,) = both.get(f"jobs/{kind}/?connection={ident}").json()["results"]
        listed = [one["id"] for one in both.get(f"jobs/?connection={ident}").json()["results"]]
        assert ("params" in shown) == (name in sees), name
        assert ("params" in job["connection"]) == (name in sees), name
        assert (listed == [job["id"]]) == (name in sees), name
        assert (client.patch(f"connections/{kind}/{ident}/", json={}).status_code == 200) == (name in may)


def _scopes(name: str) -> tuple[Scope, ...]:
    return () if name == "nobody" else (Scope(name.rpartition(" ")[2]),)


def _email(name: str) -> str:
    return "root@example.com" if name in SUPER else f"{name}@example.com"
