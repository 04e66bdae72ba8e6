"""The listeners: TCP and the Unix socket, their start and their end."""

import socket
import stat
import threading
from pathlib import Path

import pytest

from runner.errors import RunnerError
from runner.server.addresses import bind_unix, short
from runner.server.serve import HttpServer
from tests.integration.server.kit import Running


async def nothing(scope: object, receive: object, send: object) -> None:
    """An application that is never asked."""


def test_the_socket_is_for_owner_and_group(server: Running) -> None:
    """Its mode is 0660 from its first moment on."""
    mode = server.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_a_long_path_is_bound_through_its_folder(tmp_path: Path) -> None:
    """A path beyond what a socket's address holds works all the same."""
    folder = tmp_path.joinpath(*["a" * 60] * 4)
    folder.mkdir(parents=True)
    path = folder / "runner.sock"
    http = HttpServer(listen="", app=nothing, socket_path=path, socket_app=nothing)
    http.start()
    try:
        with socket.socket(socket.AF_UNIX) as wire, short(path) as address:
            wire.connect(address)
    finally:
        http.stop()
    assert not path.exists()


def test_a_dead_daemons_socket_is_taken_over(tmp_path: Path) -> None:
    """The file that a killed daemon left doesn't keep the next one from starting."""
    path = tmp_path / "s"
    bind_unix(path).close()
    assert path.exists()
    bind_unix(path).close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A file of somebody's in that place is an error, not removed."""
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(RunnerError):
        bind_unix(path)
    assert path.read_text() == "mine"


def test_a_taken_port_is_said(server: Running, tmp_path: Path) -> None:
    """The sentence names the address and what to do; nothing is left listening."""
    path = tmp_path / "second.sock"
    http = HttpServer(
        listen=server.base.removeprefix("http://"),
        app=nothing,
        socket_path=path,
        socket_app=nothing,
    )
    with pytest.raises(RunnerError, match=r"Another program listens on 127\.0\.0\.1:\d+ already"):
        http.start()
    assert not path.exists()
    http.stop()


@pytest.mark.parametrize(
    "listen", ["8080", "localhost:", "nowhere.invalid:80", "127.0.0.1:99999", "192.0.2.1:0"]
)
def test_an_address_that_can_not_be_had_is_said(listen: str) -> None:
    """A wrong ``listen`` is one sentence."""
    with pytest.raises(RunnerError, match=r"listen"):
        HttpServer(listen=listen, app=nothing).start()


def test_stopping_ends_the_thread_and_the_socket(tmp_path: Path) -> None:
    """After ``stop`` nothing of it is left, and the port is free at once."""
    path = tmp_path / "s"
    for _ in range(2):
        http = HttpServer(listen="127.0.0.1:0", app=nothing, socket_path=path, socket_app=nothing)
        http.start()
        assert http.is_alive()
        http.stop()
        assert not http.is_alive()
        assert not path.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "http"]


def test_ipv6_where_there_is_one() -> None:
    """Addresses in brackets work."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    http = HttpServer(listen="[::1]:0", app=nothing)
    http.start()
    assert http.port
    http.stop()
