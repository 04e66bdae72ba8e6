"""The documentation can be built, by ``make docs``."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.machine import ROOT
from tests.servers.waiting import PATIENCE


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the documentation, built for the browser and for man."""
    folder = tmp_path_factory.mktemp("built")
    for builder in ("html", "man"):
        command = [sys.executable, "-m", "sphinx", "-b", builder, "-W", "--keep-going", "-n", "-q"]
        done = subprocess.run(
            [*command, ROOT / "docs", folder / builder, "-d", folder / "doctrees"],
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(built: Path) -> None:
    """Each page is in the tree, each reference leads somewhere; what Sphinx warns of is an error."""
    page = (built / "html" / "commands.html").read_text(encoding="utf-8")
    assert 'id="runner-jobs-revert"' in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "head", "told"),
    [
        ("integration-runner.8", '.TH "INTEGRATION-RUNNER" "8"', "journalctl -u integration-runner"),
        ("runner.1", '.TH "RUNNER" "1"', "allow-destructive"),
        ("runner.toml.5", '.TH "RUNNER.TOML" "5"', "max_destructive_share"),
    ],
)
def test_the_manual_has_its_pages(built: Path, page: str, head: str, told: str) -> None:
    """The command, its configuration and the service have man pages with what belongs there."""
    text = (built / "man" / page).read_text(encoding="utf-8").replace("\\", "")
    assert head in text
    assert told in text
