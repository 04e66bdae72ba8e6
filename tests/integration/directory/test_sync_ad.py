"""The directory's people at the platform, with Active Directory: Samba, over LDAPS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.conformance.daemons import Daemons
from runner.directory.port import Edit, Modification
from tests.integration.directory.clubs import USERS, add_account, add_group, samba_administrator
from tests.integration.directory.days import DAYS, live_through
from tests.integration.directory.stage import Stage
from tests.servers import samba
from tests.servers.fault_proxy import fault_proxy
from tests.servers.samba import SambaServer

pytestmark = pytest.mark.xdist_group("samba")


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


def test_groups_in_groups_and_primary_groups_count(
    new_stage: Callable[..., Stage], domain: SambaServer
) -> None:
    """The domain follows memberships itself, circles too; a primary group's members are in no list."""
    with samba_administrator(domain) as directory:
        ada, bob = add_account(directory, "ada"), add_account(directory, "bob")
        inner = add_group(directory, "inner", bob)
        devs = add_group(directory, "devs", ada, inner)
        directory.modify(inner, [Modification(Edit.ADD, "member", [devs])])
    stage = new_stage()
    stage.succeed()
    assert stage.members() == ["ada@example.com", "bob@example.com"]
    with samba_administrator(domain) as directory:
        add_account(directory, "cem")  # like everybody, of the domain's users by primary group only
        directory.modify(inner, [Modification(Edit.ADD, "member", [f"CN=Domain Users,{USERS}"])])
    stage.succeed()
    assert "cem@example.com" in stage.members()


@pytest.mark.parametrize("number", [2_500, pytest.param(10_000, marks=pytest.mark.torture)])
def test_large_groups_are_read_whole(
    new_stage: Callable[..., Stage], domain: SambaServer, number: int
) -> None:
    """Each member once, however many; the second run plans nothing."""
    with samba_administrator(domain) as directory:
        add_group(directory, "devs", *(add_account(directory, f"u{each}") for each in range(number)))
    stage = new_stage()
    stage.succeed()
    assert len(stage.members()) == number
    assert stage.succeed() == []


def test_no_bad_day_of_a_domain_locks_anybody_out(
    new_stage: Callable[..., Stage], domain: SambaServer
) -> None:
    """Whatever cuts a reading short, the run fails with its reason, and writes nothing.

    Nor does it say anything in clear: the proxy before the domain takes TLS only.
    """
    with samba_administrator(domain) as directory:
        add_group(directory, "devs", *(add_account(directory, f"u{each}") for each in range(200)))
    stage = new_stage(page_size=100, timeout=2)
    assert len(stage.succeed()) == 400
    usual = dict(stage.params)
    for name, day in DAYS.items():
        with fault_proxy(domain.address, samba.TLS_PORT, tls=domain.certificates) as proxy:
            stage.params = {**usual, "ldap_server": f"localhost:{proxy.port}"}
            stage.set()
            try:
                live_through(day, stage, proxy, secret=samba.ADMIN_PASSWORD)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
    stage.params = usual
    stage.set()
    assert stage.succeed() == []
