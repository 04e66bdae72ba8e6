"""The requests that the original's pages print, sent with curl to a daemon as they stand there.

Compared are the status, and the names and types of all fields that the pages show. Where two
versions of a page differ, both are here.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.server.site import PROJECT, Site

pytestmark = pytest.mark.xdist_group("daemon")

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


class Printed(NamedTuple):
    """A request as a page prints it, with the names of what it sends."""

    page: str
    method: str
    path: str  # below /api/v2/
    fields: frozenset[str] = frozenset()


NEWER, OLDER, MAPPINGS = "newer", "older", "group mappings"
START = frozenset({"automatic", "connection", "ready"})
RESULT = frozenset({"automatic", "connection", "result_message", "succeeded"})
MAPPING_FIELDS = frozenset({"ldap_group", "sde_group"})
_EXPAND = "?expand=user,triggered_by"
_MAPPINGS = "connections/ldap/1/group-mappings/"

TABLE = (
    Printed(NEWER, "GET", "jobs/"),
    Printed(NEWER, "GET", f"jobs/{_EXPAND}"),
    *(
        row
        for kind in ("alm", "analysis", "ldap")
        for row in (
            Printed(NEWER, "GET", f"jobs/{kind}/"),
            Printed(NEWER, "GET", f"jobs/{kind}/{_EXPAND}"),
            Printed(NEWER, "GET", f"jobs/{kind}/{{job_id}}"),
            Printed(NEWER, "POST", f"jobs/{kind}/", START),
            Printed(NEWER, "POST", f"jobs/{kind}/", RESULT),
        )
    ),
    Printed(NEWER, "POST", "jobs/analysis-file/", frozenset({"report_file", "system", "project"})),
    *(
        row
        for kind, before in (("alm", "projects/1/"), ("analysis", "projects/1/"), ("ldap", ""))
        for row in (
            Printed(OLDER, "GET", f"jobs/{kind}/"),
            Printed(OLDER, "GET", f"jobs/{kind}/{{job_id}}"),
            Printed(OLDER, "POST", f"{before}jobs/{kind}/", START),
            Printed(OLDER, "POST", f"{before}jobs/{kind}/", RESULT),
        )
    ),
    Printed(MAPPINGS, "GET", _MAPPINGS),
    Printed(MAPPINGS, "POST", _MAPPINGS, MAPPING_FIELDS),
    Printed(MAPPINGS, "PUT", f"{_MAPPINGS}1/", MAPPING_FIELDS | {"id"}),
    Printed(MAPPINGS, "DELETE", "connections/ldap/{connection_id}/group-mappings/{group_mapping_id}/"),
)
"""Every request that the pages print; each row is replayed below."""

KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "alm": ("Rally", ALM, CONNECTION),
    "analysis": ("Whitehat", SCANNER, CONNECTION),
    "ldap": ("LDAP", LDAP, OF_LDAP),
}
MAPPING = {"id": int, "last_modified": str, "ldap_group": str, "sde_group": {"id": str, "name": str}}
FILE_JOB: dict[str, Any] = job(
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


class Stage:
    """What the requests speak of: a connection of each kind with a finished job, and a group."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.params = {kind: params for kind, (_, params, _) in KINDS.items()}
        self.connections = {kind: self.add(kind) for kind in KINDS}
        self.jobs = {kind: site.finished(kind, ident) for kind, ident in self.connections.items()}
        self.old = self.add("ldap", OLD_LDAP)
        site.finished("ldap", self.old)
        status, group = site.ask("POST", "groups/", {"name": "group_1"})
        assert status == 201
        self.group: str = group["id"]

    def add(self, kind: str, params: Mapping[str, Any] | None = None) -> int:
        """Add a connection as the pages show one of this kind."""
        system, usual, _ = KINDS[kind]
        given = dict(params or usual)
        if kind == "analysis":
            given["analysis_api_token"] = "key-that-the-page-leaves-out"
        return self.site.connection(kind, system, given)

    def mapping(self) -> tuple[str, int]:
        """A directory's connection with one group mapping; the mappings' path, and its number."""
        path = f"connections/ldap/{self.add('ldap')}/group-mappings/"
        status, made = self.site.ask("POST", path, {"ldap_group": "others", "sde_group": self.group})
        assert status == 201, made
        return path, made["id"]

    def shape(self, kind: str, *, person: Any = str) -> dict[str, Any]:
        """The shape of this kind's jobs."""
        return job(KINDS[kind][2], self.params[kind], person=person)


