"""The requests that the original's pages print, sent with curl as they stand there.

Compared are the status, and the names and types of all fields that the pages show. Where two
versions of a page differ, both are here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.store import accounts
from runner.store.accounts import Role, Scope
from tests.integration.server.kit import Running, curl

ALM = {
    "sde_project": "Demo Project",
    "alm_auth_mode": "basic",
    "alm_user": "rally_user",
    "sde_verification_filter": "none,partial,pass,fail",
    "rally_workspace": "Rally Workspace",
    "alm_method": "https",
    "alm_title_format": "$task_id $title",
    "alm_server": "rally.example.com",
    "sde_businessunit": "General",
    "sde_application": "Demo Application",
    "alm_project": "Rally Project",
    "alm_pass": "rally_password",
    "alm_phases": "requirements,architecture-design,development",
    "sde_statuses_in_scope": "TODO",
    "conflict_policy": "alm",
    "sde_min_priority": 7,
}
SCANNER = {
    "asset_name": "WebGoat Java",
    "sde_project": "WhiteHat",
    "sde_businessunit": "General",
    "sde_application": "Demo Application",
    "import_behaviour": "replace-scanner",
    "analysis_server": "scanner.example.com",
    "task_status_mapping": "{}",
}
LDAP = {
    "group_base_dn": "OU=SyncGroups,DC=example,DC=com",
    "ldap_server": "ldap.example.com:389",
    "bind_dn": "CN=Bind User2,CN=Users,DC=example,DC=com",
    "user_schema": {"first_name": "gn", "last_name": "sn", "email": "mail", "full_name": "cn"},
    "deactivation": False,
    "group_member_query": "(&(objectClass=user)(memberOf=%s))",
    "page_size": 666,
    "base_dn": "DC=example,DC=com",
    "ldap_method": "LDAP",
    "ldap_validate_cert": True,
}
OLD_LDAP = {
    **{name: value for name, value in LDAP.items() if name != "group_base_dn"},
    "group_query": "OU=SyncGroups,DC=example,DC=com",
    "group_mapping": {"mathematicians": "group2", "analyst": "group3"},
}

USER = {
    "id": int,
    "email": str,
    "first_name": str,
    "last_name": str,
    "last_login": (str, type(None)),
    "date_joined": str,
    "is_active": bool,
    "is_superuser": bool,
    "role": {"id": str, "name": str},
    "groups": list,
    "password_reset_in_progress": bool,
}
CONNECTION = {"alias": str, "command": str, "frequency": str, "id": int, "project": int, "system": str}
OF_LDAP = {"alias": str, "command": str, "frequency": str, "id": int, "inaccessible": bool, "system": str}


def types(values: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of an object: its names, with the types of their values."""
    return {name: types(value) if isinstance(value, dict) else type(value) for name, value in values.items()}


def job(connection: Mapping[str, Any], params: Mapping[str, Any], *, person: Any = str) -> dict[str, Any]:
    """The shape of a job of a connection."""
    return {
        "id": int,
        "user": person,
        "triggered_by": person,
        "succeeded": bool,
        "automatic": bool,
        "ready": bool,
        "result_message": str,
        "last_run": str,
        "attachment": (str, type(None)),
        "connection": {**connection, "params": types(params)},
    }


