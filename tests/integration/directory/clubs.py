"""Directories in which people come and go: the same deeds on OpenLDAP and in Active Directory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from runner.directory import names
from runner.directory.access import Access, Security, parse_servers
from runner.directory.ad import DISABLED, NORMAL
from runner.directory.ldap import LdapDirectory
from runner.directory.opening import opened
from runner.directory.port import Edit, Modification
from runner.model.network import Network
from tests.servers import samba, slapd
from tests.servers.samba import SambaServer
from tests.servers.slapd import SlapdServer
from tests.servers.waiting import until

USERS = f"CN=Users,{samba.BASE}"
_AT_ONCE = 1000  # members in one request


@contextmanager
def slapd_administrator(server: SlapdServer) -> Iterator[LdapDirectory]:
    """OpenLDAP, to change things in."""
    wanted = Access(
        servers=parse_servers(f"127.0.0.1:{server.port}", Security.CLEAR),
        security=Security.CLEAR,
        bind_dn=slapd.ADMIN,
        password=slapd.ADMIN_PASSWORD,
        network=Network(),
    )
    with opened(wanted) as directory:
        yield directory


@contextmanager
def samba_administrator(server: SambaServer) -> Iterator[LdapDirectory]:
    """The domain, to change things in."""
    wanted = Access(
        servers=parse_servers(server.address, Security.LDAPS),
        security=Security.LDAPS,
        bind_dn=samba.ADMIN,
        password=samba.ADMIN_PASSWORD,
        ca_bundle=str(server.certificates.ca),
        network=Network(),
    )
    with opened(wanted) as directory:
        yield directory


def add_account(directory: LdapDirectory, name: str, **more: str) -> str:
    """Add an account to the domain that may log in; its DN."""
    dn = f"CN={name},{USERS}"
    values = {"mail": f"{name}@example.com", "givenName": name.title(), "sn": "Tester", **more}
    directory.add(
        dn,
        {
            "objectClass": ["user"],
            "sAMAccountName": [name],
            "userAccountControl": [str(NORMAL)],
            **{key: [value] for key, value in values.items()},
        },
    )
    return dn


def add_group(directory: LdapDirectory, name: str, *members: str) -> str:
    """Add a group of these to the domain; its DN."""
    dn = f"CN={name},{USERS}"
    directory.add(dn, {"objectClass": ["group"], "sAMAccountName": [name]})
    for start in range(0, len(members), _AT_ONCE):
        some = members[start : start + _AT_ONCE]
        directory.modify(dn, [Modification(Edit.ADD, "member", some)])
    return dn


class Club(ABC):
    """One directory. Who is in it is called by a first name, which is the beginning of the address."""

    directory: LdapDirectory

    def __init__(self) -> None:
        self.dns: dict[str, str] = {}  # of people and groups

    @abstractmethod
    def params(self) -> dict[str, Any]:
        """Parameters of a connection to it."""

    @abstractmethod
    def add(self, name: str) -> None:
        """Let somebody be known."""

    @abstractmethod
    def found(self, group: str, *members: str) -> None:
        """Make a group of these people and groups."""

    @abstractmethod
    def disable(self, name: str) -> None:
        """Let somebody be there who may not log in."""

    @abstractmethod
    def enable(self, name: str) -> None:
        """Take that back."""

    @abstractmethod
    def elsewhere(self) -> str:
        """The DN of another place where people are."""

    def move(self, name: str, *, parent: str | None = None) -> None:
        """Let somebody be in another place, and the lists of members follow."""
        old = self.dns[name]
        rdn = old.partition(",")[0]
        self.dns[name] = self.directory.move(old, rdn=rdn, parent=parent or self.elsewhere())

    def marry(self, name: str) -> None:
        """Give somebody another last name and address."""
        steps = [
            Modification(Edit.REPLACE, "sn", ["Roe"]),
            Modification(Edit.REPLACE, "mail", [f"{name}.roe@example.com"]),
        ]
        self.directory.modify(self.dns[name], steps)

    def join(self, group: str, *members: str) -> None:
        """Let people or groups be members."""
        self._members(Edit.ADD, group, members)

    def leave(self, group: str, *members: str) -> None:
        """Let people or groups be members no more."""
        self._members(Edit.DELETE, group, members)

    def remove(self, name: str) -> None:
        """Let somebody be gone altogether."""
        self.directory.delete(self.dns.pop(name))

    def _members(self, how: Edit, group: str, members: Sequence[str]) -> None:
        dns = [self.dns[member] for member in members]
        self.directory.modify(self.dns[group], [Modification(how, "member", dns)])


class OpenLdapClub(Club):
    """OpenLDAP, in clear text on this machine. Who may not log in has been taken out of the people's part."""

    def __init__(self, server: SlapdServer) -> None:
        super().__init__()
        self.server = server
        self._far, self._former = f"ou=far,{slapd.PEOPLE}", f"ou=former,{slapd.BASE}"
        units = [
            (dn, {"objectClass": ["organizationalUnit"], "ou": dn[3:].partition(",")[0]})
            for dn in (self._far, self._former)
        ]
        server.reset(units)

    def params(self) -> dict[str, Any]:
        return {
            "ldap_server": f"127.0.0.1:{self.server.port}",
            "ldap_method": "LDAP",
            "bind_dn": slapd.READER,
            "bind_password": slapd.READER_PASSWORD,
            "base_dn": slapd.PEOPLE,
            "group_base_dn": slapd.GROUPS,
            "deactivation": True,
        }

    def add(self, name: str) -> None:
        dn, values = slapd.person(name)
        self.directory.add(dn, {key: [v] if isinstance(v, str) else v for key, v in values.items()})
        self.dns[name] = dn

    def found(self, group: str, *members: str) -> None:
        dn, values = slapd.group(group, [self.dns[member] for member in members])
        self.directory.add(dn, {key: [v] if isinstance(v, str) else v for key, v in values.items()})
        self.dns[group] = dn

    def move(self, name: str, *, parent: str | None = None) -> None:
        old = names.escape_filter(self.dns[name])
        super().move(name, parent=parent)
        # OpenLDAP mends the lists of members in the background.
        listed = f"(member={old})"
        until(f"no group has {old}", lambda: not list(self.directory.search(slapd.GROUPS, listed, ["cn"])))

    def disable(self, name: str) -> None:
        self.move(name, parent=self._former)

    def enable(self, name: str) -> None:
        self.move(name, parent=slapd.PEOPLE)

    def elsewhere(self) -> str:
        return self._far


