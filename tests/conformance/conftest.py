"""The connectors that the kit is tried with, installed as anyone's package is."""

from pathlib import Path

import pytest

from tests.servers.machine import ROOT, install

REFERENCE = ROOT / "tests" / "packages" / "reference"


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which the reference connectors are installed."""
    folder = tmp_path_factory.mktemp("plugins")
    install(REFERENCE, folder)
    return folder


@pytest.fixture(autouse=True)
def _plugins_are_found(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kit find them, and other folders' tests not."""
    monkeypatch.setenv("RUNNER__PLUGINS__PATH", str(plugins))
