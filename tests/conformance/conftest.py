"""The connectors that the kit is tried with, installed as anyone's package is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.machine import ROOT, install

REFERENCE = ROOT / "tests" / "packages" / "reference"


@pytest.fixture(scope="session", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the folder in which the reference connectors are installed, and let the kit find it."""
    folder = tmp_path_factory.mktemp("plugins")
    install(REFERENCE, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER__PLUGINS__PATH", str(folder))
        yield folder
