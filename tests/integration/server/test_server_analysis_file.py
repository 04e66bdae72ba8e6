"""Reports come in: ``POST /jobs/analysis-file/``."""

import hashlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.server.sweep import remove_orphans
from runner.store.accounts import Scope
from runner.store.schema import uploads
from tests.integration.server.kit import Client, Running, curl

REPORT = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<ReportDefinition type="xml"/>\n'


def send(client: Client, project: int | str, content: bytes = REPORT, **more: Any) -> requests.Response:
    """Send a report as ``requests`` does."""
    name = more.pop("name", "report.xml")
    data = {"system": "fortify_file_upload", "project": str(project), **more}
    return client.post("jobs/analysis-file/", data=data, files={"report_file": (name, content, "text/xml")})


def stored(server: Running) -> list[Path]:
    """The files in the uploads folder."""
    return sorted(server.services.uploads.iterdir())


def test_the_seeds_request_by_curl(server: Running, tmp_path: Path) -> None:
    """The documented multipart request, sent by curl, gives the fields and types of its answer."""
    project = server.project()
    report = tmp_path / "report.xml"
    report.write_bytes(REPORT)
    token = server.token(Scope.RUN, Scope.EDIT_VERIFICATION)
    status, body = curl(
        *("-H", "Accept: application/json", "-H", f'Authorization: Token "{token}"'),
        *("-F", f"report_file=@{report};type=text/xml", "-F", "system=fortify_file_upload"),
        *("-F", f"project={project}", f"{server.base}/api/v2/jobs/analysis-file/"),
    )
    assert status == 201
    shown = json.loads(body)
    connection = shown.pop("connection")
    assert {name: type(value) for name, value in shown.items()} == {
        "automatic": bool,
        "attachment": str,
        "id": int,
        "last_run": str,
        "ready": bool,
        "result_message": str,
        "succeeded": bool,
        "user": str,
        "triggered_by": str,
    }
    assert (shown["attachment"], shown["ready"], shown["automatic"]) == ("report.xml", False, False)
    expected = {
        "id": connection["id"],
        "alias": "File Upload Connection - Fortify",
        "system": {
            "id": "fortify_file_upload",
            "short_name": "Fortify",
            "name": "Fortify Software Security Center",
        },
        "frequency": "manually",
        "command": "import_fortify",
        "params": {
            "file_upload": "report.xml",
            "sde_project": project,
            "sde_businessunit": 1,
            "sde_application": 1,
        },
        "in_progress": True,
        "connector": None,
        "project": project,
        "debug_mode": False,
        "is_file_upload": True,
    }
    assert {name: connection.get(name, ...) for name in expected} == expected


def test_the_file_is_kept_whole_under_a_name_of_ours(server: Running) -> None:
    """Its bytes, size and digest are right, and any path of the sender's is gone."""
    content = bytes(range(256)) * 9000
    answer = send(server.admin(), server.project(), content, name="../../etc/../passwd")
    assert (answer.status_code, answer.json()["attachment"]) == (201, "passwd")
    (file,) = stored(server)
    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o600
    with server.database.read() as c:
        row = c.execute(uploads.select()).one()
    assert (row.file, row.name, row.size) == (file.name, "passwd", len(content))
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert server.engine.wakes == 1


def test_a_project_has_one_upload_connection_per_system(server: Running) -> None:
    """Two reports are two jobs of one connection; another project has its own."""
    client = server.admin()
    one, two = server.project("One"), server.project("Two")
    first, second, other = send(client, one), send(client, one), send(client, two)
    assert first.json()["id"] != second.json()["id"]
    assert first.json()["connection"]["id"] == second.json()["connection"]["id"]
    assert other.json()["connection"]["id"] != first.json()["connection"]["id"]


def test_params_are_validated_and_kept(server: Running) -> None:
    """``params`` is JSON text; the connector judges it; it stays for the next file."""
    client, project = server.admin(), server.project()
    good = send(client, project, params='{"import_behaviour": "combine"}')
    assert good.json()["connection"]["params"]["import_behaviour"] == "combine"
    assert send(client, project).json()["connection"]["params"]["import_behaviour"] == "combine"
    for wrong in ('{"refuse_me": 1}', "[]", "{", '{"a": NaN}', "[" * 100):
        answer = send(client, project, params=wrong)
        assert (answer.status_code, list(answer.json())) == (400, ["params"])
    assert len(stored(server)) == 2


def test_params_want_the_right_to_change_connections(server: Running) -> None:
    """With ``run`` alone a report may be sent, but not told how to be imported."""
    client, project = server.client(Scope.RUN), server.project()
    assert send(client, project).status_code == 201
    assert send(client, project, params='{"import_behaviour": "combine"}').status_code == 403
    assert send(server.client(Scope.READ, email="b@example.com"), project).status_code == 403
    assert len(stored(server)) == 1


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"system": "nothing"}, {"system"}),
        ({"system": ""}, {"system"}),
        ({"system": "rally"}, {"system"}),
        ({"system": "torn"}, {"system"}),
        ({"project": "99"}, {"project"}),
        ({"project": "Webshop"}, {"project"}),
        ({"project": ""}, {"project"}),
        ({"project": "9" * 40, "system": "x"}, {"project", "system"}),
        ({"content": b""}, {"report_file"}),
    ],
)
def test_wrong_fields_are_named_and_nothing_is_left(
    server: Running, change: dict[str, Any], fields: set[str]
) -> None:
    """A wrong form is 400, names its fields, and leaves no file and no job."""
    project = server.project()
    answer = send(server.admin(), **{"project": project, **change})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == fields
    assert stored(server) == []


