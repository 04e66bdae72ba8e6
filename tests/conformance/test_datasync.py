"""The connector from workbooks to directories keeps every promise, at OpenLDAP and at Active Directory."""

import itertools
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.crashing import Crashing
from runner.conformance.platform import Platform, State
from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from runner.connectors.datasync.target import key_of
from runner.directory import names
from runner.directory.access import Access, Security, Server
from runner.directory.opening import opened
from runner.directory.port import Directory, Edit, Entry, Modification
from runner.model.jobs import Kind
from runner.model.network import Network
from tests.integration.datasync.world import STATIC, document, field, samba_access
from tests.servers import samba, slapd
from tests.servers.machine import ROOT
from tests.servers.samba import SambaServer
from tests.servers.slapd import SlapdServer
from tests.workbooks import write_xlsx

LONG_AGO = (1_700_000_000, 1_700_000_000)  # nobody is writing the workbook any more
PEOPLE = ("Ada", "Bob", "Cem", "Dia", "Eve", "Fay")
COLUMNS = ("Nr", "First", "Last", "Phone", "Where", "Off")

_numbers = itertools.count(1)
_servers: list[tuple[Access, str]] = []
"""How the one server of this module is reached, and its root: the kit makes arenas, and knows no fixtures."""

Rows = dict[str, dict[str, Any]]
"""What the workbook says, by name and by column."""


