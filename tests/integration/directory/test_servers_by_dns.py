"""Servers that DNS lists, by a real DNS server."""

import pytest

from runner.directory.access import Security, Server
from runner.directory.opening import servers_of
from runner.errors import ConfigRejected, Unreachable
from tests.servers.name_server import name_server

SERVICE = "_ldap._tcp.example.com"


def test_servers_come_in_the_order_of_their_priority() -> None:
    """The preferred come first; with TLS from the first byte, LDAP's port stands for that of LDAPS."""
    listed = [
        "20 0 389 spare.example.com.",
        "10 0 3890 first.example.com.",
        "30 0 636 last.north.example.com.",
    ]
    with name_server({SERVICE: listed}) as resolver:
        assert servers_of(SERVICE, Security.START_TLS, resolver=resolver) == [
            Server(host="first.example.com", port=3890),
            Server(host="spare.example.com", port=389),
            Server(host="last.north.example.com", port=636),
        ]
        ports = [server.port for server in servers_of(SERVICE, Security.LDAPS, resolver=resolver)]
        assert ports == [3890, 636, 636]


def test_weights_share_the_load_among_equals() -> None:
    """Of two servers of one priority the heavier is asked first more often, and the other sometimes."""
    listed = ["10 90 636 heavy.example.com.", "10 10 636 light.example.com."]
    with name_server({SERVICE: listed}) as resolver:
        first = [servers_of(SERVICE, Security.LDAPS, resolver=resolver)[0].host for _ in range(200)]
    assert first.count("heavy.example.com") > first.count("light.example.com") > 0


@pytest.mark.parametrize("target", ["dc1.evil.example.", "evil-example.com.", "example.com.evil.net."])
def test_servers_of_other_domains_get_no_password(target: str) -> None:
    """Who answers for DNS can't lead the log-in to another domain: such a server is refused by name."""
    listed = ["10 0 636 dc1.example.com.", f"20 0 636 {target}"]
    named = pytest.raises(ConfigRejected, match=target.rstrip("."))
    with name_server({SERVICE: listed}) as resolver, named:
        servers_of(SERVICE, Security.LDAPS, resolver=resolver)


def test_a_name_that_lists_nobody_is_told() -> None:
    """Where DNS has nothing, the sentence names what was asked for."""
    with name_server({}) as resolver, pytest.raises(Unreachable, match=f"no servers under {SERVICE}"):
        servers_of(SERVICE, Security.LDAPS, resolver=resolver)
