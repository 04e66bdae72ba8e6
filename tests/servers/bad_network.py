"""A proxy between two daemons that does to their requests what networks and servers do."""

import contextlib
import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Choice = Callable[[str, str], str | None]
"""Which fault a request meets, by its method and path; None = none."""

FAULTS = (
    "refused",  # the connection ends before a byte is read
    "reset before",  # the request is read and never gets there
    "reset after",  # the server has done it, and its answer never gets back
    "hang",  # the request is read, and nothing happens for longer than anyone waits
    "drip",  # the answer comes a few bytes at a time
    "cut",  # half of the answer comes
    "html",  # a page for people comes instead of the answer, though the server has done it
    "500 before",
    "500 after",  # the server has done it, and something behind it fails
    "502 before",
    "503 before",
    "429 before",
)

_PAGE = b"<html><body><h1>We are back soon</h1></body></html>"
_DRIP = 40  # parts of an answer that drips


class BadNetwork:
    """The proxy: ``choose`` may be set at any time."""

    def __init__(self, upstream: int, *, forget: str = "", old: bool = False) -> None:
        self.upstream = upstream
        self._old = old  # the server knows no claims
        self._forget = forget  # a part of queries that never arrives, as if the server didn't know it
        self.choose: Choice = lambda _method, _path: None
        self.met: Counter[str] = Counter()  # faults that requests met
        self.hung = threading.Event()  # set at the end: what hangs lets go
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Callable[[], None]:
                if name.startswith("do_"):
                    return lambda: proxy.handle(self)
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    @contextlib.contextmanager
    def serving(self) -> Iterator["BadNetwork"]:
        """While it stands between the two."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.hung.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one request on, or do to it what was chosen."""
        fault = self.choose(request.command, request.path)
        if fault is not None:
            self.met[fault] += 1
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        try:
            self._answer(request, body, fault or "")
        except OSError:
            _reset(request)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes, fault: str) -> None:
        kind, _, when = fault.partition(" ")
        if kind == "hang":
            self.hung.wait(30)
            _reset(request)
        elif kind == "refused" or fault == "reset before":
            _reset(request)
        elif when == "before":
            _reply(request, int(kind), b'{"detail": "not now"}', retry="0" if kind == "429" else None)
        else:
            status, content_type, answer = self._upstream(request, body)
            if kind == "reset":
                _reset(request)
            elif kind == "500":
                _reply(request, 500, b'{"detail": "after all"}')
            elif kind == "html":
                _reply(request, 200, _PAGE, content_type="text/html")
            elif kind == "cut":
                _reply(request, status, answer, send=answer[: len(answer) // 2])
                _reset(request)
            elif kind == "drip":
                _reply(request, status, answer, send=b"")
                step = max(1, len(answer) // _DRIP)
                for at in range(0, len(answer), step):
                    request.wfile.write(answer[at : at + step])
                    request.wfile.flush()
                    self.hung.wait(0.01)
            else:
                _reply(request, status, answer, content_type=content_type)

    def _upstream(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        with contextlib.closing(connection):
            headers = {name: value for name, value in request.headers.items() if name != "Connection"}
            path = request.path
            if self._old and "/jobs/claim/" in path:
                path = path.replace("/jobs/claim/", "/jobs/unheard-of/")
                self.met["old"] += 1
            if self._forget and self._forget in path:
                path = path.replace(self._forget, "")
                self.met["forgotten"] += 1
            connection.request(request.command, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()


def _reply(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    *,
    content_type: str = "application/json",
    retry: str | None = None,
    send: bytes | None = None,
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(content)))
    if retry is not None:
        request.send_header("Retry-After", retry)
    request.end_headers()
    request.wfile.write(content if send is None else send)
    request.wfile.flush()


def _reset(request: BaseHTTPRequestHandler) -> None:
    """End the connection as a machine does that forgot about it."""
    with contextlib.suppress(OSError):
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True
    with contextlib.suppress(OSError):
        request.connection.shutdown(socket.SHUT_RDWR)
