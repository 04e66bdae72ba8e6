"""Opening a directory: the first of its servers that answers, step by step, each with a name."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from runner.directory.access import PORTS, Access, Security, Server, check, check_address
from runner.directory.ldap import Address, LdapDirectory
from runner.errors import ConfigRejected, ConnectorFailure, TlsFailed, Unreachable
from runner.ports import Step

if TYPE_CHECKING:
    import dns.resolver

SERVICE = ("_ldap._tcp.", "_ldaps._tcp.")
"""How a name begins that stands for the servers of a domain, as DNS lists them."""

Told = Callable[[str, str], None]
"""Is told the name of each step that is done, and a sentence on it."""


def _quiet(step: str, sentence: str) -> None:
    """Nobody wants to know."""


@contextmanager
def opened(access: Access) -> Iterator[LdapDirectory]:
    """A directory, logged in, for the length of the block."""
    directory = open_directory(access)
    try:
        yield directory
    finally:
        directory.close()


def open_directory(access: Access, *, told: Told = _quiet) -> LdapDirectory:
    """Log in to the first server that can be reached; the first one's trouble if none can.

    Who is refused by one isn't tried at the next: that would lock the account.
    """
    check(access)
    first: ConnectorFailure | None = None
    for server in _servers(access):
        try:
            return _open_at(access, server, told)
        except (Unreachable, TlsFailed) as error:
            told(f"{server}", error.message)
            first = first or error
    if first is None:
        raise ConfigRejected("No directory server is named. Set ldap_server to its host name.")
    raise first


def _open_at(access: Access, server: Server, told: Told) -> LdapDirectory:
    addresses = _addresses(server)
    told("address", f"{server.host} is {', '.join(str(each.socket_address[0]) for each in addresses)}.")
    first: Unreachable | None = None
    for address in addresses:
        check_address(access, server, str(address.socket_address[0]))
        directory = LdapDirectory(access, server, address)
        try:
            directory.connect()
        except Unreachable as error:
            first = first or error
            continue
        try:
            _enter(directory, access, told)
        except BaseException:
            directory.close()
            raise
        return directory
    assert first is not None  # a name has an address, or wasn't found
    raise first


def _enter(directory: LdapDirectory, access: Access, told: Told) -> None:
    told("connection", f"{directory} answers.")
    directory.protect()
    if access.security is not Security.CLEAR:
        checked = "its certificate is trusted" if access.verify else "its certificate was not looked at"
        told("TLS", f"The wire is protected, and {checked}.")
    directory.log_in()
    told("log-in", f"{access.bind_dn} is logged in.")


def _addresses(server: Server) -> list[Address]:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"There is no address for {server.host}."
        raise Unreachable(msg, detail=str(error)) from error
    return [Address(*each) for each in found]


# --- servers that DNS lists ----------------------------------------------------------------


def _servers(access: Access) -> Iterator[Server]:
    for server in access.servers:
        if server.host.lower().startswith(SERVICE):
            yield from servers_of(server.host, access.security)
        else:
            yield server


def servers_of(
    name: str, security: Security, *, resolver: "dns.resolver.Resolver | None" = None
) -> list[Server]:
    """The servers that DNS lists for a name as ``_ldap._tcp.example.com``, the preferred first.

    Only those of that domain count: else whoever answers for DNS could send the password
    anywhere that has a valid certificate of its own.
    """
    import dns.exception
    import dns.resolver

    domain = name.split(".", 2)[2].rstrip(".").lower()
    try:
        answer = (resolver or dns.resolver.get_default_resolver()).resolve(name, "SRV", lifetime=10)
    except dns.exception.DNSException as error:
        msg = f"DNS lists no servers under {name}."
        raise Unreachable(msg, detail=str(error)) from error
    chance = Random()  # noqa: S311 - it spreads load, it guards nothing
    records = sorted(answer, key=lambda record: (record.priority, -chance.random() * (record.weight + 1)))
    hosts = [(str(record.target).rstrip("."), record.port) for record in records]
    foreign = [host for host, _ in hosts if not f".{host}".lower().endswith(f".{domain}")]
    if foreign:
        msg = f"DNS lists {foreign[0]} under {name}, which is not of {domain}: name the servers themselves."
        raise ConfigRejected(msg)
    return [Server(host=host, port=_port(port, security)) for host, port in hosts]


def _port(port: int, security: Security) -> int:
    """The port to use where DNS lists LDAP's, and TLS comes from the first byte."""
    return PORTS["ldaps"] if security is Security.LDAPS and port == PORTS["ldap"] else port


# --- a connection test -----------------------------------------------------------------------

_STEPS = ("address", "connection", "TLS", "log-in")


def connection_test(access: Access) -> Iterator[Step]:
    """Open each server and tell how far it went; nothing is read but what opening needs."""
    refused: ConnectorFailure | None = None
    try:
        check(access)
        servers = list(_servers(access))
    except ConnectorFailure as error:
        yield Step(name="settings", ok=False, message=error.message)
        return
    for server in servers:
        done: list[Step] = []
        try:
            directory = open_directory(
                replace(access, servers=[server]),
                told=lambda step, sentence, done=done: done.append(  # type: ignore[misc] # bound early
                    Step(name=step, ok=True, message=sentence)
                ),
            )
        except ConnectorFailure as error:
            steps = [step for step in done if step.name in _STEPS]
            refused = error
            yield from steps
            yield Step(name=_failed(access, steps), ok=False, message=error.message)
        else:
            yield from done
            with suppress(ConnectorFailure):
                directory.close()
        if refused is not None and not isinstance(refused, Unreachable | TlsFailed):
            return  # the next would refuse it as well, and count it as another attempt


def _failed(access: Access, done: list[Step]) -> str:
    """The step after those that were done."""
    steps = [step for step in _STEPS if step != "TLS" or access.security is not Security.CLEAR]
    if access.security is Security.LDAPS:
        steps.remove("connection")  # one with TLS: there is no answer before it
    names = {step.name for step in done}
    return next((step for step in steps if step not in names), steps[-1])
