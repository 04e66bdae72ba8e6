"""The documentation can be built, by ``make docs``."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.machine import PATIENCE, ROOT


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """Each page is in the tree, each reference leads somewhere; what Sphinx warns of is an error."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", "-q"]
    done = subprocess.run(
        [*command, ROOT / "docs", tmp_path / "html", "-d", tmp_path / "doctrees"],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "commands.html").read_text(encoding="utf-8")
    assert 'id="runner-jobs-revert"' in page
