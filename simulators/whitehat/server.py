"""The HTTP server: keys, formats, filters, both ways of paging, and bad days."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape, quoteattr

from simulators.whitehat import shapes
from simulators.whitehat.estate import Asset, Estate

LARGEST_PAGE = 1000
DEFAULT_PAGE = 500
DEFAULT_PAGE_V2 = 50
WINDOW = 10.0  # seconds
REQUESTS_IN_WINDOW = 3000


@dataclass(kw_only=True)
class Trouble:
    """Something that goes wrong, for as many requests whose path begins so."""

    kind: str  # "overload", "429", "truncated", "dropped", "page for people", "forbidden"
    path: str = "/api"
    times: int = 1


@dataclass
class Behaviour:
    """How the server behaves; tests change it while it runs."""

    troubles: deque[Trouble] = field(default_factory=deque)
    before_answer: Callable[[str, int], None] = lambda _path, _number: None  # path, how many before it
    requests_in_window: int = REQUESTS_IN_WINDOW
    largest_page: int = LARGEST_PAGE
    hide: int = 0  # findings that pages leave out though they are counted


class Problem(Exception):
    """A request that can't be answered with what it asks for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Sentinel:
    """The server, on its own thread. ``log`` has each request's path and query, without the key."""

    def __init__(self, estate: Estate, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.estate = estate
        self.behaviour = Behaviour()
        self.log: list[str] = []
        self.keys_in_urls = 0
        self._times: deque[float] = deque()
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._server.server_address[0]!s}:{self._server.server_port}"

    def start(self) -> "Sentinel":
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- one request ---------------------------------------------------------------------

    def trouble_for(self, path: str) -> str | None:
        """What goes wrong with this request, if anything does."""
        with self.estate.lock:
            now = time.monotonic()
            self._times.append(now)
            while self._times and self._times[0] < now - WINDOW:
                self._times.popleft()
            if len(self._times) > self.behaviour.requests_in_window:
                return "overload"
            for trouble in self.behaviour.troubles:
                if trouble.times > 0 and path.startswith(trouble.path):
                    trouble.times -= 1
                    return trouble.kind
        return None

    def answer(self, path: str, asked: Mapping[str, str], *, wants_json: bool) -> tuple[str, str]:
        """Content type and body for an authorised request; ``Problem`` if there is none."""
        self.behaviour.before_answer(path, sum(1 for line in self.log[:-1] if urlsplit(line).path == path))
        parts = path.strip("/").split("/")
        if parts[:1] != ["api"]:
            raise Problem(404, "Not Found")
        with self.estate.lock:
            match parts[1:]:
                case ["whoami"]:
                    return _json({"id": 81197, "username": "importer@example.com", "isAdmin": False})
                case ["site"]:
                    return self._list("site", "sites", wants_json=wants_json)
                case ["application"]:
                    return self._list("application", "collection", wants_json=wants_json)
                case ["assets"] | ["v2", "assets"]:
                    return _json(_v2_page([shapes.v2_asset(one) for one in self.estate.assets], asked))
                case ["vuln"]:
                    return self._findings(asked, wants_json=wants_json)
                case ["findings"] | ["v2", "findings"]:
                    return self._v2_findings(asked)
                case ["site", sub, "last_completed_scans"]:
                    return self._site_scans(self._asset("site", sub))
                case ["sourceApplications", sub, "scans"]:
                    return self._application_scans(self._asset("application", sub), asked)
        raise Problem(404, "Not Found")

    def _asset(self, kind: str, sub: str) -> Asset:
        found = self.estate.asset(kind, int(sub)) if sub.isdigit() else None
        if found is None:
            raise Problem(404, f"No such {kind}")
        return found

    def _list(self, kind: str, key: str, *, wants_json: bool) -> tuple[str, str]:
        found = [one for one in self.estate.assets if one.kind == kind]
        if wants_json:
            return _json({key: [{"id": str(one.sub), "label": one.name} for one in found]})
        rows = "".join(f'<{kind} id="{one.sub}" label={quoteattr(one.name)}/>' for one in found)
        return "application/xml", f'<{kind}s xmlns="http://whitehatsec.com/XML-api-Site">{rows}</{kind}s>'

    def _findings(self, asked: Mapping[str, str], *, wants_json: bool) -> tuple[str, str]:
        found = [one for one in self.estate.findings if _wanted(one, asked)]
        order = asked.get("page:order_by", "id")
        found.sort(key=lambda one: (str(one.get(order, "")).rjust(12), str(one.get("id")).rjust(12)))
        limit = min(_number(asked, "page:limit", DEFAULT_PAGE), self.behaviour.largest_page)
        offset = _number(asked, "page:offset", 0)
        shown = found[: len(found) - self.behaviour.hide][offset : offset + limit]
        rows = [shapes.v1_json(one, asked) for one in shown]
        if not wants_json:
            query = "&".join(f"{k}={v}" for k, v in asked.items())
            return "application/xml", shapes.v1_xml(rows, query=query, total=len(found))
        page = {"total": len(found), "limit": limit, "offset": offset, "order_by": order}
        return _json({"collection": rows, "page": page})

    def _v2_findings(self, asked: Mapping[str, str]) -> tuple[str, str]:
        fields = set(asked.get("fields", "").split(","))
        shown = [
            shapes.v2_finding(one, asset, fields)
            for asset in self.estate.assets
            for one in self.estate.of(asset)
        ]
        return _json(_v2_page(shown, asked))

    def _site_scans(self, asset: Asset) -> tuple[str, str]:
        scans = [
            {"end_date": str(end), "auth_schema_id": 1, "scan_instance_id": str(end), "is_non_auth": 0}
            for end in sorted(asset.scans, reverse=True)
        ]
        path = f"/api/site/{asset.sub}/last_completed_scans/"
        return _json(
            {
                "slot_id": str(asset.sub),
                "has_running_scan": int(asset.running),
                "collection": scans,
                "total": len(scans),
                "href": path,
            }
        )

    def _application_scans(self, asset: Asset, asked: Mapping[str, str]) -> tuple[str, str]:
        scans = [
            {"id": end, "appID": asset.sub, "status": "completed", "completedOn": _offset_form(end)}
            for end in sorted(asset.scans)
        ]
        if asset.running:
            scans.append({"id": 0, "appID": asset.sub, "status": "running", "completedOn": None})
        return _json(_v2_page(scans, asked))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sentinel = self

        class Handler(_Handler):
            server_of = sentinel

        return Handler