class DirectoryArena(Arena):
    """A container of its own for each world, and a workbook."""

    system = "datasync"
    kind = Kind.DATASYNC
    writes_outside = True
    readme = ROOT / "runner" / "connectors" / "datasync" / "README.md"
    columns: Sequence[str] = COLUMNS

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.access, root = _servers[-1]
        self.container = names.normal(f"OU=w{next(_numbers)},{root}")
        self.book = folder / "people.xlsx"
        self.password = folder / "directory.password"
        self.password.write_text(self.access.password)
        self.ca = folder / "ca.pem"
        self.ca.write_text(self.access.ca_bundle)
        self.servers = str(self.access.servers[0])
        self.rows: Rows = {}
        self.more: list[list[Any]] = []  # rows of the workbook that are wrong
        self.job = self.document()
        with opened(self.access) as directory:
            for dn in (self.container, *(self.place(name) for name in ("Old", "New"))):
                directory.add(dn, {"objectClass": ["organizationalUnit"]})

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The job."""

    @abstractmethod
    def found(self, directory: Directory) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """What is in the container that the job keeps."""

    def entry(self, directory: Directory, key: str) -> Entry | None:
        """The object with this key, which is a filter; a membership's begins with its group's."""
        text = key if key.startswith("(") else json.loads(key)[0]
        return next(iter(list(directory.search(self.container, text, ["cn"]))), None)

    def place(self, name: str) -> str:
        """One of the two containers that objects move between."""
        return names.normal(f"OU={name},{self.container}")

    def write(self) -> None:
        """Put what is wanted into the workbook."""
        rows = [[each.get(name) for name in self.columns] for each in self.rows.values()]
        write_xlsx(self.book, [list(self.columns), *rows, *self.more], sheet="TTSheet1")
        os.utime(self.book, LONG_AGO)

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """None: a directory has nothing to do with tasks."""
        return []

    def cut_source(self) -> None:
        """Let one row have a key that can't be read: whose row it is, nobody knows."""
        self.more = [["=1/0"]]
        self.write()

    def params(self) -> Mapping[str, Any]:
        """The job's document."""
        return self.job

    def settings(self) -> Mapping[str, Any]:
        """Both providers."""
        directory = {
            "servers": self.servers,
            "bind_dn": self.access.bind_dn,
            "password": f"file:{self.password}",
            "ca_bundle": str(self.ca),
        }
        return {
            "datasync": {"folders": [str(self.folder)]},
            "provider": {"ExcelOne": {"workbook": self.book.name}, "ADEnt": directory},
        }

    def secrets(self) -> Collection[str]:
        """The password of the account that writes, and the one that accounts get."""
        return (self.access.password, STATIC)

    def state(self) -> State:
        """All objects of the container."""
        with opened(self.access) as directory:
            return dict(self.found(directory))

    def edit(self, key: str) -> None:
        """Let somebody else give the object another value."""
        with opened(self.access) as directory:
            entry = self.entry(directory, key)
            if entry is not None:
                directory.modify(entry.dn, [Modification(Edit.REPLACE, "description", ["Edited by hand"])])

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What goes wrong on both sides."""
        return {
            "a wrong password": lambda: _rewrite(self.password, "another-secret-of-theirs"),
            "nobody there": lambda: setattr(self, "servers", "127.0.0.1:1"),
            "no such container": lambda: self.job["settings"].__setitem__(
                0, {"key": "Destination.Container", "value": f"OU=Nowhere,{self.container}"}
            ),
            "no workbook": self.book.unlink,
            "a column less": lambda: _rename_column(self, "Surname"),
            "code": lambda: self.job["fieldsMap"].append(field("title", transform="Script:DTM.CancelRow()")),
        }


def _rewrite(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, LONG_AGO)


def _rename_column(arena: DirectoryArena, name: str) -> None:
    arena.columns = [name if each == "Last" else each for each in arena.columns]
    arena.write()


class PeopleArena(DirectoryArena):
    """People who come, change, move and go."""

    def document(self) -> dict[str, Any]:
        """A job with a key of its own, whose other fields follow the workbook."""
        fields = [
            *self.fields(),
            field("cn", "First"),
            field("sn", "Last", forCreateOnly=False),
            field(
                "description",
                "Last",
                transform="Join:field=First;separator= ;field=Last",
                forCreateOnly=False,
            ),
            field("telephoneNumber", "Phone", forCreateOnly=False),
        ]
        return document(
            fields,
            container=self.container,
            on_failure="Continue",
            containerOption="2",
            containerOptionValue="Where",
            **self.option(),
        )

    @abstractmethod
    def fields(self) -> list[dict[str, Any]]:
        """The key, and what else only one sort of directory has."""

    @abstractmethod
    def option(self) -> dict[str, Any]:
        """What sort of objects they are."""

    @abstractmethod
    def key(self, name: str) -> str:
        """The key of somebody."""

    @abstractmethod
    def begin(self, directory: Directory) -> None:
        """Make those who are there before the first run."""

    def want(self, name: str, *, last: str = "Tester", where: str = "Old", **more: Any) -> None:
        """Give somebody a row."""
        number = f"0{PEOPLE.index(name)}"
        self.rows[name] = {"Nr": number, "First": name, "Last": last, "Where": self.place(where), **more}

    def build(self) -> None:
        """Two to make, and of those who are there one changes, one moves, one loses a number, one goes."""
        with opened(self.access) as directory:
            self.begin(directory)
        self.want("Ada", last="Lovelace", Phone="+1")
        self.want("Bob", where="New", Phone="+2")
        self.want("Cem")
        self.want("Eve", Phone="+5")
        self.want("Fay", where="New")
        self.write()

    def change_source(self) -> None:
        """People take other names, numbers and places."""
        for name in self.rng.sample(PEOPLE, 3):
            self.want(
                name,
                last=self.rng.choice(["Tester", "Noyce", "Öz"]),
                where=self.rng.choice(["Old", "New"]),
                Phone=self.rng.choice([None, "+7", "+8"]),
            )
        self.write()

    def spoil_record(self) -> BadRecord:
        """Let somebody have a name that no directory takes."""
        self.rows["Eve"]["Last"] = "x" * 100
        self.write()
        return BadRecord(named=f"row {list(self.rows).index('Eve') + 2}", keys=(self.key("Eve"),))


class ContactsArena(PeopleArena):
    """Contacts in OpenLDAP: who has no row is deleted."""

    def fields(self) -> list[dict[str, Any]]:
        """Their number is a uid."""
        return [field("uid", "Nr", isKey=True)]

    def option(self) -> dict[str, Any]:
        """Contacts, which may be deleted."""
        return {"displayName": "Contact", "isDelete": True}

    def key(self, name: str) -> str:
        """By uid."""
        return key_of([("uid", f"0{PEOPLE.index(name)}")])

    def begin(self, directory: Directory) -> None:
        """Four people."""
        for name in ("Ada", "Bob", "Cem", "Dia"):
            attributes = {
                "objectClass": ["inetOrgPerson"],
                "uid": [f"0{PEOPLE.index(name)}"],
                "sn": ["Tester"],
                "description": [f"{name} Tester"],
                "telephoneNumber": ["+1"],
            }
            directory.add(f"CN={name},{self.place('Old')}", attributes)

    def wipe_source(self) -> None:
        """Leave one."""
        self.rows = {}
        self.want("Ada")
        self.write()

    def found(self, directory: Directory) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Everybody with all that the job knows."""
        wanted = ["uid", "cn", "sn", "description", "telephoneNumber"]
        for entry in directory.search(self.container, "(objectClass=person)", wanted):
            place = names.rdn(names.parent(entry.dn)).lower()
            yield key_of([("uid", entry.text("uid"))]), {"place": place, **_told(entry, wanted)}


