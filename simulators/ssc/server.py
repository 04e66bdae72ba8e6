"""The HTTP server: tokens, envelopes, paging by start and limit, uploads in every state."""

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "c3NjLXNpbXVsYXRvci10b2tlbi0wMDAw"  # noqa: S105 - the imitation's own
BASE = "/ssc/api/v1"
DEFAULT_LIMIT = 200

_NAME = re.compile(r'name:"([^"]*)"')
_ID = re.compile(r"id:(\d+)")
_PERSONAL = ("suppressed", "hidden", "removed")


@dataclass(kw_only=True)
class Version:
    """A version of an application, with its issues and what was uploaded to it."""

    id: int
    project: str
    name: str
    active: bool = True
    committed: bool = True
    issues: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)

    def find(self, number: int, category: str, **fields: Any) -> None:
        """Add an issue of a category."""
        self.issues.append(
            {
                "id": number,
                "issueInstanceId": f"{number:032X}",
                "issueName": category,
                "friority": "High",
                "fullFileName": "src/Cart.java",
                "primaryLocation": "Cart.java",
                "lineNumber": number,
                "primaryRuleGuid": "RULE",
                "primaryTag": None,
                "suppressed": False,
                "hidden": False,
                "removed": False,
                "kingdom": "Input Validation and Representation",
                **fields,
            }
        )

    def upload(self, day: int, status: str = "PROCESS_COMPLETE") -> None:
        """Add the upload of a scan of this day of January."""
        when = f"2026-01-{day:02}T10:00:00.000+00:00"
        number = len(self.artifacts) + 1
        self.artifacts.append(
            {"id": number, "status": status, "uploadDate": when, "lastScanDate": when, "purged": False}
        )


@dataclass
class Center:
    """The server, on its own thread. ``troubles`` are what goes wrong with the requests to come."""

    versions: list[Version] = field(default_factory=list)
    token: str = TOKEN
    host: str = "127.0.0.1"
    port: int = 0
    log: list[str] = field(default_factory=list)
    troubles: deque[str] = field(default_factory=deque)  # "503", "page for people", "dropped"
    before_answer: Callable[[str, int], None] = lambda _path, _number: None  # path, how many before it
    hide: int = 0  # issues that pages leave out though they are counted
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> "Center":
        """Begin to answer."""
        handler = type("Handler", (_Handler,), {"center": self})
        self._server = ThreadingHTTPServer((self.host, self.port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._server.server_address[0]!s}:{self._server.server_port}"

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, asked: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and envelope."""
        self.before_answer(path, sum(1 for line in self.log[:-1] if urlsplit(line).path == path))
        if not path.startswith(f"{BASE}/"):
            return _error(404, "Not found")
        with self.lock:
            match path.removeprefix(f"{BASE}/").split("/"):
                case ["projectVersions"]:
                    return self._list([_shown(one) for one in self._fitting(asked)], asked)
                case ["projectVersions", number, "artifacts"]:
                    version = self._version(number)
                    rows = None if version is None else version.artifacts
                case ["projectVersions", number, "issues"]:
                    if "q" in asked and "qm" not in asked:
                        return _error(400, "qm is required with q")
                    version = self._version(number)
                    rows = None if version is None else _issues(version, asked)
                    if rows is not None:
                        return self._list(rows, asked, hide=self.hide)
                case _:
                    rows = None
        return _error(404, "Not found") if rows is None else self._list(rows, asked)

    def _version(self, number: str) -> Version | None:
        return next((one for one in self.versions if str(one.id) == number), None)

    def _fitting(self, asked: Mapping[str, str]) -> list[Version]:
        found = [one for one in self.versions if one.active or asked.get("includeInactive") == "true"]
        if name := _NAME.fullmatch(asked.get("q", "")):
            return [one for one in found if one.name == name[1]]
        if number := _ID.fullmatch(asked.get("q", "")):
            return [one for one in found if str(one.id) == number[1]]
        return found

    def _list(
        self, rows: list[dict[str, Any]], asked: Mapping[str, str], *, hide: int = 0
    ) -> tuple[int, dict[str, Any]]:
        start, limit = int(asked.get("start", "0")), int(asked.get("limit", str(DEFAULT_LIMIT)))
        end = None if limit <= 0 else start + limit
        fields = set(asked.get("fields", "").split(",")) - {""}
        kept = rows[: len(rows) - hide][start:end]
        data = [{k: v for k, v in row.items() if not fields or k in fields} for row in kept]
        return 200, {"data": data, "count": len(rows), "responseCode": 200, "links": {}}


def _shown(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "name": version.name,
        "active": version.active,
        "committed": version.committed,
        "project": {"id": 1, "name": version.project},
        "currentState": {"id": version.id},
    }


def _issues(version: Version, asked: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        one
        for one in version.issues
        if all(not one[kind] or asked.get(f"show{kind}") == "true" for kind in _PERSONAL)
    ]


def _error(status: int, text: str) -> tuple[int, dict[str, Any]]:
    return status, {"message": text, "responseCode": status, "errorCode": -1, "stackTrace": None}


class _Handler(BaseHTTPRequestHandler):
    center: Center
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer."""
        url, center = urlsplit(self.path), self.center
        with center.lock:
            center.log.append(self.path)
            trouble = center.troubles.popleft() if center.troubles else ""
        if trouble:
            self._trouble(trouble)
        elif self.headers.get("Authorization") != f"FortifyToken {center.token}":
            self._json(*_error(401, f"Access Denied: {self.headers.get('Authorization')}"))
        else:
            self._json(*center.answer(url.path, dict(parse_qsl(url.query))))

    def _trouble(self, kind: str) -> None:
        match kind:
            case "503":
                self._json(503, {"message": "Seeding"})
            case "dropped":
                self.close_connection = True
            case _:
                self._send(200, "text/html", "<html>SSC is being upgraded</html>")

    def do_POST(self) -> None:
        """Refuse: nothing that an importer asks for is written."""
        self._json(*_error(405, "Method not allowed"))

    def _json(self, status: int, value: Any) -> None:
        self._send(status, "application/json", json.dumps(value))

    def _send(self, status: int, kind: str, text: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Nothing: ``Center.log`` has the requests."""


def sample() -> Center:
    """A center with two versions of a web shop, the newer one with some issues."""
    first = Version(id=10000, project="Webshop", name="1.0", active=False)
    second = Version(id=10001, project="Webshop", name="2.0")
    for number, category in enumerate(
        ("SQL Injection", "Cross-Site Scripting: Reflected", "Path Manipulation"), start=1
    ):
        second.find(number, category)
    second.find(4, "Log Forging", primaryTag="Not an Issue")
    second.upload(8)
    return Center(versions=[first, second])
