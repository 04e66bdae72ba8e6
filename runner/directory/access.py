"""How a directory is reached: its servers, how the wire is protected, and who logs in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from runner.errors import ConfigRejected
from runner.model.network import Network, Where, is_loopback

PORTS = {"ldap": 389, "ldaps": 636}
_SERVER = re.compile(
    r"^(?:(?P<scheme>ldaps?)://)?(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s:/\[\]]+))(?::(?P<port>\d{1,5}))?/?$"
)
_MOST_PORTS = 65535


class Security(StrEnum):
    """How the wire is protected."""

    LDAPS = "ldaps"  # TLS from the first byte
    START_TLS = "starttls"  # TLS before anything of worth is said
    CLEAR = "clear"  # not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server of a directory."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """All that is needed to log in to a directory."""

    servers: Sequence[Server]  # tried in this order, until one answers
    security: Security
    bind_dn: str
    password: str = field(repr=False)
    verify: bool = True  # the server's certificate and name
    ca_bundle: str = ""  # who may vouch for it instead of the machine's authorities: a file, or PEM text
    network: Network = field(default=Network(reads_only=True))
    page_size: int = 1000  # entries
    connect_timeout: int = 10  # seconds for one server
    timeout: int = 60  # seconds of silence


def parse_servers(text: str, security: Security) -> list[Server]:
    """Read "dc1.example.com, dc2.example.com:3269"; without a port it is the usual one.

    ``ConfigRejected`` names what can't be read.
    """
    usual = PORTS["ldaps" if security is Security.LDAPS else "ldap"]
    found = [_server(part, usual, security) for part in re.split(r"[\s,]+", text.strip()) if part]
    if not found:
        raise ConfigRejected("No directory server is named. Set ldap_server to its host name.")
    return found


def _server(part: str, usual: int, security: Security) -> Server:
    match = _SERVER.match(part)
    port = int(match["port"] or usual) if match else 0
    if match is None or not 0 < port <= _MOST_PORTS:
        msg = f"{part!r} is not a server: write a host name or address, with :port if it is not {usual}."
        raise ConfigRejected(msg)
    if match["scheme"] and (match["scheme"] == "ldaps") != (security is Security.LDAPS):
        msg = (
            f"{part} says {match['scheme']}, and ldap_method says {security.value}: leave out one of the two."
        )
        raise ConfigRejected(msg)
    return Server(host=match["six"] or match["host"], port=port)


def check(access: Access) -> None:
    """Refuse what can't or mustn't be done, before anything is sent.

    With an empty password a server logs in nobody, and is content.
    """
    if not access.bind_dn or not access.password:
        raise ConfigRejected("The account or its password is missing: set bind_dn and bind_password.")
    if access.security is Security.CLEAR and access.network.clear_text_ldap is Where.REFUSE:
        raise ConfigRejected(_clear_text(access, str(access.servers[0])))
    unverified = access.security is not Security.CLEAR and not access.verify
    if unverified and access.network.unverified_tls is Where.REFUSE:
        raise ConfigRejected(_unverified(access, str(access.servers[0])))


def check_address(access: Access, server: Server, address: str) -> None:
    """Refuse an address that a server's name led to, before it is connected to."""
    network = access.network
    if network.refuses(server.host, address):
        msg = (
            f"{server} ({address}) is a place that [safety] egress_deny or egress_allow doesn't let "
            "connections reach. Correct ldap_server, or the rules."
        )
        raise ConfigRejected(msg)
    if is_loopback(address):
        return
    if access.security is Security.CLEAR and network.clear_text_ldap is not Where.ALLOW:
        raise ConfigRejected(_clear_text(access, str(server)))
    if (
        access.security is not Security.CLEAR
        and not access.verify
        and network.unverified_tls is not Where.ALLOW
    ):
        raise ConfigRejected(_unverified(access, str(server)))


def _clear_text(access: Access, server: str) -> str:
    return (
        f"The password would cross the network to {server} in clear text, and [safety] clear_text_ldap is "
        f'"{access.network.clear_text_ldap.value}". Set ldap_method to LDAPS or StartTLS.'
    )


def _unverified(access: Access, server: str) -> str:
    return (
        f"The connection asks for TLS to {server} without looking at its certificate, and [safety] "
        f'unverified_tls is "{access.network.unverified_tls.value}". Name the authority of its certificate '
        "in ca_bundle instead."
    )