def _told(entry: Entry, wanted: Sequence[str]) -> dict[str, str]:
    return {name: entry.text(name) for name in wanted if entry.text(name)}


class AccountsArena(PeopleArena):
    """Accounts in Active Directory, with a password; a column disables them."""

    def fields(self) -> list[dict[str, Any]]:
        """Their number is an employeeID, which may be in each world's container once."""
        options = json.dumps({"passwordLength": 8, "passwordType": 0})
        return [
            field("employeeID", "Nr", isKey=True),
            field("password", transform="Static:value=SET", options=options),
            field("Disable Account", "Off", forCreateOnly=False),
        ]

    def option(self) -> dict[str, Any]:
        """Accounts; none is ever deleted."""
        return {"displayName": "User"}

    def key(self, name: str) -> str:
        """By employeeID."""
        return key_of([("employeeID", f"0{PEOPLE.index(name)}")])

    def begin(self, directory: Directory) -> None:
        """Four accounts that may log in."""
        for name in ("Ada", "Bob", "Cem", "Dia"):
            attributes: dict[str, list[bytes | str]] = {
                "objectClass": ["user"],
                "employeeID": [f"0{PEOPLE.index(name)}"],
                "sn": ["Tester"],
                "description": [f"{name} Tester"],
                "telephoneNumber": ["+1"],
                "userAccountControl": ["512"],
                "unicodePwd": [f'"{STATIC}"'.encode("utf-16-le")],
            }
            directory.add(f"CN={name},{self.place('Old')}", attributes)

    def build(self) -> None:
        """Besides, one is disabled."""
        super().build()
        self.want("Dia", Phone="+1", Off=True)
        self.write()

    def change_source(self) -> None:
        """Besides, some are disabled and some not any more."""
        super().change_source()
        for name in self.rng.sample(sorted(self.rows), 2):
            self.rows[name]["Off"] = self.rng.choice([True, False])
        self.write()

    def wipe_source(self) -> None:
        """Disable all but one."""
        for name in self.rows:
            self.rows[name]["Off"] = name != "Ada"
        self.write()

    def found(self, directory: Directory) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Accounts that may log in; one that may not is as good as none."""
        wanted = ["employeeID", "cn", "sn", "description", "telephoneNumber"]
        more = ["userAccountControl", "pwdLastSet"]
        for entry in directory.search(self.container, "(objectClass=user)", [*wanted, *more]):
            if entry.text("userAccountControl") != "512":
                continue
            assert entry.text("pwdLastSet") != "0", f"{entry.dn} is enabled, and has no password"
            place = names.rdn(names.parent(entry.dn)).lower()
            yield key_of([("employeeID", entry.text("employeeID"))]), {"place": place, **_told(entry, wanted)}

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """Besides, a password that the domain doesn't take."""
        return {
            **super().troubles(),
            "a weak password": lambda: self.job.update(static_passwords={"1:password": "hunter2hunter2"}),
        }


TEAMS = ("chess", "choir", "rowing")
MEMBERS = ("uma", "val", "wim", "xia")


