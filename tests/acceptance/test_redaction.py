"""An hour of jobs with secrets everywhere, most of them failing: none is found in anything that is told.

The systems around are parrots: whatever a request carries comes back in the error that answers it, in all
the spellings that a server may have for it.
"""

import base64
import contextlib
import http.client
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from runner.cli.sockets import connect
from tests.servers.machine import Machine
from tests.servers.sites import Asked, Says, Site, serving
from tests.servers.waiting import PATIENCE, until
from tests.workbooks import write_xlsx

PLACES = (
    *("file", "environment", "credential", "literal", "api-alm", "api-ldap", "api-server"),
    *("ssc-token", "whitehat-token", "rally-password", "rally-token", "static-password"),
    *("remote-token", "remote-home", "remote-params", "writer-literal", "writer-file", "rotated"),
)
HEADER_ONLY = frozenset({"ssc-token", "whitehat-token", "rally-token", "remote-token"})
"""What travels in a header has the characters that a header may have."""


def planted(place: str) -> str:
    """The secret of a place: its own, and hard to spell."""
    return f'{place}"Gift/7+1=8&' + ("" if place in HEADER_ONLY else "ähm<>\nzweite-Zeile%" + place)


def spellings(text: str) -> set[str]:
    """In how many ways a text may be written down."""
    forms = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    forms |= {quote(text), quote(text, safe=""), quote_plus(text), escape(text)}
    for pad in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Of the middle: its ends depend on what stands around it.
            forms.add(encode(b"-" * pad + text.encode()).decode().rstrip("=")[4:-2])
    return forms


SECRETS = {place: planted(place) for place in PLACES}
LOOKED_FOR = {
    form: place
    for place, secret in SECRETS.items()
    for part in (secret, *secret.splitlines())
    for form in spellings(part)
}
STATUSES = (400, 401, 403, 404, 409, 422, 500, 200)


class Parrot:
    """Answers each request with an error that repeats all it was told; as a remote server it has a job."""

    def __init__(self) -> None:
        self.turn = itertools.count()
        self.jobs = itertools.count(1)
        self.heard: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Says:
        """Say it again."""
        said = [*asked.headers.values(), asked.target, asked.body.decode("utf-8", "replace")]
        said += [self._decoded(value) for value in asked.headers.values()]
        for text in said:
            self.heard.update(place for place, secret in SECRETS.items() if secret in text)
        turn = next(self.turn)
        if asked.method == "GET" and "/api/v2/jobs/alm/?" in asked.target and turn % 3 == 0:
            return Says(body=json.dumps({"results": [self._job()]}).encode())
        words = " | ".join(form for text in said for form in sorted(spellings(text)))
        status = STATUSES[turn % len(STATUSES)]
        if turn % 5 == 0:
            return Says(status=status, body=f"<html>{escape(words)}</html>".encode(), headers=_HTML)
        told = {"detail": words, "message": words, "error": {"message": words}}
        return Says(status=status, body=json.dumps(told, ensure_ascii=turn % 2 == 0).encode())

    def _decoded(self, value: str) -> str:
        with contextlib.suppress(ValueError):
            return base64.b64decode(value.rpartition(" ")[2], validate=True).decode("utf-8", "replace")
        return value

    def _job(self) -> dict[str, Any]:
        number = next(self.jobs)
        connection = {
            "id": 7,
            "type": "alm",
            "alias": "Far",
            "system": "acme_leaky",
            "inaccessible": True,
            "project": 1,
            "params": {"password": SECRETS["remote-params"], "end": "error", "server": "far.example.com"},
        }
        stamp = f"2026-01-01T00:00:00.{number:06}Z"
        return {"id": number, "ready": False, "automatic": False, "last_run": stamp, "connection": connection}


_HTML = {"Content-Type": "text/html; charset=utf-8"}


