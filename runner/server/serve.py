"""The listeners: TCP and a Unix socket, two uvicorn servers in one event loop in one thread.

uvicorn's main loop wakes ten times a second for its date header; ours sleeps until it is
told to stop, and wakes once a second. Signals are the daemon's business, not uvicorn's.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from runner.errors import RunnerError, SettingsInvalid
from runner.server.addresses import BACKLOG, bind_tcp, bind_unix

_GRACE = 5  # seconds that answers under way have when the server stops


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals alone and sleeps when nothing happens."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield

    async def main_loop(self) -> None:
        self.stopped = asyncio.Event()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), 1)

    def hang_up(self) -> None:
        """Close what is still connected, so that no socket outlives the server; call it in the event loop."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    def ask_to_stop(self) -> None:
        """End the main loop; call it in the event loop."""
        self.should_exit = True
        if hasattr(self, "stopped"):
            self.stopped.set()


class Tls(NamedTuple):
    """What the server proves itself with: PEM files."""

    cert: str
    key: str | None = None  # None = it stands in ``cert``

    def check(self) -> None:
        """Raise ``SettingsInvalid`` if these files can't be used."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.cert, self.key, password=_no_password
            )
        except (OSError, ValueError) as error:
            files = self.cert if self.key is None else f"{self.cert} and {self.key}"
            msg = f"[server] tls_cert, tls_key: {files} can't be used as certificate and key: {error}."
            raise SettingsInvalid(msg) from error


def _no_password() -> str:
    msg = "the key is encrypted; give one that isn't, readable by the daemon alone"
    raise ValueError(msg)


class HttpServer:
    """Serves one application on TCP, and one on a Unix socket, in a thread of its own."""

    def __init__(
        self,
        *,
        listen: str,
        app: ASGIApp,
        socket_path: Path | None = None,
        socket_app: ASGIApp | None = None,
        further: Sequence[tuple[str, str, ASGIApp]] = (),
        tls: Tls | None = None,
    ) -> None:
        """``listen`` is "address:port" ("" = no TCP); ``socket_app`` is served at ``socket_path``.

        ``further`` are listeners on TCP with applications of their own: setting, address, application.
        With ``tls``, ``listen`` speaks it and nothing else.
        """
        self._listen = listen
        self._further = further
        self._tls = tls
        self._app = app
        self._socket_path = socket_path
        self._socket_app = socket_app
        self._servers: list[tuple[_Server, socket.socket]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening = threading.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self.port: int | None = None  # where TCP listens, once it does
        self.further_ports: list[int] = []

    def start(self) -> None:
        """Listen; return when both accept. ``RunnerError`` if an address can't be had."""
        bound = []
        if self._tls is not None:
            self._tls.check()
        try:
            if self._listen:
                tcp = bind_tcp(self._listen)
                bound.append(tcp)
                self.port = tcp.getsockname()[1]
                self._servers.append((_server(self._app, self._tls), tcp))
            for setting, address, app in self._further:
                also = bind_tcp(address, setting=setting)
                bound.append(also)
                self.further_ports.append(also.getsockname()[1])
                self._servers.append((_server(app), also))
            if self._socket_path is not None and self._socket_app is not None:
                unix = bind_unix(self._socket_path)
                bound.append(unix)
                self._servers.append((_server(self._socket_app), unix))
        except BaseException:
            for taken in bound:
                taken.close()
            raise
        self._thread.start()
        self._listening.wait()
        if self._trouble is not None:
            msg = f"The server can't be started: {self._trouble}."
            raise RunnerError(msg)

    def stop(self) -> None:
        """Stop listening, let answers under way end, and wait for the thread."""
        loop = self._loop
        if loop is not None and self._thread.is_alive():
            for server, _ in self._servers:
                with contextlib.suppress(RuntimeError):  # the loop ended by itself
                    loop.call_soon_threadsafe(server.ask_to_stop)
            self._thread.join()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)

    def is_alive(self) -> bool:
        """Whether the thread that serves is there."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - start() tells it
            self._trouble = error
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(server.serve([sock])) for server, sock in self._servers]
        while not all(server.started for server, _ in self._servers):
            if any(task.done() for task in tasks):
                break
            await asyncio.sleep(0.005)
        self._listening.set()
        await asyncio.gather(*tasks)
        for server, _ in self._servers:
            server.hang_up()
        await asyncio.sleep(0)  # until the last of them is closed


def _server(app: ASGIApp, tls: Tls | None = None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            ssl_certfile=None if tls is None else tls.cert,
            ssl_keyfile=None if tls is None else tls.key,
            lifespan="off",
            ws="none",
            interface="asgi3",
            access_log=False,
            log_config=None,
            log_level="error",
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE,
        )
    )
