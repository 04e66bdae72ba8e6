"""Web servers on loopback that answer as a test tells them, and note what they were asked."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    target: str  # path and query, or the whole URL if it came as to a proxy
    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True)
class Says:
    """An answer. ``cut`` bytes of the body are promised and never sent."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    silent: bool = False  # no answer at all: the connection is closed instead


Answer = Callable[[Asked], Says]


class Site:
    """One server; ``asked`` has the requests in their order."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.tunnels: list[str] = []
        self.answer = answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "http" if tls is None else "https"
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://localhost:{self.port}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that refuses the certificate just goes
                    super().handle()

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(
                    method=self.command, target=self.path, headers=dict(self.headers.items()), body=body
                )
                site.asked.append(asked)
                says = site.answer(asked)
                self.close_connection = says.silent or bool(says.cut)
                if says.silent:
                    return
                self.send_response(says.status)
                for name, value in {"Content-Type": "application/json", **says.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(says.body) + says.cut))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(says.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815 - named by http.server

            def do_CONNECT(self) -> None:
                site.tunnels.append(self.path)
                port = int(self.path.rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port), timeout=30) as there:
                    self.send_response(200)
                    self.end_headers()
                    _relay(self.connection, there)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, other], [], [], 30)
        for end in ready:
            data = end.recv(65536)
            if not data:
                return
            (other if end is one else one).sendall(data)


@contextlib.contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server for the length of a test."""
    site = Site(answer, tls)
    try:
        yield site
    finally:
        site.close()