class Place:
    """A machine with secrets in its files, its environment and its connections."""

    def __init__(self, home: Path, plugins: Path, parrot: Site) -> None:
        self.home, self.parrot = home, f"127.0.0.1:{parrot.port}"
        self.told: dict[str, str] = {}
        for place in ("file", "credential", "remote-token", "remote-home", "writer-file", "rotated"):
            (home / place).write_text(SECRETS[place] + "\n", encoding="utf-8")
        (home / "books").mkdir()
        write_xlsx(home / "books" / "people.xlsx", [["First", "Last"], ["Ada", "King"]], sheet="Sheet1")
        self.machine = Machine(
            home / "state",
            {
                "RUNNER__SERVER__LISTEN": "",
                "PLANTED": SECRETS["environment"],
                "CREDENTIALS_DIRECTORY": str(home),
            },
        )
        self.config = home / "runner.toml"
        self.config.write_text(self._configuration(plugins), encoding="utf-8")

    def _configuration(self, plugins: Path) -> str:
        places = {
            "file": f"file:{self.home / 'file'}",
            "environment": "env:PLANTED",
            "credential": "credential:credential",
            "literal": SECRETS["literal"],
            "rotated": f"file:{self.home / 'rotated'}",
        }
        ends = itertools.cycle(("", "error", "defect"))
        declared = "".join(
            f"[[connection]]\nname = '{name}'\nsystem = 'acme_leaky'\nproject = 'Webshop'\n"
            f"params = {{ password = {json.dumps(value)}, end = '{next(ends)}' }}\n"
            for name, value in places.items()
        )
        return (
            f"[plugins]\npath = '{plugins}'\nallow = ['acme_leaky', 'acme_door']\n"
            "[engine]\nretry_delay = '0s'\nretries = 1\nconcurrency = 4\n[log]\nlevel = 'debug'\n"
            f"[datasync]\nfolders = ['{self.home / 'books'}']\n"
            f"[remote.far]\nurl = 'http://{self.parrot}'\ntoken = 'file:{self.home / 'remote-token'}'\n"
            "poll_interval = '250ms'\nkinds = ['alm']\n"
            f"[remote.far.secrets.'far.example.com']\nextra = 'file:{self.home / 'remote-home'}'\n"
            "[provider.Excel]\nworkbook = 'people.xlsx'\n"
            f"[provider.Literal]\nservers = '127.0.0.1:1'\nbind_dn = 'cn=writer'\n"
            f"password = {json.dumps(SECRETS['writer-literal'])}\n"
            f"[provider.File]\nservers = '{self.parrot}'\nbind_dn = 'cn=writer'\n"
            f"password = 'file:{self.home / 'writer-file'}'\n" + declared
        )

    def type(self, *words: object) -> str:
        """A command with this configuration; what it prints is kept."""
        done = self.machine.type(*words, "--config", self.config)
        self.told[f"{' '.join(map(str, words))} ({done.returncode})"] = done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, body: Any = None, method: str = "") -> Any:
        """The API as the local administrator uses it; what it answers is kept."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = connect(self.machine.state / "runner.sock", timeout=PATIENCE)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            method = method or ("GET" if body is None else "POST")
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read().decode("utf-8", "replace") + str(answer.headers)
        self.told[f"{method} {path} {len(self.told)} ({answer.status})"] = said
        with contextlib.suppress(ValueError):
            return json.loads(said.partition(str(answer.headers))[0])
        return None

    def connections(self) -> list[tuple[str, int]]:
        """Make one to each system there is, and tell all there are, each with its kind."""
        project = self.ask("/api/v2/projects/")["results"][0]["id"]
        for kind, system, params in self._wanted():
            body = {"alias": f"To {system}", "system": system, "params": params}
            if kind in ("alm", "analysis"):
                body["project"] = project
            self.ask(f"/api/v2/connections/{kind}/test/", body)
            self.ask(f"/api/v2/connections/{kind}/", {**body, "params": {**params, "alm_timeout": "x"}})
            made = self.ask(f"/api/v2/connections/{kind}/", body)
            assert "id" in made, made
        for provider in ("Literal", "File"):
            self.ask("/GroupIDDataService/api/DataSyncJobs", self._document(provider))
        server = {"name": "Center", "ip": "127.0.0.1", "port": "1", "username": "cn=reader"}
        server |= {"password": SECRETS["api-server"], "encryption": "none", "dn": "dc=acme,dc=example"}
        self.ask("/rest/ldap/test", server)
        self.ask("/rest/ldap", server)
        self.ask("/rest/ldap/1/test", {})
        found = self.ask("/api/v2/connections/")["results"]
        return [(row["kind"], row["id"]) for row in found]

    def _wanted(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield "alm", "acme_leaky", {"password": SECRETS["api-alm"], "end": "defect"}
        yield "ldap", "acme_door", {"password": SECRETS["api-ldap"], "lock": str(self.home / "file")}
        ssc = {"ssc_server": self.parrot, "ssc_method": "http", "ssc_authtoken": SECRETS["ssc-token"]}
        yield "analysis", "fortify_ssc", {**ssc, "ssc_project_name": "A", "ssc_project_version": "1"}
        hat = {"analysis_server": self.parrot, "analysis_method": "http", "asset_name": "Shop"}
        yield "analysis", "whitehat", {**hat, "analysis_api_token": SECRETS["whitehat-token"]}
        rally = {"alm_server": self.parrot, "alm_method": "http", "rally_workspace": "W", "alm_project": "P"}
        basic = {"alm_auth_mode": "basic", "alm_user": "me", "alm_pass": SECRETS["rally-password"]}
        yield "alm", "rally", {**rally, **basic}
        key = {"alm_auth_mode": "token", "alm_api_token": SECRETS["rally-token"]}
        yield "alm", "rally", {**rally, **key}
        for address in ("127.0.0.1:1", self.parrot):
            ldap = {"ldap_server": address, "ldap_method": "ldap", "bind_dn": "cn=reader,dc=acme,dc=example"}
            yield "ldap", "sync_ldap", {**ldap, "bind_password": SECRETS["api-ldap"], "timeout": 2}

    def _document(self, provider: str) -> dict[str, Any]:
        field = {"sourceField": "", "destinationField": "password", "objectType": 1}
        return {
            "jobInfo": {
                "name": f"To {provider}",
                "sourceProvider": "Excel",
                "destinationProvider": provider,
                "isEnable": True,
            },
            "fieldsMap": [
                {"sourceField": "First", "destinationField": "cn", "objectType": 1, "isKey": True},
                {**field, "transform": f"Static:value={SECRETS['static-password']}"},
            ],
            "objectsOption": [{"objectType": 1, "displayName": "User", "isCreate": True, "isSelected": True}],
            "syncQuery": [{"query": "SELECT * FROM [Sheet1$]", "queryType": "SQL", "isSource": True}],
            "settings": [{"key": "Destination.Container", "value": "ou=people,dc=acme"}],
        }

    def run(self, connections: list[tuple[str, int]], number: int) -> list[dict[str, Any]]:
        """Run the connections in turn until so many jobs have ended; the jobs."""
        for (kind, ident), turn in zip(itertools.cycle(connections), range(number), strict=False):
            body = {"connection": ident, "automatic": turn % 2 == 1, "ready": False}
            self.ask(f"/api/v2/jobs/{kind}/", {**body, "preview": turn % 7 == 6})
            if turn == number // 2:  # in mid-run somebody replaces a secret
                (self.home / "rotated").write_text(SECRETS["rotated"] + "\n", encoding="utf-8")

        def over() -> bool:
            with contextlib.closing(self.machine.client()) as client:
                rows = list(client.pages("jobs/", include="preview,reason"))
            return len(rows) >= number and all(row["ready"] for row in rows if row["connection"]["id"] in own)

        own = {ident for _, ident in connections}
        until("the end of all jobs", over, seconds=PATIENCE + number)
        found = self.ask("/api/v2/jobs/?include=preview,reason,progress,totals,outcome")
        rows: list[dict[str, Any]] = found["results"]
        return rows

    def read_all(self, jobs: list[dict[str, Any]], connections: list[tuple[str, int]]) -> None:
        """Every address of the API that can be read, every command that tells something."""
        described = self.ask("/api/openapi.json")["paths"]
        some = first_runs(jobs, connections)
        numbers = {"jobs": some, "connections": connections}
        for path, methods in described.items():
            if "get" not in methods or "events" in path:
                continue
            for filled in self._filled(path, numbers):
                self.ask(filled)
        for path in ("/", "/metrics", "/-/ready", "/-/healthy"):
            self.ask(path)
        for words in ("jobs list --previews", "changes list", "connections list", "status", "config show"):
            self.type(*words.split())
            self.type(*words.split(), "--json")
        for words in ("config show --origins", "check", "changes export", "changes export --format jsonl"):
            self.type(*words.split())
        self.type("db", "backup", self.home / "backup.db")
        for verb in ("show", "test", "export"):
            self.type("connections", verb, connections[0][1])
        for verb in ("show", "log", "changes"):
            self.type("jobs", verb, some[0][1])

    def _filled(self, path: str, numbers: Mapping[str, list[tuple[str, int]]]) -> Iterator[str]:
        """The addresses that a path of the description stands for."""
        if "{" not in path:
            yield path
            return
        known = next((pairs for name, pairs in numbers.items() if f"/{name}/" in path), [("alm", 1)])
        for kind, number in known:
            yield re.sub(r"{\w+}", str(number), path.replace("{kind}", kind))


def first_runs(jobs: list[dict[str, Any]], connections: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The first two runs of each connection, with its kind: the listings have all of them."""
    kinds = {ident: kind for kind, ident in connections}
    runs, found = Counter[int](), []
    for job in reversed(jobs):
        ident = job["connection"]["id"]
        runs[ident] += 1
        if ident in kinds and runs[ident] <= 2:
            found.append((kinds[ident], job["id"]))
    return found


