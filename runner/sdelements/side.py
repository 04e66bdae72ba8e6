"""What runs need of remote servers: their platform, whether a job is still wanted, secrets kept here."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from runner.model.jobs import Connection, Kind
from runner.model.network import Network
from runner.sdelements.jobs import spelled
from runner.sdelements.people import Ties
from runner.sdelements.platform import Platform
from runner.sdelements.server import Grip, Server
from runner.secrets import read_reference
from runner.settings import Remote

_HOSTS = ("alm_server", "analysis_server", "wh_server", "ldap_server", "ssc_server", "server", "url")
"""Params that say which host a connection's secrets are for."""


class RemoteSide:
    """All remote servers, as runs see them; each thread has its own connections to them."""

    def __init__(self, settings: Mapping[str, Remote], network: Network) -> None:
        self._settings = settings
        self._network = network
        self._local = threading.local()

    def _server(self, name: str) -> Server:
        servers: dict[str, Server] = self._local.__dict__.setdefault("servers", {})
        if name not in servers:
            servers[name] = Server(name, self._settings[name], self._network)
        return servers[name]

    def knows(self, name: str) -> bool:
        """Whether there is such a remote in the configuration."""
        return name in self._settings

    def platform(self, connection: Connection, *, run: str, ties: Ties) -> Platform:
        """The platform behind a remote connection, for the run with this uuid."""
        assert connection.remote is not None  # the caller has looked
        return Platform(self._server(connection.remote), connection, run=run, ties=ties)

    def unwanted(self, name: str, kind: Kind, remote_id: int, seen: str) -> str | None:
        """Why a job of a remote server is not to be run any more; None = it still waits for us."""
        job = self._server(name).job(kind, remote_id)
        if job is None:
            return "The server doesn't know this job any more, so it wasn't run."
        if job.ready:
            return "This job was finished over there meanwhile, so it wasn't run."
        if spelled(job.last_run) != seen:
            return "The server has given this job's number to another one, so it wasn't run."
        if job.held:
            return "Another agent runs this job, so it wasn't run here."
        return None

    def hold(self, name: str, kind: Kind, remote_id: int, grip: Grip) -> bool | None:
        """Hold a claimed job for another lease; whether it is cancelled, None if it isn't ours any more."""
        return self._server(name).hold(kind, remote_id, grip)

    def at_home(self, connection: Connection) -> Connection:
        """The connection with the secrets that are kept here for its host, and no other."""
        if connection.remote is None or connection.remote not in self._settings:
            return connection
        kept = self._settings[connection.remote].secrets
        host = _host(connection.params)
        if host is None or host not in kept:
            return connection
        own = {name: read_reference(text) for name, text in kept[host].items()}
        return replace(connection, params={**connection.params, **own})


def _host(params: Mapping[str, Any]) -> str | None:
    for name in _HOSTS:
        value = params.get(name)
        if isinstance(value, str) and value:
            return urlsplit(value if "://" in value else f"//{value}").hostname
    return None
