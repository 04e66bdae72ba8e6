"""Sockets to listen on: TCP by address, Unix by path, however long the path is."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.errors import RunnerError

BACKLOG = 512  # connections that wait to be accepted
_LONGEST_PATH = 100  # bytes; a socket's address holds 107
_MODE = 0o660
_HIGHEST_PORT = 65535


def bind_tcp(listen: str, *, setting: str = "[server] listen") -> socket.socket:
    """A bound socket for "address:port"; IPv6 addresses stand in brackets."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        msg = f'{setting} is {listen!r}; write an address and a port, as "127.0.0.1:8080".'
        raise RunnerError(msg)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        msg = f"{setting}: {listen} is no address of this machine: {error}."
        raise RunnerError(msg) from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            msg = f"Another program listens on {listen} already; stop it, or set {setting}."
            raise RunnerError(msg) from error
        msg = f"The server can't listen on {listen}: {error.strerror}."
        raise RunnerError(msg) from error
    return bound


def bind_unix(path: Path) -> socket.socket:
    """A bound Unix socket of mode 0660; the socket of a dead daemon is taken away first.

    Only the holder of the state lock may call it, so who listens there is dead.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux the socket's own mode is what its file is made with: nobody else gets in between.
        os.fchmod(bound.fileno(), _MODE)
        with short(path) as address:
            bound.bind(address)
        path.chmod(_MODE)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        msg = f"The server can't listen on {path}: {error.strerror or error}."
        raise RunnerError(msg) from error
    return bound


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """An address for the socket at ``path`` that is short enough, however long the path is."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
