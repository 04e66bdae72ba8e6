"""The unit as systemd reads it, without one that runs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.absence import server_is_absent
from tests.servers.machine import ROOT

UNIT = ROOT / "systemd" / "integration-runner.service"
EXPOSED_AT_MOST = 1.5


@pytest.fixture
def analyze() -> str:
    """Give the program that reads units."""
    found = shutil.which("systemd-analyze")
    if found is None:
        server_is_absent("systemd-analyze", "Debian's package systemd")
    return found


def test_systemd_finds_nothing_wrong(analyze: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of the unit, once its command is installed."""
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/runner", "/bin/true")
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)
    unit = tmp_path / UNIT.name
    unit.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.splitlines() if UNIT.stem in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_unit_is_shut_tight(analyze: str) -> None:
    """The exposure that `systemd-analyze security` counts stays at 1.5 or below, of 10."""
    threshold = f"--threshold={EXPOSED_AT_MOST * 10:.0f}"
    done = subprocess.run(
        [analyze, "security", "--offline=true", threshold, UNIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
