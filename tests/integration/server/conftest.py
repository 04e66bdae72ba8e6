"""Fixtures of the tests against a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.server.app import create_app
from runner.server.local import as_local_administrator
from runner.server.serve import HttpServer
from runner.server.services import Services
from runner.settings import Settings
from runner.store.database import open_database
from runner.store.schema import metadata
from runner.store.vault import Vault
from tests.integration.server.kit import Clock, EngineStandIn, Running
from tests.integration.server.site import Site, running

ON_BOTH = {
    "test_server_agents",
    "test_server_connections",
    "test_server_deeds",
    "test_server_initiate",
    "test_server_jobs",
    "test_server_journal",
    "test_server_people",
    "test_server_securitycenter",
}
"""Files whose tests run on PostgreSQL as well: their queries differ between the two."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases of a test's server."""
    if "server" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in ON_BOTH
        postgres = pytest.param("postgresql", marks=pytest.mark.postgres)
        metafunc.parametrize("server", ["sqlite", postgres] if both else ["sqlite"], indirect=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon with the sample project, shared by the tests of the group ``daemon``, which only add to it."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server that listens on a free port and on a socket, over an empty store."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    settings = Settings.model_validate(
        {
            "state_dir": str(tmp_path),
            "server": {"listen": "127.0.0.1:0", "max_upload": "3MiB"},
            "store": {"url": url},
        }
    )
    database = open_database(settings.store_url)
    database.write(metadata.create_all)
    engine, clock = EngineStandIn(), Clock()
    services = Services(
        settings_now=lambda: settings,
        database=database,
        engine=engine,
        vault=Vault(tmp_path / "secrets.key"),
        uploads=uploads,
        clock=clock,
    )
    app = create_app(services)
    http = HttpServer(
        listen=settings.server.listen,
        app=app,
        socket_path=tmp_path / "runner.sock",
        socket_app=as_local_administrator(app),
    )
    http.start()
    running = Running(
        base=f"http://127.0.0.1:{http.port}",
        socket=tmp_path / "runner.sock",
        services=services,
        engine=engine,
        clock=clock,
    )
    yield running
    for client in running.clients:
        client.close()
    http.stop()
    database.close()
