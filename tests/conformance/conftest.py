"""The connectors that the kit is tried with, installed as anyone's package is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.machine import PATIENCE, ROOT

REFERENCE = ROOT / "tests" / "packages" / "reference"


def install(package: Path, folder: Path) -> None:
    """Install a package into ``folder``, for ``[plugins] path``."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    flags = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([*pip, *flags, package], check=True, timeout=PATIENCE)


@pytest.fixture(scope="session", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the folder in which the reference connectors are installed, and let the kit find it."""
    folder = tmp_path_factory.mktemp("plugins")
    install(REFERENCE, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER__PLUGINS__PATH", str(folder))
        yield folder
