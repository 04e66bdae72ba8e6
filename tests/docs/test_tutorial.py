"""The tutorial tells what really happens."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulators.rally.sample import sample_server
from tests.servers.machine import REPORT, ROOT, Machine
from tests.servers.terminal import Shell, type_all


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give the second terminal, in a checkout where ``make run`` has brought all up."""
    report = tmp_path / "runner" / "sample" / "report.xml"
    report.parent.mkdir(parents=True)
    shutil.copy(REPORT, report)
    later = (datetime.now(UTC).minute + 30) % 60  # no slot comes in between, and no job by itself
    with sample_server(port=0) as rally:
        environment = {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__SCHEDULER__HOURLY_AT": str(later),
            "RUNNER_SAMPLE_RALLY": f"127.0.0.1:{rally.port}",
        }
        machine = Machine(tmp_path / "var", environment)
        with machine.daemon("--sample"):
            yield Shell(machine, tmp_path)


@pytest.mark.slow
def test_the_tutorial_tells_what_happens(shell: Shell) -> None:
    """Each command of the tutorial prints what it says, in its order."""
    assert type_all(ROOT / "docs" / "tutorial.md", shell) == 10