def differing(value: Any, shape: Any, where: str = "answer") -> list[str]:
    """What of a shape an answer doesn't have. It may have more: later pages show more."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is {type(value).__name__}, not an object"]
        found = [f"{where} has no {name}" for name in shape if name not in value]
        return found + [
            line
            for name, part in shape.items()
            if name in value
            for line in differing(value[name], part, f"{where}.{name}")
        ]
    if isinstance(value, bool) and shape is int:
        return [f"{where} is a Boolean"]
    return [] if isinstance(value, shape) else [f"{where} is {type(value).__name__}"]


KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "alm": ("rally", ALM, CONNECTION),
    "analysis": ("whitehat", SCANNER, CONNECTION),
    "ldap": ("ldap", LDAP, OF_LDAP),
}


class Site:
    """A server with what the pages' requests speak of, and curl."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.project = server.project()
        server.database.write(
            lambda c: accounts.create_user(
                c, email="root@example.com", now=server.clock(), role=Role.ADMINISTRATOR, is_superuser=True
            )
        )
        self.token = server.token(Scope.ADMIN, email="root@example.com")

    def connection(self, kind: str, params: Mapping[str, Any] | None = None) -> int:
        """A connection as the pages show one of this kind, with a job that succeeded."""
        system, usual, _ = KINDS[kind]
        made = self.server.connection(
            system,
            project_id=self.project if kind != "ldap" else None,
            params=dict(params or usual),
            alias="My Connection",
        )
        self.server.finished_jobs(made, 1, kind=kind, uuid=f"{kind}-{made}")
        return made

    def ask(self, method: str, path: str, body: object = None, *, colon: bool = False) -> tuple[int, Any]:
        """Send a request as the pages print it: the token in quotes, perhaps a colon before it."""
        scheme = "Token:" if colon else "Token"
        arguments = [
            "-X",
            method,
            "-H",
            "Accept: application/json",
            "-H",
            f'Authorization: {scheme} "{self.token}"',
        ]
        if body is not None:
            arguments += ["-d", json.dumps(body)]
        status, text = curl(*arguments, f"{self.server.base}/api/v2/{path}")
        return status, json.loads(text) if text else None


