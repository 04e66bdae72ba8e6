"""The connector for directories keeps every promise, with a real OpenLDAP as its source."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.library_errors import library_errors
from runner.conformance.platform import Platform, State
from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from runner.model.jobs import Kind
from runner.store import groups
from runner.store.database import open_database
from runner.store.people import account_page
from runner.store.schema import users
from tests.servers import slapd
from tests.servers.machine import ROOT
from tests.servers.slapd import GROUPS, PEOPLE, SlapdServer, group, person

pytestmark = pytest.mark.xdist_group("slapd")

SERVERS: list[SlapdServer] = []
"""The one server of this process, while it runs: an arena is made by the kit, which knows no fixtures."""

TEAMS = ("devs", "ops", "tests")
NAMES = ("ada", "bob", "cem", "dia", "eve", "fay")


@pytest.fixture(scope="module", autouse=True)
def _server(slapd_server: SlapdServer) -> Iterator[None]:
    SERVERS.append(slapd_server)
    yield
    SERVERS.clear()


class DirectoryArena(Arena):
    """Six people in three groups, mapped to three of ours."""

    system = "sync_ldap"
    kind = Kind.LDAP
    readme = ROOT / "runner" / "connectors" / "ldap_sync" / "README.md"

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.file = folder / "roll"
        self.roll: dict[str, set[str]] = {}
        self.extra: dict[str, str] = {}
        self.limits = slapd.LIMITS
        self.changed: dict[str, Any] = {}
        database = self._open()
        now = datetime.now(UTC)
        try:
            for team in TEAMS:
                database.write(lambda c, team=team: groups.create(c, name=team, now=now))
        finally:
            database.close()

    def _open(self) -> Any:
        return open_database(self.platform.url)

    def tasks(self) -> list[Mapping[str, Any]]:
        """None: a directory has nothing to do with tasks."""
        return []

    def _write(self) -> None:
        people = [
            person(name, mail=self.extra.get(name, f"{name}@example.com"), employeeNumber="7")
            for name in sorted(set().union(*self.roll.values(), NAMES))
        ]
        lists = [
            group(team, [f"uid={name},{PEOPLE}" for name in sorted(names)])
            for team, names in sorted(self.roll.items())
        ]
        SERVERS[0].reset([*people, *lists], limits=self.limits)

    def build(self) -> None:
        """Three people to make, in two groups."""
        self.roll = {"devs": {"ada", "bob"}, "ops": {"bob", "cem"}, "tests": set()}
        self._write()

    def change_source(self) -> None:
        """Somebody joins, somebody leaves."""
        for names in self.roll.values():
            names ^= {self.rng.choice(NAMES)}
        self.roll["devs"] |= {"ada"}
        self._write()

    def wipe_source(self) -> None:
        """All but one have left."""
        self.roll = {"devs": {"ada"}, "ops": set(), "tests": set()}
        self._write()

    def cut_source(self) -> None:
        """The server shows two entries of each list, and stops."""
        self.limits = "size.soft=2 size.hard=2 size.prtotal=2"
        self._write()

    def spoil_record(self) -> BadRecord:
        """Somebody without an address."""
        self.roll["devs"] |= {"fay"}
        self.extra["fay"] = ""
        self._write()
        return BadRecord(named="uid=fay", keys=("fay@example.com",))

    def params(self) -> Mapping[str, Any]:
        """The server in clear text, which loopback allows."""
        server = SERVERS[0]
        return {
            "ldap_server": f"127.0.0.1:{server.port}",
            "ldap_method": "LDAP",
            "bind_dn": slapd.READER,
            "bind_password": slapd.READER_PASSWORD,
            "group_base_dn": GROUPS,
            "deactivation": True,
            "timeout": 5,
            "group_mapping": {team: team for team in TEAMS},
            **self.changed,
        }

    def secrets(self) -> Collection[str]:
        """The reader's password."""
        return (slapd.READER_PASSWORD,)

    def state(self) -> State:
        """Accounts that may log in, and their memberships; one that may not is as good as none."""
        found: dict[str, dict[str, Any]] = {}
        database = self._open()
        try:
            with database.read() as c:
                rows, _ = account_page(c, connection_id=1, author=None, after=0, limit=1000)
        finally:
            database.close()
        for row in rows:
            if row["protected"] or not row["is_active"]:
                continue
            found[row["email"]] = {"first": row["first_name"], "last": row["last_name"]}
            found |= {f"{row['email']} {each}": {"member": True} for each in row["groups"]}
        return found

    def edit(self, key: str) -> None:
        """Somebody gives the account another name, or ends or begins the membership."""
        email, _, group_id = key.partition(" ")

        def write(c: sa.Connection) -> None:
            row = c.execute(sa.select(users).where(users.c.email == email)).one_or_none()
            if row is None:
                return
            if not group_id:
                c.execute(
                    sa.update(users).where(users.c.id == row.id).values(first_name="Edited", is_active=True)
                )
                return
            there = {each.id for each in groups.of_users(c, [row.id]).get(row.id, [])}
            groups.set_groups_of(c, row.id, there ^ {int(group_id.removeprefix("G"))})

        database = self._open()
        try:
            database.write(write)
        finally:
            database.close()

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What goes wrong with directories."""
        return {
            "a wrong password": lambda: self.changed.update(bind_password="another-secret-of-theirs"),
            "nobody there": lambda: self.changed.update(ldap_server="127.0.0.1:1"),
            "a missing base": lambda: self.changed.update(base_dn="ou=nowhere,dc=example,dc=test"),
            "a missing group": lambda: self.changed.update(group_mapping={"nobodies": "devs"}),
            "TLS where there is none": lambda: self.changed.update(ldap_method="LDAPS"),
        }

    def errors(self) -> Iterable[BaseException]:
        """The usual ones; ldap3's are turned into ours where it is called."""
        return library_errors()


class TestDirectory(Promises):
    """People become accounts on the embedded platform."""

    arena = DirectoryArena
    every = 10


class TestDirectoryFarAway(Promises):
    """People become accounts of a remote server."""

    arena = DirectoryArena
    world = RemoteWorld
    every = 20
