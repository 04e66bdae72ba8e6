"""Machines for the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.machine import Machine, free_port, install_acme


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine on which nothing was ever run."""
    return Machine(tmp_path / "state", {"RUNNER__SERVER__LISTEN": ""})


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[Machine]:
    """Give a machine whose daemon runs with the sample project; the tests that share it only add to it."""
    port = free_port()
    machine = Machine(
        tmp_path_factory.mktemp("lasting") / "state",
        {
            "RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
        },
    )
    with machine.daemon("--sample"):
        yield machine


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which somebody else's connectors are installed."""
    folder = tmp_path_factory.mktemp("plugins")
    install_acme(folder)
    return folder
