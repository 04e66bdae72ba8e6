"""The HTTP side: who is let in, sessions and security tokens, and the faults."""

import base64
import json
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from simulators.rally.faults import Fault, Faults, Traffic
from simulators.rally.routes import Call, NoSuchPath, Service
from simulators.rally.shapes import envelope, failed
from simulators.rally.things import Things, User

SERVICE = "/slm/webservice/v2.0"
_SCHEMA = "/slm/schema/v2.0/workspace/"
_INVALID_KEY = "Not authorized to perform action: Invalid key"
_PAGE = "<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
_STATUS = {
    Fault.TOO_MANY: (429, "Too Many Requests"),
    Fault.TOO_MANY_AFTER: (429, "Too Many Requests"),
    Fault.UNAVAILABLE: (503, "Service Unavailable"),
    Fault.GATEWAY: (502, "Bad Gateway"),
    Fault.GATEWAY_TIMEOUT: (524, "A Timeout Occurred"),
    Fault.MAINTENANCE: (200, "Rally is down for maintenance"),
}


class Simulator:
    """One Rally server on loopback, in threads of this process."""

    def __init__(
        self,
        things: Things,
        *,
        port: int = 0,
        certificate: tuple[Path, Path] | None = None,
        seed: int = 0,
    ) -> None:
        self.things = things
        self.faults = Faults()
        self.traffic = Traffic()
        self.drip_seconds = 0.01  # between two bytes of an answer that drips
        self.slow_seconds = 0.05  # that a request beyond the permitted number waits
        self.silence = threading.Event()  # set: those who wait for an answer that never comes may go
        self.sessions: dict[str, tuple[User, str | None]] = {}  # cookie to its user and token
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.simulator = self
        scheme = "http"
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            scheme = "https"
        self.port = int(self._http.server_address[1])
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.service = Service(
            things,
            f"{self.url}{SERVICE}",
            rng=Random(seed),  # noqa: S311 - it guards nothing, it repeats itself
        )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> "Simulator":
        """Serve in the background."""
        self._thread.start()
        return self

    def serve(self) -> None:
        """Serve until interrupted."""
        self._http.serve_forever()

    def close(self) -> None:
        """Stop serving."""
        self.silence.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=10)

    def __enter__(self) -> "Simulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    simulator: Simulator

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of the game."""


class _Refused(Exception):
    """A caller who isn't let in."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _cookie: str | None
    _titles: ClassVar[Mapping[int, str]] = {401: "Unauthorized", 404: "Not Found"}

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    # --- one request ---------------------------------------------------------------------

    def _handle(self) -> None:
        simulator = self.server.simulator
        self._cookie = None
        address = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if address.path.startswith("/-/"):
            self._control(address.path, raw)
            return
        if address.path == "/":
            self._send(200, _listing(simulator.things).encode(), "text/html")
            return
        if simulator.traffic.begin(f"{self.command} {_shortened(address.path)}"):
            time.sleep(simulator.slow_seconds)
        try:
            self._strike(
                simulator.faults.strike(self.command, address.path), address.path, address.query, raw
            )
        finally:
            simulator.traffic.end()

    def _strike(self, fault: Fault | None, path: str, query: str, raw: bytes) -> None:
        if fault is Fault.SILENT:
            self.server.simulator.silence.wait(60)
            self._break_off()
        elif fault is Fault.RESET:
            self._break_off()
        elif fault in _STATUS:
            status, title = _STATUS[fault]
            extra = {"Retry-After": "1"} if fault is Fault.TOO_MANY_AFTER else {}
            self._send(
                status, _PAGE.format(title=title, text="Please try again.").encode(), "text/html", extra
            )
        else:
            self._serve(fault, path, query, raw)

    def _serve(self, fault: Fault | None, path: str, query: str, raw: bytes) -> None:
        try:
            user, by_key, may_write = self._let_in()
            if fault is Fault.STALE_TOKEN:
                self.server.simulator.sessions = {
                    cookie: (known, None) for cookie, (known, _) in self.server.simulator.sessions.items()
                }
            answer = self._answer(path, query, raw, user=user, by_key=by_key, may_write=may_write)
        except _Refused as refused:
            page = _PAGE.format(title="Unauthorized", text=str(refused))
            self._send(401, page.encode(), "text/html", {"WWW-Authenticate": 'Basic realm="Rally ALM"'})
            return
        except NoSuchPath:
            self._send(404, _PAGE.format(title="Not Found", text=path).encode(), "text/html")
            return
        if fault is Fault.RESET_AFTER:
            self._break_off()
            return
        if fault is Fault.SHORT_PAGE and (result := answer.get("QueryResult")):
            result["Results"] = result["Results"][: len(result["Results"]) // 2]
        body = json.dumps(answer).encode()
        if fault is Fault.DRIP:
            self._drip(body)
        else:
            self._send(200, body, "application/json")

    # --- who is let in -------------------------------------------------------------------

    def _let_in(self) -> tuple[User, bool, bool]:
        """The caller, whether by API key, and whether he may write."""
        users = self.server.simulator.things.users.values()
        key = self.headers.get("ZSESSIONID")
        if key is not None:
            for user in users:
                if key in user.keys:
                    return user, True, user.keys[key]
            raise _Refused("Full authentication is required to access this resource")
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("JSESSIONID")
        if cookie is not None and cookie.value in self.server.simulator.sessions:
            self._cookie = cookie.value
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise _Refused("An Authentication object was not found in the SecurityContext")
        name, _, password = base64.b64decode(given).decode(errors="replace").partition(":")
        for user in users:
            if user.name == name and user.password is not None and user.password == password:
                return user, False, True
        raise _Refused("The username or password you entered is incorrect.")

    def _new_session(self, user: User) -> Mapping[str, str]:
        self._cookie = secrets.token_hex(16)
        self.server.simulator.sessions[self._cookie] = (user, None)
        return {"Set-Cookie": f"JSESSIONID={self._cookie}; Path=/; HttpOnly"}

    def _authorized(self, user: User) -> dict[str, Any]:
        token = secrets.token_hex(16)
        assert self._cookie is not None  # the caller has just got one
        self.server.simulator.sessions[self._cookie] = (user, token)
        return envelope("OperationResult", SecurityToken=token)

    def _token_fits(self, key: str | None) -> bool:
        known = self.server.simulator.sessions.get(self._cookie or "")
        return known is not None and known[1] is not None and known[1] == key

    def _answer(
        self, path: str, query: str, raw: bytes, *, user: User, by_key: bool, may_write: bool
    ) -> dict[str, Any]:
        if not by_key and self._cookie is None:
            self._extra = dict(self._new_session(user))
        if path.startswith(_SCHEMA):
            return envelope("QueryResult", Results=self.server.simulator.service.schema())
        if not path.startswith(f"{SERVICE}/"):
            raise NoSuchPath
        parts = tuple(
            part.removesuffix(".js").lower()
            for part in path.removeprefix(f"{SERVICE}/").strip("/").split("/")
        )
        if parts == ("security", "authorize"):
            return envelope("OperationResult", SecurityToken="") if by_key else self._authorized(user)
        try:
            call = self._call(parts, query, raw, user)
        except ValueError:
            return failed("OperationResult", "Cannot parse object as JSON")
        if call.method != "GET":
            if by_key and not may_write:
                raise _Refused("The API key is read-only")
            mixed = by_key and "JSESSIONID" in self.headers.get("Cookie", "")
            if mixed or (not by_key and not self._token_fits(call.params.get("key"))):
                return failed("CreateResult" if parts[-1] == "create" else "OperationResult", _INVALID_KEY)
        return self.server.simulator.service.answer(call)

    def _call(self, parts: tuple[str, ...], query: str, raw: bytes, user: User) -> Call:
        """The request as the service takes it; a long query comes as a form with ``_method=GET``."""
        params = dict(parse_qsl(query, keep_blank_values=True))
        if self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            params |= dict(parse_qsl(raw.decode(), keep_blank_values=True))
            method = params.get("_method", self.command).upper()
            return Call(method=method, path=parts, params=params, body={}, user=user)
        body = json.loads(raw) if raw else {}
        return Call(method=self.command, path=parts, params=params, body=body, user=user)

    # --- answering -----------------------------------------------------------------------

    _extra: dict[str, str]

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self._extra = {}

    def _send(self, status: int, body: bytes, kind: str, extra: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), kind, extra or {})
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind};charset=utf-8")
        self.send_header("Content-Length", str(length))
        for name, value in {**self._extra, **extra}.items():
            self.send_header(name, value)
        self._extra = {}
        self.end_headers()

    def _drip(self, body: bytes) -> None:
        self._head(200, len(body), "application/json", {})
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            time.sleep(self.server.simulator.drip_seconds)

    def _break_off(self) -> None:
        """End the connection as a machine does that dies: with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    # --- from outside --------------------------------------------------------------------

    def _control(self, path: str, raw: bytes) -> None:
        """What a test in another process asks: plant a fault, read the counts, begin anew."""
        simulator = self.server.simulator
        if path == "/-/faults" and self.command == "POST":
            wish = json.loads(raw)
            simulator.faults.plant(
                Fault(wish["fault"]),
                times=wish.get("times", 1),
                method=wish.get("method", ""),
                path=wish.get("path", ""),
            )
        elif path == "/-/traffic" and self.command == "DELETE":
            simulator.traffic.reset()
        elif path != "/-/traffic":
            self._send(404, b"{}", "application/json")
            return
        counts = simulator.traffic
        told = {
            "total": counts.total,
            "most": counts.most,
            "slowed": counts.slowed,
            "by_path": dict(counts.counts),
        }
        self._send(200, json.dumps(told).encode(), "application/json")


def _shortened(path: str) -> str:
    """A path without its numbers, to count by."""
    parts = path.removeprefix(SERVICE).lower().strip("/").split("/")
    return "/".join("#" if part.isdecimal() else part for part in parts)


def _listing(things: Things) -> str:
    """A page with all items, to look at in a browser."""
    rows = "".join(
        f"<tr><td>{item.values['FormattedID']}</td><td>{_escaped(item.name)}</td>"
        f"<td>{item.values.get('ScheduleState') or item.values.get('State')}</td></tr>"
        for item in things.items()
    )
    return _PAGE.format(title="Rally, simulated", text=f"<table>{rows}</table>")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