@pytest.fixture(scope="module")
def stage(site: Site) -> Stage:
    """The daemon with what the requests speak of."""
    return Stage(site)


def _named(row: Printed) -> str:
    sent = {START: "start", RESULT: "result"}.get(row.fields, "")
    return " ".join(word for word in (row.page, row.method, row.path, sent) if word)


JOBS = [row for row in TABLE if row.page != MAPPINGS and "file" not in row.path]


@pytest.mark.parametrize("row", JOBS, ids=_named)
def test_a_printed_request_about_jobs(stage: Stage, row: Printed) -> None:
    """It is answered with the printed status, and with all printed fields in their types."""
    found = re.search(r"jobs/(\w+)/", row.path)
    kind = found[1] if found else "alm"
    path = row.path.replace("{job_id}", str(stage.jobs[kind]))
    body: dict[str, Any] = {}
    if row.fields == START:
        body = {"automatic": False, "ready": False}
    elif row.fields == RESULT:
        body = {"automatic": True, "result_message": "My Message", "succeeded": True}
    if body:
        body["connection"] = stage.connections[kind]
    assert set(body) == row.fields
    # The pages that expand users print a colon behind the scheme.
    expanded = "expand" in row.path
    scheme = 'Token: "{token}"' if expanded else 'Token "{token}"'
    status, answer = stage.site.ask(row.method, path, body or None, authorization=scheme)
    assert status == (200 if row.method == "GET" else 201), answer
    shown = answer
    if "results" in answer:
        mine = [one for one in answer["results"] if one["connection"]["id"] == stage.connections[kind]]
        assert mine, "the list has none of this connection's jobs"
        shown = mine[0]
    assert differing(shown, stage.shape(kind, person=(str, dict) if expanded else str)) == []
    if row.fields == START:
        assert (shown["ready"], shown["succeeded"], shown["result_message"]) == (False, False, "")
    if row.fields == RESULT:
        assert (shown["ready"], shown["succeeded"], shown["automatic"]) == (True, True, True)
        assert shown["result_message"] == "My Message"


def test_a_printed_request_with_a_report(stage: Stage, tmp_path: Path) -> None:
    """A file makes a job and a connection of its own, whose ids stand where names do elsewhere."""
    report = tmp_path / "report.xml"
    report.write_text('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<ReportDefinition/>')
    form = {
        "report_file": f"@{report};type=text/xml",
        "system": "fortify_file_upload",
        "project": str(PROJECT),
    }
    status, answer = stage.site.ask("POST", "jobs/analysis-file/", form=form)
    assert (status, differing(answer, FILE_JOB)) == (201, [])
    assert answer["attachment"] == "report.xml"
    assert answer["connection"]["alias"] == "File Upload Connection - Fortify"
    assert answer["connection"]["params"]["file_upload"] == "report.xml"


@pytest.mark.parametrize("row", [row for row in TABLE if row.page == MAPPINGS], ids=_named)
def test_a_printed_request_about_group_mappings(stage: Stage, row: Printed) -> None:
    """Listed, added, changed, removed: each with the printed status and fields."""
    path, mapping = stage.mapping()
    if row.method in {"PUT", "DELETE"}:
        path += f"{mapping}/"
    values = {"id": mapping, "ldap_group": "developers", "sde_group": stage.group}
    body = {name: value for name, value in values.items() if name in row.fields} if row.fields else None
    status, answer = stage.site.ask(row.method, path, body)
    assert status == {"GET": 200, "POST": 201, "PUT": 200, "DELETE": 204}[row.method], answer
    if row.method == "DELETE":
        assert answer is None
        return
    for shown in answer["results"] if row.method == "GET" else [answer]:
        assert differing(shown, MAPPING) == []
        assert shown["sde_group"] == {"id": stage.group, "name": "group_1"}
    if row.method != "GET":
        assert answer["ldap_group"] == "developers"


