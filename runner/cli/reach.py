"""Find the server that a command speaks to.

In this order: the one that ``--url`` names; the daemon of this machine, over its Unix
socket; else the same application inside this process, for as long as the command takes.
The last one holds the state lock meanwhile, so at any time one process has the store open.
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import loaded
from runner.cli.refusals import BadUsage, ServerAway
from runner.cli.sockets import connect
from runner.errors import RunnerError

if TYPE_CHECKING:
    from runner.cli.client import Client
    from runner.settings import Settings

SOCKET = "runner.sock"
_INSTALLED_STATE = Path("/var/lib/integration-runner")
_INSTALLED_RUNTIME = Path("/run/integration-runner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What the flags say about the server that is meant."""

    config: Path | None = None
    url: str | None = None
    token_file: Path | None = None


class NoDaemon(ServerAway):
    """Nothing of this machine is running that could do it."""


@contextlib.contextmanager
def reach(where: Where, *, needs_daemon: str = "") -> Iterator["Client"]:
    """Give a client of the server that is meant.

    ``needs_daemon`` says in a sentence what can't be had without one that runs on; then
    ``NoDaemon`` is raised rather than serving from this process.
    """
    with _reached(where, needs_daemon) as client:
        loaded()
        yield client


@contextlib.contextmanager
def _reached(where: Where, needs_daemon: str) -> Iterator["Client"]:
    from runner.cli.client import Client

    if where.url is not None:
        with contextlib.closing(Client.over_network(where.url, read_token(where))) as client:
            yield client
        return
    if where.token_file is not None:
        msg = "--token-file goes with --url; the daemon of this machine is reached without a token."
        raise BadUsage(msg)
    from runner import configuration

    settings = configuration.load(file=where.config)
    socket = find_socket(settings)
    if socket is not None:
        with contextlib.closing(Client.over_socket(socket)) as client:
            yield client
    elif needs_daemon:
        msg = f"No daemon is running for {settings.state_dir}. {needs_daemon}"
        raise NoDaemon(msg)
    else:
        with _in_process(settings) as client:
            yield client


@contextlib.contextmanager
def _in_process(settings: "Settings") -> Iterator["Client"]:
    from runner import log
    from runner.cli.client import Client
    from runner.daemon import Daemon

    log.configure(level="warning", style=settings.log.format)
    become_owner(settings.state_dir)
    with (
        Daemon(settings, loops=False) as daemon,
        contextlib.closing(Client.over_socket(daemon.socket_path, in_process=True)) as client,
    ):
        yield client


def find_socket(settings: "Settings") -> Path | None:
    """The socket at which a daemon answers, or None."""
    for path in _sockets(settings):
        try:
            connect(path, timeout=5).close()
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            continue  # none, or one left behind by a daemon that was killed
        except PermissionError:
            msg = f"You may not use {path}; become root, or a member of the group that owns it."
            raise ServerAway(msg) from None
        except OSError as error:
            msg = f"The daemon doesn't answer at {path}: {error.strerror or error}."
            raise ServerAway(msg) from error
        return path
    return None


def _sockets(settings: "Settings") -> Iterator[Path]:
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        yield Path(runtime.split(":")[0]) / SOCKET
    yield settings.state_dir / SOCKET
    if settings.state_dir == _INSTALLED_STATE:
        # The service's socket, for a shell: systemd tells its folder to the service only.
        yield _INSTALLED_RUNTIME / SOCKET


def read_token(where: Where) -> str:
    """The token from ``--token-file`` or ``RUNNER_TOKEN``. No flag takes it: flags show in process lists."""
    if where.token_file is None:
        token, source = os.environ.get("RUNNER_TOKEN", ""), "RUNNER_TOKEN"
    else:
        try:
            token, source = where.token_file.read_text(encoding="utf-8"), str(where.token_file)
        except (OSError, UnicodeDecodeError) as error:
            msg = f"The token can't be read from {where.token_file}: {error}."
            raise BadUsage(msg) from error
    token = token.strip()
    if not token:
        msg = "--url wants a token: name its file with --token-file, or set RUNNER_TOKEN."
        raise BadUsage(msg)
    if not token.isascii() or not token.isprintable() or " " in token:
        msg = f"What {source} holds is not a token."
        raise BadUsage(msg)
    return token


def become_owner(state_dir: Path) -> None:
    """As root, turn into the owner of the state directory, so that no file in it becomes root's."""
    if os.geteuid() != 0 or not state_dir.is_dir():
        return
    owner = state_dir.stat()
    if owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([owner.st_gid])  # an owner without an account has no further groups
    except PermissionError as error:
        msg = f"{state_dir} belongs to another user whose rights can't be taken on."
        raise RunnerError(msg, detail=str(error)) from error
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    for code in (os.__file__, __file__):
        if not os.access(code, os.R_OK):
            msg = f"{state_dir} belongs to user {owner.st_uid}, who may not read this installation ({code})."
            raise RunnerError(msg)
