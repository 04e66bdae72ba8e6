"""What may be reached over the network, and how: the administrator's rules as a value.

The rules come from ``[safety]`` and travel with a job, so that a connection's settings, which
others may write, can't lead a worker to places that are none of its business.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Rule: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network | str

METADATA = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200")
"""Where clouds hand credentials to whoever asks from inside a machine."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Where(StrEnum):
    """How far something doubtful may go."""

    REFUSE = "refuse"  # nowhere
    LOOPBACK = "loopback"  # on this machine only
    ALLOW = "allow"  # wherever a connection asks for it


def parse_rule(text: str) -> Rule:
    """Read a network ("10.0.0.0/8"), an address, or a host's name ("*.example.com"); else ``ValueError``."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        pass
    name = text.strip().rstrip(".").casefold()
    bare = name.removeprefix("*.")
    if not bare or "/" in bare or "*" in bare or any(not label for label in bare.split(".")):
        msg = f'{text!r} is neither a network ("10.0.0.0/8") nor a host\'s name ("*.example.com")'
        raise ValueError(msg)
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The rules for one run."""

    deny: tuple[str, ...] = METADATA  # networks and names that are never reached
    allow: tuple[str, ...] = ()  # if there are any, nothing else is reached
    unverified_tls: Where = Where.LOOPBACK
    clear_text_ldap: Where = Where.LOOPBACK  # a directory's password without TLS
    reads_only: bool = False  # nothing is written: the run is planning or testing

    def refuses_name(self, host: str) -> bool:
        """Whether a host may not be reached by this name, whatever its address."""
        return any(_name_matches(rule, host) for rule in map(parse_rule, self.deny))

    def refuses(self, host: str, address: str) -> bool:
        """Whether ``host`` may not be reached at ``address``, which its name led to."""
        at = plain_address(address)
        if self.refuses_name(host) or any(_holds(rule, at) for rule in map(parse_rule, self.deny)):
            return True
        allowed = [parse_rule(rule) for rule in self.allow]
        return bool(allowed) and not any(_holds(rule, at) or _name_matches(rule, host) for rule in allowed)

    def refuses_unresolved(self, host: str) -> bool:
        """Whether ``host`` may not be reached through a proxy, which alone will know its address."""
        try:
            return self.refuses(host, host)
        except ValueError:
            named = not self.allow or any(_name_matches(rule, host) for rule in map(parse_rule, self.allow))
            return self.refuses_name(host) or not named

    def to_json(self) -> dict[str, Any]:
        """As it travels with a job."""
        return {
            "deny": list(self.deny),
            "allow": list(self.allow),
            "unverified_tls": self.unverified_tls,
            "clear_text_ldap": self.clear_text_ldap,
            "reads_only": self.reads_only,
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Network":
        """Read it from what travelled."""
        return cls(
            deny=tuple(values["deny"]),
            allow=tuple(values["allow"]),
            unverified_tls=Where(values["unverified_tls"]),
            clear_text_ldap=Where(values["clear_text_ldap"]),
            reads_only=values["reads_only"],
        )


def plain_address(text: str) -> Address:
    """``text`` as the address that is reached in the end: IPv4 in any IPv6 wrapping is IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.is_unspecified:  # connecting to "any address" reaches this machine
        return ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")  # noqa: PLR2004 - IPv4
    return address


def is_loopback(address: str) -> bool:
    """Whether an address is this machine."""
    return plain_address(address).is_loopback


def _holds(rule: Rule, address: Address) -> bool:
    return not isinstance(rule, str) and rule.version == address.version and address in rule


def _name_matches(rule: Rule, host: str) -> bool:
    if not isinstance(rule, str):
        return False
    name = host.rstrip(".").casefold()
    return name == rule or (rule.startswith("*.") and name.endswith(rule[1:]))