def test_a_form_without_a_file(server: Running) -> None:
    """A missing file, one sent as text, and another type of body are told apart."""
    client, project = server.admin(), server.project()
    data = {"system": (None, "fortify_file_upload"), "project": (None, str(project))}
    missing = client.post("jobs/analysis-file/", files=data)
    assert missing.json() == {"report_file": ["No file was submitted."]}
    text = client.post("jobs/analysis-file/", files={**data, "report_file": (None, "<xml/>")})
    assert "not a file" in text.json()["report_file"][0]
    assert client.post("jobs/analysis-file/", json={"project": project}).status_code == 415
    assert (
        client.post("jobs/analysis-file/", data=b"x", headers={"Content-Type": "multipart/form-data"})
        .json()["detail"]
        .startswith("Multipart form parse error")
    )


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
@pytest.mark.parametrize("size", [3 * 2**20 + 1, 9 * 2**20])
def test_too_large_is_413(server: Running, size: int, declared: bool) -> None:
    """More than ``max_upload`` is refused by count, whatever the sender declares; nothing stays."""
    project = server.project()
    client = server.admin()
    request = requests.Request(
        "POST",
        f"{server.base}/api/v2/jobs/analysis-file/",
        data={"system": "fortify_file_upload", "project": str(project)},
        files={"report_file": ("r.xml", b"x" * size)},
        headers=dict(client.headers),
    ).prepare()
    assert isinstance(request.body, bytes)
    if not declared:
        body, pieces = request.body, range(0, len(request.body), 65536)
        del request.headers["Content-Length"]
        request.body = iter([body[at : at + 65536] for at in pieces])  # type: ignore[assignment]  # requests sends an iterator chunked
        request.headers["Transfer-Encoding"] = "chunked"
    answer = client.send(request)
    assert answer.status_code == 413
    assert str(3 * 2**20) in answer.json()["detail"]
    assert stored(server) == []
    assert send(client, project, b"x" * 3 * 2**20).status_code == 201


@pytest.mark.parametrize(
    "cut",
    [b"", b"--B\r\nContent-Disposition: form-data; name=report_file; filename=a\r\n\r\nabc", b"no form"],
)
def test_a_torn_form_leaves_nothing(server: Running, cut: bytes) -> None:
    """A form that ends early, or is none, is 400 without a trace."""
    client = server.admin()
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = client.post("jobs/analysis-file/", data=cut, headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert stored(server) == []


def test_a_sender_that_goes_away_leaves_nothing(server: Running) -> None:
    """When the connection breaks in the middle of the file, the file is removed."""
    client = server.admin()
    host = server.base.removeprefix("http://")
    wire = http.client.HTTPConnection(host)
    wire.putrequest("POST", "/api/v2/jobs/analysis-file/")
    wire.putheader("Authorization", str(client.headers["Authorization"]))
    wire.putheader("Content-Type", "multipart/form-data; boundary=B")
    wire.putheader("Content-Length", "2000000")
    head = b"--B\r\nContent-Disposition: form-data; name=report_file; filename=a\r\n\r\n"
    wire.endheaders(head + b"x" * 1_000_000)
    wire.close()
    # The server has seen the end of the connection once it answers the next request after it.
    for _ in range(200):
        client.get("/-/healthy")
        if not stored(server):
            break
    assert stored(server) == []


def test_two_files_in_one_form_are_refused(server: Running) -> None:
    """One report at a time; both are gone afterwards."""
    answer = server.admin().post(
        "jobs/analysis-file/", files=[("report_file", ("a", b"1")), ("report_file", ("b", b"2"))]
    )
    assert (answer.status_code, list(answer.json())) == (400, ["report_file"])
    assert stored(server) == []


def test_a_retry_runs_the_same_file_while_it_is_kept(server: Running) -> None:
    """A retry has the attachment of its job; once retention took the file it is 409."""
    client = server.admin()
    job = send(client, server.project()).json()["id"]
    client.post(f"jobs/analysis/{job}/cancel/")
    again = client.post(f"jobs/analysis/{job}/retry/")
    assert (again.status_code, again.json()["attachment"]) == (201, "report.xml")
    server.database.write(lambda c: c.execute(uploads.update().values(removed=1)).rowcount)
    client.post(f"jobs/analysis/{again.json()['id']}/cancel/")
    assert client.post(f"jobs/analysis/{job}/retry/").status_code == 409


def test_orphans_are_swept(server: Running) -> None:
    """A file that no row knows goes at the next start; one that a job needs stays."""
    send(server.admin(), server.project())
    (kept,) = stored(server)
    (server.services.uploads / "left").write_text("half a report")
    assert remove_orphans(server.services.uploads, server.database, youngest=0) == 1
    assert stored(server) == [kept]
    (server.services.uploads / "young").write_text("on its way in")
    assert remove_orphans(server.services.uploads, server.database) == 0