class GroupsArena(DirectoryArena):
    """Groups in Active Directory, whose members come and go."""

    columns = ("Team", "Last", "Members")

    def document(self) -> dict[str, Any]:
        """A job that keeps groups and their members."""
        fields = [
            field("cn", "Team", isKey=True),
            field("description", "Last", forCreateOnly=False),
            field("member", "Members", delimiter=",", forCreateOnly=False),
        ]
        return document(fields, container=self.container, on_failure="Continue", displayName="Group")

    def want(self, team: str, *members: str, about: str | None = None) -> None:
        """Give a group a row."""
        self.rows[team] = {"Team": team, "Last": about, "Members": ", ".join(members)}

    def build(self) -> None:
        """One to make, and one that changes."""
        with opened(self.access) as directory:
            attributes = {
                "objectClass": ["group"],
                "description": ["Sundays"],
                "member": [_member(name) for name in ("uma", "val")],
            }
            directory.add(f"CN=chess,{self.container}", attributes)
        self.want("chess", "val", "wim", about="Mondays")
        self.want("choir", "uma", "xia")
        self.write()

    def change_source(self) -> None:
        """Anybody is anywhere."""
        self.rows = {}
        for team in self.rng.sample(TEAMS, 2):
            members = self.rng.sample(MEMBERS, self.rng.randrange(4))
            self.want(team, *members, about=self.rng.choice([None, "Mondays", "Fridays"]))
        self.write()

    def wipe_source(self) -> None:
        """Leave one, with one member."""
        self.rows = {}
        self.want("chess", "val")
        self.write()

    def spoil_record(self) -> BadRecord:
        """Let a group have a member that nobody knows."""
        self.rows["choir"]["Members"] += ", nobody"
        self.write()
        keys = [self.key("choir"), *(json.dumps([self.key("choir"), _member(each)]) for each in MEMBERS)]
        return BadRecord(named="'nobody'", keys=keys)

    def key(self, team: str) -> str:
        """By name."""
        return key_of([("cn", team)])

    def found(self, directory: Directory) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Groups, and each membership by itself."""
        for entry in directory.search(self.container, "(objectClass=group)", ["cn", "description", "member"]):
            key = self.key(entry.text("cn"))
            yield key, _told(entry, ["cn", "description"])
            for dn in entry.texts("member"):
                yield json.dumps([key, dn]), {"member": names.normal(dn)}


def _member(name: str) -> str:
    return f"CN={name},CN=Users,{samba.BASE}"


@pytest.fixture(scope="class")
def at_slapd(slapd_server: SlapdServer) -> Iterator[None]:
    """Let arenas stand in an OpenLDAP server."""
    slapd_server.reset()
    access = Access(
        servers=[Server(host="localhost", port=slapd_server.tls_port)],
        security=Security.LDAPS,
        bind_dn=slapd.ADMIN,
        password=slapd.ADMIN_PASSWORD,
        ca_bundle=slapd_server.certificates.ca.read_text(),
        network=Network(),
    )
    _servers.append((access, slapd.BASE))
    yield
    _servers.pop()


@pytest.fixture(scope="class")
def at_samba(samba_server: SambaServer) -> Iterator[None]:
    """Let arenas stand in an Active Directory domain with four people."""
    samba_server.reset()
    access = samba_access(samba_server)
    with opened(access) as directory:
        for name in MEMBERS:
            directory.add(_member(name), {"objectClass": ["user"], "sAMAccountName": [name]})
    _servers.append((access, samba.BASE))
    yield
    _servers.pop()


@pytest.mark.xdist_group("slapd")
@pytest.mark.usefixtures("at_slapd")
class TestContacts(Promises):
    """Contacts of a plain directory."""

    arena = ContactsArena
    every = 12


@pytest.mark.xdist_group("slapd")
@pytest.mark.usefixtures("at_slapd")
class TestContactsFarAway(Promises):
    """The same for a job of a remote server."""

    arena = ContactsArena
    world = RemoteWorld
    every = 25


@pytest.mark.xdist_group("samba")
@pytest.mark.usefixtures("at_samba")
class TestAccounts(Promises):
    """Accounts of a domain, with passwords."""

    arena = AccountsArena
    every = 25


@pytest.mark.xdist_group("samba")
@pytest.mark.usefixtures("at_samba")
class TestGroups(Promises):
    """Groups of a domain, with members."""

    arena = GroupsArena
    every = 25


@pytest.mark.torture
@pytest.mark.xdist_group("slapd")
@pytest.mark.usefixtures("at_slapd")
class TestContactsAtEveryPoint(Crashing):
    """The same at each single point."""

    arena = ContactsArena


@pytest.mark.torture
@pytest.mark.xdist_group("samba")
@pytest.mark.usefixtures("at_samba")
class TestAccountsAtEveryPoint(Crashing):
    """The same at each single point."""

    arena = AccountsArena


@pytest.mark.torture
@pytest.mark.xdist_group("samba")
@pytest.mark.usefixtures("at_samba")
class TestGroupsAtEveryPoint(Crashing):
    """The same at each single point."""

    arena = GroupsArena
