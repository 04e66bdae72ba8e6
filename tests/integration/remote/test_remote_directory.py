"""A directory whose accounts are another server's: the same life, followed from here."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

from runner.directory.port import Edit, Modification
from tests.integration.directory.clubs import (
    Club,
    add_account,
    add_group,
    domain_club,
    open_ldap_club,
    samba_administrator,
    slapd_administrator,
)
from tests.integration.directory.life import MAPPINGS, Account, lead
from tests.servers.pair import Over, Pair
from tests.servers.samba import SambaServer
from tests.servers.slapd import GROUPS, PEOPLE, SlapdServer, group, person
from tests.servers.waiting import PATIENCE, until


class Remote:
    """The platform of another server, and the daemon here that runs its jobs."""

    def __init__(self, pair: Pair, over: Over, params: Mapping[str, Any]) -> None:
        self.over = over
        self._pair = pair
        self._place = over.connection("sync_ldap", kind="ldap", params=dict(params), frequency="hourly")
        for ldap_group, name in MAPPINGS.items():
            made = over.call("POST", "groups/", json={"name": name})["id"]
            mapping = {"ldap_group": ldap_group, "sde_group": made}
            over.call("POST", f"connections/ldap/{self._place}/group-mappings/", json=mapping)

    def sync(self, *, seconds: float = PATIENCE) -> str:
        """Ask for a run over there, which has to go well; its message."""
        job = self.over.ask(self._place, kind="ldap")
        until(f"job {job} is ready", lambda: self.over.job(job, kind="ldap")["ready"], seconds=seconds)
        done = self.over.job(job, kind="ldap")
        assert done["succeeded"], done["result_message"]
        return str(done["result_message"])

    def accounts(self) -> Mapping[str, Account]:
        """All accounts that no administrator made, by address."""
        return {
            user["email"]: Account(
                user["id"], user["is_active"], frozenset(group["name"] for group in user["groups"])
            )
            for user in self.over.call("GET", "users/")["results"]
            if not user["is_superuser"]
        }

    def fall_due(self) -> str:
        """Let a slot of the schedule be missed and caught up; the message of the finished row over there."""
        before = {job["id"] for job in self.over.jobs(kind="ldap", automatic=True)}
        self._pair.here.miss_a_slot()

        def new() -> list[Any]:
            found = self.over.jobs(kind="ldap", automatic=True)
            return [job for job in found if job["id"] not in before]

        with self._pair.here.daemon():
            [done] = until("the scheduled run is there", new)
        assert (done["ready"], done["succeeded"]) == (True, True), done["result_message"]
        return str(done["result_message"])


@contextmanager
def far(pair: Pair, params: Mapping[str, Any]) -> Iterator[Remote]:
    """A server with the connection, for the length of the block; its daemon is yet to be started here."""
    with ExitStack() as stack:
        stack.enter_context(pair.there.daemon())
        yield Remote(pair, pair.over(), params)


def follow(opening: AbstractContextManager[Club], pair: Pair) -> None:
    """Let a club live by jobs, and at its end by the schedule."""
    with opening as club, far(pair, club.params()) as books:
        with pair.here.daemon():
            lead(club, books)
        club.add("fay")
        club.join("ops", "fay")
        club.leave("ops", "ada")
        message = books.fall_due()
        assert "1 user created" in message, message
        there = books.accounts()
        assert there["fay@example.com"].groups == {"Operators"}
        assert there["ada.roe@example.com"].groups == {"Developers"}
        with pair.here.daemon():
            assert books.sync().startswith("Nothing to change.")


@pytest.mark.slow
@pytest.mark.xdist_group("slapd")
def test_a_servers_accounts_follow_openldap(pair: Pair, slapd_server: SlapdServer) -> None:
    """Whoever comes, is renamed, moves, is disabled, leaves and returns is seen for what he is over there."""
    follow(open_ldap_club(slapd_server), pair)


@pytest.mark.slow
@pytest.mark.xdist_group("samba")
def test_a_servers_accounts_follow_a_domain(pair: Pair, samba_server: SambaServer) -> None:
    """The same in Active Directory."""
    follow(domain_club(samba_server), pair)


@pytest.mark.slow
@pytest.mark.xdist_group("slapd")
@pytest.mark.parametrize("number", [2_500, pytest.param(10_000, marks=pytest.mark.torture)])
def test_large_groups_are_members_over_there(pair: Pair, slapd_server: SlapdServer, number: int) -> None:
    """Each member once, however many; the second run plans nothing, the schedule finds a single leaver."""
    names = [f"u{each}" for each in range(number)]
    with open_ldap_club(slapd_server) as club, far(pair, {**club.params(), "page_size": 1000}) as books:
        dns = [f"uid={name},{PEOPLE}" for name in names]
        slapd_server.reset([*map(person, names), group("devs", dns), group("ops", dns[:1])])
        with pair.here.daemon():
            assert books.sync(seconds=300).startswith(f"{number} users created, {number + 1} members added")
            found = books.accounts()
            assert len(found) == number
            assert all("Developers" in each.groups for each in found.values())
            assert books.sync().startswith("Nothing to change.")
        with slapd_administrator(slapd_server) as directory:
            gone = [Modification(Edit.DELETE, "member", [dns[-1]])]
            directory.modify(f"cn=devs,{GROUPS}", gone)
        assert books.fall_due().startswith("1 user deactivated.")


@pytest.mark.torture
@pytest.mark.xdist_group("samba")
@pytest.mark.parametrize("number", [2_500, 10_000])
def test_a_domains_large_groups_are_members_over_there(
    pair: Pair, samba_server: SambaServer, number: int
) -> None:
    """The same in Active Directory."""
    with domain_club(samba_server) as club, far(pair, {**club.params(), "page_size": 1000}) as books:
        with samba_administrator(samba_server) as directory:
            dns = [add_account(directory, f"u{each}") for each in range(number)]
            devs = add_group(directory, "devs", *dns)
            add_group(directory, "ops", dns[0])
        with pair.here.daemon():
            assert books.sync(seconds=600).startswith(f"{number} users created, {number + 1} members added")
            found = books.accounts()
            assert len(found) == number
            assert all("Developers" in each.groups for each in found.values())
            assert books.sync(seconds=300).startswith("Nothing to change.")
        with samba_administrator(samba_server) as directory:
            directory.modify(devs, [Modification(Edit.DELETE, "member", [dns[-1]])])
        assert books.fall_due().startswith("1 user deactivated.")