@pytest.fixture
def site(server: Running) -> Site:
    """The server that the requests are sent to."""
    return Site(server)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_jobs(site: Site, kind: str) -> None:
    """Jobs of all kinds and of one, plain and with users expanded."""
    site.connection(kind)
    _, params, connection = KINDS[kind]
    for path in ("jobs/", f"jobs/{kind}/"):
        for query, colon, person in (("", False, str), ("?expand=user,triggered_by", True, (str, dict))):
            status, answer = site.ask("GET", f"{path}{query}", colon=colon)
            assert status == 200
            (found,) = answer["results"]
            assert differing(found, job(connection, params, person=person)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_expanded(site: Site, kind: str) -> None:
    """With ``expand`` the user and who triggered the job are objects, with role and groups."""
    ident = site.connection(kind)
    site.ask("POST", f"jobs/{kind}/", {"connection": ident, "automatic": False, "ready": False})
    status, answer = site.ask("GET", f"jobs/{kind}/?expand=user,triggered_by", colon=True)
    assert status == 200
    for field in ("user", "triggered_by"):
        assert differing(answer["results"][0][field], USER) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_job(site: Site, kind: str) -> None:
    """A job by its number, with and without the slash that the page leaves out."""
    ident = site.connection(kind)
    _, params, connection = KINDS[kind]
    status, listed = site.ask("GET", f"jobs/{kind}/?connection={ident}")
    number = listed["results"][0]["id"]
    for slash in ("", "/"):
        status, answer = site.ask("GET", f"jobs/{kind}/{number}{slash}")
        assert (status, differing(answer, job(connection, params))) == (200, [])
        assert answer["id"] == number


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("older", [False, True])
def test_a_run_is_started(site: Site, kind: str, *, older: bool) -> None:
    """``ready: false`` queues a run: 201, not ready, not succeeded, no message."""
    ident = site.connection(kind)
    _, params, connection = KINDS[kind]
    path = f"projects/{site.project}/jobs/{kind}/" if older and kind != "ldap" else f"jobs/{kind}/"
    body = {"connection": ident, "automatic": False, "ready": False}
    status, answer = site.ask("POST", path, body)
    assert (status, differing(answer, job(connection, params))) == (201, [])
    assert (answer["ready"], answer["succeeded"], answer["result_message"]) == (False, False, "")
    assert answer["connection"]["id"] == ident


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("older", [False, True])
def test_a_result_is_posted(site: Site, kind: str, *, older: bool) -> None:
    """A result makes a finished row, which says what was posted; LDAP's address in capitals, too."""
    ident = site.connection(kind)
    _, params, connection = KINDS[kind]
    path = f"projects/{site.project}/jobs/{kind}/" if older and kind != "ldap" else f"jobs/{kind}/"
    if older and kind == "ldap":
        path = "jobs/LDAP/"
    body = {"connection": ident, "result_message": "My Message", "succeeded": True, "automatic": True}
    status, answer = site.ask("POST", path, body)
    assert (status, differing(answer, job(connection, params))) == (201, [])
    assert (answer["ready"], answer["succeeded"], answer["automatic"]) == (True, True, True)
    assert answer["result_message"] == "My Message"


def test_a_report_is_sent(site: Site, tmp_path: Path) -> None:
    """A file makes a job and a connection of its own, whose ids stand where names do elsewhere."""
    report = tmp_path / "report.xml"
    report.write_text('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<ReportDefinition/>')
    status, text = curl(
        "-H",
        "Accept: application/json",
        "-H",
        f'Authorization: Token "{site.token}"',
        "-F",
        f"report_file=@{report};type=text/xml",
        "-F",
        "system=fortify_file_upload",
        "-F",
        f"project={site.project}",
        f"{site.server.base}/api/v2/jobs/analysis-file/",
    )
    answer = json.loads(text)
    shape = job(
        {
            **CONNECTION,
            "system": {"id": str, "short_name": str, "name": str},
            "in_progress": bool,
            "connector": type(None),
            "debug_mode": bool,
            "is_file_upload": bool,
        },
        {"file_upload": "", "sde_project": 1, "sde_businessunit": 1, "sde_application": 1},
    )
    assert (status, differing(answer, shape)) == (201, [])
    assert answer["attachment"] == "report.xml"
    assert answer["connection"]["alias"] == "File Upload Connection - Fortify"
    assert answer["connection"]["params"]["file_upload"] == "report.xml"


def test_ldap_jobs_of_the_older_page(site: Site) -> None:
    """``group_query`` and the inline ``group_mapping`` come back as they were stored."""
    ident = site.connection("ldap", OLD_LDAP)
    status, answer = site.ask("GET", f"jobs/ldap/?connection={ident}")
    assert status == 200
    assert differing(answer["results"][0], job(OF_LDAP, OLD_LDAP)) == []
    assert answer["results"][0]["connection"]["params"]["group_mapping"] == OLD_LDAP["group_mapping"]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("automatic=true", 0),
        ("automatic=False", 2),
        ("ready=1", 1),
        ("ready=0", 1),
        ("succeeded=TRUE", 1),
        ("succeeded=false", 1),
        ("connection=1", 2),
        ("connection=99", 0),
        ("user=root@example.com", 1),
        ("user=nobody@example.com", 0),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_filters(site: Site, kind: str, query: str, number: int) -> None:
    """Each filter that the pages name narrows the list, on all jobs and on those of the kind."""
    ident = site.connection(kind)
    site.ask("POST", f"jobs/{kind}/", {"connection": ident, "automatic": False, "ready": False})
    for path in ("jobs/", f"jobs/{kind}/"):
        status, answer = site.ask("GET", f"{path}?{query}")
        assert (status, len(answer["results"])) == (200, number)


MAPPING = {"id": int, "last_modified": str, "ldap_group": str, "sde_group": {"id": str, "name": str}}


def test_group_mappings(site: Site) -> None:
    """Each request on group mappings, in the order in which the page prints them."""
    ident = site.connection("ldap")
    _, group = site.ask("POST", "groups/", {"name": "group_1"})
    path = f"connections/ldap/{ident}/group-mappings/"
    body = {"ldap_group": "developers", "sde_group": group["id"]}
    status, made = site.ask("POST", path, body)
    assert (status, differing(made, MAPPING)) == (201, [])
    status, listed = site.ask("GET", path)
    assert (status, listed["results"]) == (200, [made])
    status, found = site.ask("GET", f"{path}?search=group_1")
    assert (status, found["results"]) == (200, [made])
    status, changed = site.ask("PUT", f"{path}{made['id']}/", {"id": 1, **body})
    assert (status, differing(changed, MAPPING)) == (200, [])
    assert site.ask("DELETE", f"{path}{made['id']}/") == (204, None)
