"""Fixtures that every folder of tests may use."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers import samba, slapd
from tests.servers.absence import server_is_absent
from tests.servers.postgres import PostgresServer, find_programs, private_postgres
from tests.servers.samba import SambaServer, private_samba
from tests.servers.slapd import SlapdServer, private_slapd

POSTGRES_FIXTURES = {"postgres_server", "new_postgres_url", "postgres_url"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need PostgreSQL, so that ``-m postgres`` and ``-m "not postgres"`` are right."""
    for item in items:
        if isinstance(item, pytest.Function) and POSTGRES_FIXTURES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give the one server of this test process; a test that stops it starts it again."""
    programs = find_programs()
    if programs is None:
        server_is_absent("PostgreSQL", "Debian package postgresql")
    with private_postgres(programs) as server:
        yield server


@pytest.fixture
def new_postgres_url(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Give a function that creates an empty database and returns its URL; all are dropped afterwards."""
    names: list[str] = []

    def create() -> str:
        names.append(postgres_server.create_database())
        return postgres_server.url(names[-1])

    yield create
    for name in names:
        postgres_server.drop_database(name)


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """Give the URL of one empty PostgreSQL database."""
    return new_postgres_url()


@pytest.fixture(scope="session")
def slapd_server() -> Iterator[SlapdServer]:
    """Give the one OpenLDAP server of this test process; each test resets it to what it needs."""
    programs = slapd.find_programs()
    if programs is None:
        server_is_absent("OpenLDAP", "Debian package slapd")
    with private_slapd(programs) as server:
        yield server


@pytest.fixture(scope="session")
def samba_server() -> Iterator[SambaServer]:
    """Give the one Active Directory domain of this test process; a test that fills it resets it."""
    if not samba.find_programs():
        server_is_absent("Samba", "Debian packages samba, samba-ad-provision and two more, and root")
    with private_samba() as server:
        yield server