PAGES = Path(__file__).parents[4] / "shared" / "seeds"
_PRINTED = re.compile(
    r"^(GET|POST|PUT|PATCH|DELETE) /api/v2/(\S+)(?: HTTP/1\.1)?\n(?:[A-Z][\w-]+: [^\n]*\n)+"
    r"(.*?)(?=^HTTP/1\.1|^Content-Type: application/json|^```|^Query|^\{\n +\"results|\Z)",
    re.MULTILINE | re.DOTALL,
)


_SENT = re.compile(r'^\s*"(\w+)":|name="(\w+)"', re.MULTILINE)


def test_no_printed_request_is_without_a_row() -> None:
    """Where the pages are at hand, the requests that they print are those of the table, each as often."""
    pages = [page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.txt"))]
    printed = [
        (
            method,
            path,
            frozenset(a or b for a, b in re.findall(r'^\s*"(\w+)":|name="(\w+)"', sent, re.MULTILINE)),
        )
        for page in pages
        if " /api/v2/" in page
        for method, path, sent in _PRINTED.findall(page)
    ]
    if not printed:
        pytest.skip("the original's pages are not at hand")
    assert Counter(printed) == Counter(row[1:] for row in TABLE)


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_expanded(stage: Stage, kind: str) -> None:
    """With ``expand`` the user and who triggered the job are objects, with role and groups."""
    ident = stage.connections[kind]
    stage.site.ask("POST", f"jobs/{kind}/", {"connection": ident, "automatic": False, "ready": False})
    status, answer = stage.site.ask("GET", f"jobs/{kind}/?expand=user,triggered_by&connection={ident}")
    assert status == 200
    for field in ("user", "triggered_by"):
        assert differing(answer["results"][0][field], USER) == []


@pytest.mark.parametrize("kind", KINDS)
def test_rules_lines_are_answered_as_well(stage: Stage, kind: str) -> None:
    """With and without the last slash, the kind in capitals, and the older path for what has no project."""
    number = stage.jobs[kind]
    for path in (f"jobs/{kind}/{number}/", f"jobs/{kind.upper()}/{number}", f"jobs/{kind}/{number}"):
        status, answer = stage.site.ask("GET", path)
        assert (status, answer["id"]) == (200, number)
    body = {
        "connection": stage.connections[kind],
        "result_message": "",
        "succeeded": True,
        "automatic": True,
        "ready": True,
    }
    status, answer = stage.site.ask("POST", f"jobs/{kind.upper()}/", body)
    assert (status, answer["result_message"]) == (201, "")


def test_ldap_jobs_of_the_older_page(stage: Stage) -> None:
    """``group_query`` and the inline ``group_mapping`` come back as they were stored."""
    status, answer = stage.site.ask("GET", f"jobs/ldap/?connection={stage.old}")
    assert status == 200
    assert differing(answer["results"][0], job(OF_LDAP, OLD_LDAP)) == []
    assert answer["results"][0]["connection"]["params"]["group_mapping"] == OLD_LDAP["group_mapping"]


def test_group_mappings_are_searched(stage: Stage) -> None:
    """All words of ``search`` must be found, in the LDAP group or in ours."""
    path, _ = stage.mapping()
    for words, there in (("others", True), ("group_1", True), ("OTHERS+group", True), ("others+none", False)):
        status, found = stage.site.ask("GET", f"{path}?search={words}")
        assert (status, bool(found["results"])) == (200, there), words


@pytest.mark.parametrize("kind", KINDS)
def test_the_filters(stage: Stage, kind: str) -> None:
    """Each filter that the pages name narrows the list, on all jobs and on those of the kind."""
    ident = stage.add(kind)
    stage.site.finished(kind, ident)
    stage.site.ask("POST", f"jobs/{kind}/", {"connection": ident, "automatic": False, "ready": False})
    for query, number in (
        ("automatic=true", 1),
        ("automatic=False", 1),
        ("ready=1", 1),
        ("ready=0", 1),
        ("succeeded=TRUE", 1),
        ("succeeded=false", 1),
        ("user=ADMIN@localhost", 1),
        ("user=no-reply%2Brunner@localhost", 1),
        ("user=nobody@example.com", 0),
    ):
        for path in ("jobs/", f"jobs/{kind}/"):
            status, answer = stage.site.ask("GET", f"{path}?connection={ident}&{query}")
            assert (status, len(answer["results"])) == (200, number), (path, query)
    assert stage.site.ask("GET", "jobs/?connection=99999") == (200, {"results": []})
