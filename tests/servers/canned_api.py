"""A small API that gives canned answers over a real Unix socket, and remembers what it was asked."""

import contextlib
import json
import os
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

Type: TypeAlias = Callable[[str], tuple[int, str, str]]
"""Runs one command line: exit code, standard output, standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str  # below /api/v2/
    query: dict[str, str]
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class CannedApi:
    """Answers by method and path; a list of answers is given in turn, its last one for ever."""

    answers: dict[tuple[str, str], list[tuple[int, Any, dict[str, str]]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(
        self, method: str, path: str, body: Any, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """Give ``body`` (JSON, or bytes as they are) for a request; more calls queue further answers."""
        self.answers.setdefault((method, path), []).append((status, body, headers or {}))

    def listing(self, path: str, rows: list[dict[str, Any]]) -> None:
        """Give a page with all of ``rows``."""
        self.answer("GET", path, {"count": len(rows), "next": None, "previous": None, "results": rows})

    def of(self, method: str) -> list[Asked]:
        """What was asked with one method."""
        return [asked for asked in self.asked if asked.method == method]

    def take(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        """The next answer for a request."""
        self.asked.append(asked)
        waiting = self.answers.get((asked.method, asked.path))
        if not waiting:
            return 404, {"detail": "Not found."}, {}
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: CannedApi

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer, headers = self.api.take(
            Asked(
                method=self.command,
                path=parts.path.removeprefix("/api/v2/"),
                query=dict(parse_qsl(parts.query)),
                body=body,
                headers=dict(self.headers),
            )
        )
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the base class looks for these names

    def address_string(self) -> str:
        return "socket"  # a Unix socket's peer has no address

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Take it calmly when a client leaves before it has its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def served(api: CannedApi, path: Path) -> Iterator[None]:
    """Serve ``api`` at the Unix socket ``path``; its folder must exist."""
    handler = type("Handler", (_Handler,), {"api": api})
    here = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    with _Server(f"/proc/self/fd/{here}/{path.name}", handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            os.close(here)
            path.unlink(missing_ok=True)
