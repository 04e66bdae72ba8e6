"""The clients that people use, each against a daemon: requests, httpx and curl."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import requests

from tests.integration.server.site import PROJECT, Site

pytestmark = pytest.mark.xdist_group("daemon")


class Client(Protocol):
    """What each of them can."""

    def send(
        self, method: str, url: str, *, body: object = None, file: Path | None = None, token: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Send a request; its status, the headers by their names in lower case, and the body."""

    def close(self) -> None:
        """Let go of connections."""


class OfRequests:
    """``requests``, with a session."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def send(
        self, method: str, url: str, *, body: object = None, file: Path | None = None, token: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Send a request."""
        form: dict[str, Any] = {}
        if file is not None:
            form = {
                "files": {"report_file": (file.name, file.read_bytes(), "text/xml")},
                "data": {"system": "fortify_file_upload", "project": str(PROJECT)},
            }
        headers = {"Authorization": f"Token {token}"} if token else {}
        answer = self._session.request(method, url, json=body, headers=headers, timeout=60, **form)
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.text

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()


class OfHttpx:
    """``httpx``, with a client."""

    def __init__(self) -> None:
        self._client = httpx.Client(trust_env=False, timeout=60)

    def send(
        self, method: str, url: str, *, body: object = None, file: Path | None = None, token: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Send a request."""
        form: dict[str, Any] = {}
        if file is not None:
            form = {
                "files": {"report_file": (file.name, file.read_bytes(), "text/xml")},
                "data": {"system": "fortify_file_upload", "project": str(PROJECT)},
            }
        headers = {"Authorization": f"Token {token}"} if token else {}
        answer = self._client.request(method, url, json=body, headers=headers, **form)
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.text

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


class OfCurl:
    """``curl``, a process for each request."""

    def send(
        self, method: str, url: str, *, body: object = None, file: Path | None = None, token: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Send a request."""
        command = ["curl", "-sS", "--noproxy", "*", "-D", "-", "-X", method]
        if token:
            command += ["-H", f"Authorization: Token {token}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        if file is not None:
            command += ["-F", f"report_file=@{file};type=text/xml", "-F", "system=fortify_file_upload"]
            command += ["-F", f"project={PROJECT}"]
        done = subprocess.run([*command, url], capture_output=True, check=True, timeout=60)
        head, _, text = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, text = text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, text.decode()

    def close(self) -> None:
        """Nothing is kept between requests."""


@pytest.fixture(params=[OfRequests, OfHttpx, OfCurl], ids=["requests", "httpx", "curl"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """One of the three."""
    with contextlib.closing(request.param()) as made:
        yield made


@pytest.fixture(scope="module")
def connection(site: Site) -> int:
    """A connection to start jobs of."""
    return site.connection("ldap", "LDAP", {**_DIRECTORY, "bind_password": "hunter2-hunter2"})


_DIRECTORY = {
    "ldap_server": "ldap.example.com",
    "bind_dn": "CN=Reader,DC=example,DC=com",
    "base_dn": "DC=example,DC=com",
    "group_base_dn": "OU=Groups,DC=example,DC=com",
}


def test_jobs_are_started_ended_listed_and_paged(client: Client, site: Site, connection: int) -> None:
    """A run is asked for and its result posted; pages are followed by their links to the end."""
    root = f"{site.base}/api/v2"
    body: dict[str, object] = {"connection": connection, "automatic": False, "ready": False}
    status, headers, text = client.send("POST", f"{root}/jobs/ldap/", body=body, token=site.token)
    assert (status, headers["content-type"]) == (201, "application/json")
    number = json.loads(text)["id"]
    result = {"connection": connection, "automatic": False, "id": number, "succeeded": False}
    body = {**result, "result_message": "Grüße, 世界"}
    status, _, text = client.send("POST", f"{root}/jobs/ldap/", body=body, token=site.token)
    assert (status, json.loads(text)["result_message"]) == (201, "Grüße, 世界")
    for _ in range(3):
        client.send("POST", f"{root}/jobs/ldap/", body={**body, "id": None}, token=site.token)
    _, _, text = client.send("GET", f"{root}/jobs/ldap/?connection={connection}", token=site.token)
    whole = [one["id"] for one in json.loads(text)["results"]]
    assert number in whole
    url: str | None = f"{root}/jobs/ldap/?connection={connection}&page_size=2"
    paged: list[int] = []
    while url:
        status, _, text = client.send("GET", url, token=site.token)
        page = json.loads(text)
        assert (status, page["count"]) == (200, len(whole))
        paged += [one["id"] for one in page["results"]]
        url = page["next"]
    assert paged == whole


def test_a_report_is_sent(client: Client, site: Site, tmp_path: Path) -> None:
    """A form with a file, as each of them writes it."""
    report = tmp_path / "report.xml"
    report.write_text("<ReportDefinition/>")
    url = f"{site.base}/api/v2/jobs/analysis-file/"
    status, _, text = client.send("POST", url, file=report, token=site.token)
    assert (status, json.loads(text)["attachment"]) == (201, "report.xml")


def test_refusals_are_told(client: Client, site: Site, connection: int) -> None:
    """No token, a wrong field, no such thing, a wrong method: the status, and JSON that says why."""
    root = f"{site.base}/api/v2"
    status, headers, text = client.send("GET", f"{root}/jobs/")
    assert (status, headers["www-authenticate"]) == (401, "Token")
    assert json.loads(text) == {"detail": "Authentication credentials were not provided."}
    status, _, text = client.send("POST", f"{root}/jobs/ldap/", body={"ready": False}, token=site.token)
    assert (status, sorted(json.loads(text))) == (400, ["automatic", "connection"])
    status, _, text = client.send("GET", f"{root}/jobs/ldap/987654321/", token=site.token)
    assert (status, json.loads(text)) == (404, {"detail": "Not found."})
    status, headers, _ = client.send("DELETE", f"{root}/jobs/ldap/", token=site.token)
    assert (status, headers["allow"]) == (405, "GET, POST")
    ended = {"connection": connection, "automatic": True, "succeeded": True, "result_message": ""}
    _, _, text = client.send("POST", f"{root}/jobs/ldap/", body=ended, token=site.token)
    again = {**ended, "id": json.loads(text)["id"]}
    status, _, text = client.send("POST", f"{root}/jobs/ldap/", body=again, token=site.token)
    assert (status, json.loads(text)) == (409, {"detail": "The job has its result already."})
