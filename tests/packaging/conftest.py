"""A Debian package of this tree, and a machine with systemd to install it on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import debian
from tests.servers.absence import server_is_absent
from tests.servers.machine import REPORT, ROOT, install_acme

BUILD = 600  # seconds
HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of this folder in the order of a service's life; all others are shuffled."""
    places = [number for number, item in enumerate(items) if item.path.parent == HERE]
    ours = sorted((items[number] for number in places), key=lambda item: (item.path, _line(item)))
    for number, item in zip(places, ours, strict=True):
        items[number] = item


def _line(item: pytest.Item) -> int:
    return item.location[1] or 0


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the package, a later version of it, a report, and somebody else's connectors."""
    folder = tmp_path_factory.mktemp("shared")
    manual = tmp_path_factory.mktemp("manual")
    sphinx = [sys.executable, "-m", "sphinx", "-b", "man", "-q", str(ROOT / "docs"), str(manual)]
    subprocess.run(sphinx, check=True, timeout=BUILD, stdin=subprocess.DEVNULL)
    built = subprocess.run(
        [ROOT / "packaging" / "debian" / "build", folder],
        check=False,
        timeout=BUILD,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "COMPRESSION": "none", "MAN_PAGES": str(manual)},
    )
    assert built.returncode == 0, built.stderr
    package = Path(built.stdout.strip())
    package.rename(folder / "first.deb")
    _bring_forward(folder / "first.deb", folder / "second.deb")
    shutil.copy(REPORT, folder / "report.xml")
    (folder / "plugins").mkdir()
    install_acme(folder / "plugins")
    folder.chmod(0o755)
    return folder


def _bring_forward(package: Path, later: Path) -> None:
    """Make the same package again, as the version 99."""
    unpacked = later.with_suffix("")
    run = [
        ["dpkg-deb", "--raw-extract", str(package), str(unpacked)],
        ["dpkg-deb", "-Znone", "--build", str(unpacked), str(later)],
    ]
    subprocess.run(run[0], check=True, timeout=BUILD)
    control = unpacked / "DEBIAN" / "control"
    lines = control.read_text(encoding="utf-8").splitlines()
    control.write_text(
        "".join(f"{'Version: 99' if line.startswith('Version:') else line}\n" for line in lines),
        encoding="utf-8",
    )
    again = ["dpkg-deb", "-Znone", "--build", str(unpacked), str(later)]
    subprocess.run(again, check=True, timeout=BUILD, stdout=subprocess.DEVNULL)
    shutil.rmtree(unpacked)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a small Debian system: a fresh one, or what ``DEBIAN_BASE`` names."""
    missing = debian.why_not()
    if missing is not None:
        server_is_absent("a system to boot", missing)
    if kept := os.environ.get("DEBIAN_BASE"):
        return Path(kept)
    folder = tmp_path_factory.mktemp("debian") / "base"
    debian.make_base(folder)
    return folder


@pytest.fixture(scope="module")
def machine(
    base: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[debian.DebianMachine]:
    """Give a machine on which the package is installed."""
    console = tmp_path_factory.mktemp("console") / "log"
    with debian.booted(base, shared=shared, log=console) as booted:
        booted.do("dpkg -i /srv/first.deb")
        yield booted