class _Handler(BaseHTTPRequestHandler):
    server_of: Sentinel
    protocol_version = "HTTP/1.1"
    server_version = "whitehat-security"
    timeout = 60

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        path = url.path.rstrip("/")  # both forms are taken
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        key = asked.pop("key", None)
        sentinel = self.server_of
        with sentinel.estate.lock:
            sentinel.keys_in_urls += key is not None
            sentinel.log.append(f"{path}?{'&'.join(f'{k}={v}' for k, v in asked.items())}")
        wants_json = _wants_json(asked, self.headers.get("Accept", ""))
        trouble = sentinel.trouble_for(path)
        if trouble is not None and self._trouble(trouble):
            return
        try:
            self._check_key(key)
            kind, body = sentinel.answer(path, asked, wants_json=wants_json)
        except Problem as problem:
            self._send(problem.status, *_explained(problem, wants_json=wants_json))
            return
        self._send(200, kind, body, keep=len(body) // 2 if trouble == "truncated" else None)

    def do_POST(self) -> None:
        """Refuse: nothing that an importer asks for is written."""
        self._send(405, "text/plain", "Method Not Allowed")

    def _check_key(self, key: str | None) -> None:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("APID")
        given = self.headers.get("Key") or key or (cookie.value if cookie else None)
        if not given:
            raise Problem(401, "Authentication required")
        if given != self.server_of.estate.key:
            raise Problem(403, f"Key {given} is not valid")

    def _trouble(self, kind: str) -> bool:
        """Answer as on a bad day; False if the answer itself is to be spoilt."""
        match kind:
            case "overload":
                self._send(500, "text/html", "<html><h1>Internal Server Error</h1></html>")
            case "429":
                self._send(429, "text/plain", "Too Many Requests", headers={"Retry-After": "0"})
            case "page for people":
                self._send(200, "text/html", "<html><h1>Scheduled maintenance</h1></html>")
            case "forbidden":
                self._send(403, "text/plain", "This key has no access")
            case "dropped":
                self.close_connection = True
            case _:
                return False
        return True

    def _send(
        self,
        status: int,
        kind: str,
        body: str,
        *,
        keep: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        raw = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[:keep])
        self.close_connection = self.close_connection or keep is not None

    def log_message(self, *_: Any) -> None:
        """Nothing: ``Sentinel.log`` has the requests."""


def _json(value: Any) -> tuple[str, str]:
    return "application/json", json.dumps(value)


def _wants_json(asked: Mapping[str, str], accept: str) -> bool:
    """v1 answers in XML unless it is told otherwise, in one of three ways."""
    if "format" in asked:
        return asked["format"] == "json"
    return "json" in asked.get("accept_fmt", accept)


def _explained(problem: Problem, *, wants_json: bool) -> tuple[str, str]:
    if wants_json:
        return _json({"message": problem.text})
    return "application/xml", f"<error>{escape(problem.text)}</error>"


def _number(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not text.isdigit():
        raise Problem(400, f"{name} must be a number")
    return int(text)


def _wanted(finding: Mapping[str, Any], asked: Mapping[str, str]) -> bool:
    for name in ("site", "application", "status", "severity", "class"):
        wanted = asked.get(f"query_{name}")
        if wanted is not None and str(finding.get(name)) not in wanted.split(","):
            return False
    return True


def _v2_page(rows: list[dict[str, Any]], asked: Mapping[str, str]) -> dict[str, Any]:
    limit = min(_number(asked, "limit", DEFAULT_PAGE_V2), LARGEST_PAGE)
    offset = _number(asked, "offset", 0)
    return {
        "page": {"totalCount": len(rows), "filteredCount": len(rows)},
        "collection": rows[offset : offset + limit],
    }


def _offset_form(end: int) -> str:
    """An instant as v2 writes it, with the offset of its own place."""
    return datetime.fromtimestamp(end, UTC).isoformat()