def leaks(text: str) -> dict[str, str]:
    """Which places' secrets stand in a text, each with the words around it."""
    found = {}
    for form, place in LOOKED_FOR.items():
        if (at := text.find(form)) >= 0:
            found[place] = text[max(0, at - 120) : at + len(form) + 20]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [120, pytest.param(2000, marks=pytest.mark.torture)])
def test_an_hour_of_jobs_tells_no_secret(tmp_path: Path, plugins: Path, number: int) -> None:
    """Log, metrics, page, API, commands, journal, store and backup are without any secret in any spelling."""
    parrot = Parrot()
    with serving(parrot) as site:
        place = Place(tmp_path, plugins, site)
        with place.machine.daemon("--sample", "--config", str(place.config)):
            connections = place.connections()
            jobs = place.run(connections, number)
            place.read_all(jobs, connections)
    log = place.machine.state.with_name("daemon.log").read_text(encoding="utf-8")
    place.told["the log"] = log
    assert len(jobs) >= number
    assert len({job["reason"] for job in jobs}) >= 5
    assert sum(what.endswith("(200)") and what.startswith("GET") for what in place.told) > 100
    assert parrot.heard.keys() >= HEADER_ONLY | {"rally-password"}
    assert sum(text.count("********") for text in place.told.values()) > number
    found = {what: leaks(text) for what, text in place.told.items()}
    assert {what: places for what, places in found.items() if places} == {}
    kept = [*place.machine.state.glob("runner.db*"), place.home / "backup.db"]
    stored = {path.name: leaks(path.read_bytes().decode("utf-8", "replace")) for path in kept}
    assert {what: places for what, places in stored.items() if places} == {}