class DomainClub(Club):
    """Active Directory, over LDAPS."""

    def __init__(self, server: SambaServer) -> None:
        super().__init__()
        self.server = server

    def params(self) -> dict[str, Any]:
        return {
            "ldap_server": self.server.address,
            "ldap_method": "LDAPS",
            "ca_bundle": str(self.server.certificates.ca),
            "bind_dn": "administrator@example.test",
            "bind_password": samba.ADMIN_PASSWORD,
            "deactivation": True,
        }

    def add(self, name: str) -> None:
        self.dns[name] = add_account(self.directory, name)

    def found(self, group: str, *members: str) -> None:
        self.dns[group] = add_group(self.directory, group, *(self.dns[member] for member in members))

    def disable(self, name: str) -> None:
        self._flag(name, NORMAL | DISABLED)

    def enable(self, name: str) -> None:
        self._flag(name, NORMAL)

    def _flag(self, name: str, flags: int) -> None:
        step = Modification(Edit.REPLACE, "userAccountControl", [str(flags)])
        self.directory.modify(self.dns[name], [step])

    def elsewhere(self) -> str:
        dn = f"OU=Far,{samba.BASE}"
        if self.directory.read(dn, ["ou"]) is None:
            self.directory.add(dn, {"objectClass": ["organizationalUnit"]})
        return dn


@contextmanager
def open_ldap_club(server: SlapdServer) -> Iterator[Club]:
    """OpenLDAP with nobody in it, for the length of the block."""
    club = OpenLdapClub(server)
    with slapd_administrator(server) as club.directory:
        yield club


@contextmanager
def domain_club(server: SambaServer) -> Iterator[Club]:
    """The domain as it was when it was made, for the length of the block."""
    server.reset()
    club = DomainClub(server)
    with samba_administrator(server) as club.directory:
        yield club
