"""The directory's people at the platform, with Active Directory: Samba, over LDAPS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.conformance.daemons import Daemons
from runner.directory.access import Access, Security, parse_servers
from runner.directory.ad import DISABLED, NORMAL
from runner.directory.ldap import LdapDirectory
from runner.directory.opening import opened
from runner.directory.port import Edit, Modification
from runner.model.network import Network
from tests.integration.directory.stage import Stage
from tests.servers import samba
from tests.servers.samba import BASE, SambaServer

pytestmark = pytest.mark.xdist_group("samba")

USERS = f"CN=Users,{BASE}"


@contextmanager
def administrator(server: SambaServer) -> Iterator[LdapDirectory]:
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


def add_person(directory: LdapDirectory, name: str, **more: str) -> str:
    """Add an account that may log in; its DN."""
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
    """Add a group of these; its DN."""
    dn = f"CN={name},{USERS}"
    directory.add(dn, {"objectClass": ["group"], "sAMAccountName": [name], "member": list(members)})
    return dn


@pytest.fixture
def domain(samba_server: SambaServer) -> SambaServer:
    """Give the domain as it was when it was made."""
    samba_server.reset()
    return samba_server


@pytest.fixture
def new_stage(tmp_path: Path, forked_daemons: Daemons, domain: SambaServer) -> Iterator[Callable[..., Stage]]:
    """Give a function that makes a platform beside the domain."""
    stages: list[Stage] = []

    def make(**params: Any) -> Stage:
        values = {
            "ldap_server": domain.address,
            "ldap_method": "LDAPS",
            "ca_bundle": str(domain.certificates.ca),
            "bind_dn": "administrator@example.test",
            "bind_password": samba.ADMIN_PASSWORD,
            "deactivation": True,
            **params,
        }
        stage = Stage(home=tmp_path, daemons=forked_daemons, params=values, mappings={"devs": 1})
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.close()


def test_the_life_of_accounts_in_a_domain(new_stage: Callable[..., Stage], domain: SambaServer) -> None:
    """First sync, nothing more, rename, move, disable, return, leave: each is seen for what it is."""
    stage = new_stage()
    with administrator(domain) as directory:
        ada, bob = add_person(directory, "ada"), add_person(directory, "bob")
        group = add_group(directory, "devs", ada, bob)
    assert len(stage.succeed()) == 4
    assert stage.members() == ["ada@example.com", "bob@example.com"]
    assert stage.succeed() == []
    number = stage.people()["ada@example.com"]["id"]
    with administrator(domain) as directory:
        directory.modify(ada, [Modification(Edit.REPLACE, "mail", ["ada.roe@example.com"])])
        directory.add(f"OU=Far,{BASE}", {"objectClass": ["organizationalUnit"]})
        ada = directory.move(ada, rdn="CN=Ada Roe", parent=f"OU=Far,{BASE}")
        off = [Modification(Edit.REPLACE, "userAccountControl", [str(NORMAL | DISABLED)])]
        directory.modify(bob, off)
    assert stage.succeed() == ["update ada@example.com", "deactivate bob@example.com"]
    assert stage.people()["ada.roe@example.com"]["id"] == number
    with administrator(domain) as directory:
        directory.modify(bob, [Modification(Edit.REPLACE, "userAccountControl", [str(NORMAL)])])
        directory.modify(group, [Modification(Edit.DELETE, "member", [ada])])
    assert stage.succeed() == ["activate bob@example.com", "deactivate ada.roe@example.com"]


def test_groups_in_groups_and_primary_groups_count(
    new_stage: Callable[..., Stage], domain: SambaServer
) -> None:
    """The domain follows memberships itself, circles too; a primary group's members are in no list."""
    with administrator(domain) as directory:
        ada, bob = add_person(directory, "ada"), add_person(directory, "bob")
        inner = add_group(directory, "inner", bob)
        devs = add_group(directory, "devs", ada, inner)
        directory.modify(inner, [Modification(Edit.ADD, "member", [devs])])
    stage = new_stage()
    stage.succeed()
    assert stage.members() == ["ada@example.com", "bob@example.com"]
    with administrator(domain) as directory:
        add_person(directory, "cem")  # like everybody, of the domain's users by primary group only
        directory.modify(inner, [Modification(Edit.ADD, "member", [f"CN=Domain Users,{USERS}"])])
    stage.succeed()
    assert "cem@example.com" in stage.members()


def test_a_group_of_2500_is_read_whole(new_stage: Callable[..., Stage], domain: SambaServer) -> None:
    """Each member once; the second run plans nothing."""
    number = 2500
    with administrator(domain) as directory:
        members = [add_person(directory, f"u{each}") for each in range(number)]
        group = add_group(directory, "devs")
        for start in range(0, number, 1000):
            directory.modify(group, [Modification(Edit.ADD, "member", members[start : start + 1000])])
    stage = new_stage()
    stage.succeed()
    assert len(stage.members()) == number
    assert stage.succeed() == []
