"""The adapter beneath every request: where it may connect, and whom it trusts.

An address is judged after its name was resolved and before anything is sent to it, and the
connection is made to that very address: a name that leads elsewhere a moment later leads
nowhere.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError

from runner.errors import ConfigRejected
from runner.model.network import Network, is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a connection's address is judged by."""

    network: Network
    home_only: bool  # what is sent may not leave this machine: a secret in clear text

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of ``host`` that may be connected to; ``ConfigRejected`` if there is none."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [address for address in addresses if not self.network.refuses(host, address)]
        if not allowed:
            raise ConfigRejected(
                f"{host} ({', '.join(addresses)}) is a place that [safety] egress_deny or egress_allow "
                "doesn't let connections reach. Correct the connection's server, or the rules."
            )
        if self.home_only and not all(map(is_loopback, allowed)):
            raise ConfigRejected(
                f"{host} is another machine, and the credential would cross the network in clear "
                "text. Use https."
            )
        return allowed


def _connect(connection: Any, gate: Gate, connect: Any) -> socket.socket:
    """Connect to the first of the host's addresses that answers, and to those only that were judged."""
    name = connection._dns_host  # noqa: SLF001 - urllib3 connects to this attribute and has no public one
    try:
        addresses = gate.addresses(name, connection.port)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    failure: HTTPError | None = None
    for address in addresses:
        connection._dns_host = address  # noqa: SLF001 - as above
        try:
            made: socket.socket = connect()
        except HTTPError as error:
            failure = error
        else:
            return made
        finally:
            connection._dns_host = name  # noqa: SLF001 - as above: TLS goes by the name
    assert failure is not None
    raise failure


def _pools(gate: Gate) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of connections that ask ``gate``, by scheme."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, gate, super()._new_conn)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, gate, super()._new_conn)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class Adapter(HTTPAdapter):
    """requests' adapter with our connections and our trust, whatever the environment says."""

    def __init__(self, gate: Gate, context: ssl.SSLContext) -> None:
        self._pools = _pools(gate)
        self._context = context
        super().__init__(max_retries=0)  # what is repeated, and when, is decided above

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager with our context and our pools."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the manager of a proxy with our context and our pools."""
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._context, proxy_ssl_context=self._context, **kwargs
        )
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the connection to its context, which knows whom to trust."""
        if url.startswith("https"):
            conn.cert_reqs = self._context.verify_mode
