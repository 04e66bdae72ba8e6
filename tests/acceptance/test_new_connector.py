"""``runner plugins new``: the package that it writes works, as the page about writing a connector says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.store.schema import tasks
from tests.servers.at_rest import AtRest
from tests.servers.lives import live
from tests.servers.machine import ROOT, Machine, install
from tests.servers.waiting import PATIENCE

STARTER = ROOT / "runner" / "starter" / "punchlist_connector" / "connector.py"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the package of a new connector, ``water_pipes``, beside the folder it is installed in."""
    folder = tmp_path_factory.mktemp("new")
    done = Machine(folder / "state").type("plugins", "new", "water_pipes", "--into", folder)
    assert done.returncode == 0, done.stderr
    install(folder / "water-pipes-connector", folder / "plugins")
    return folder / "water-pipes-connector"


@pytest.mark.slow  # the whole kit, in a process of its own: what an author sees
def test_its_tests_pass(package: Path) -> None:
    """The new connector keeps every promise, by its own tests."""
    plugins = package.with_name("plugins")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env=os.environ | {"RUNNER__PLUGINS__PATH": str(plugins)},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 5,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"\d\d passed in .*", done.stdout.splitlines()[-1])


def test_it_runs_in_a_daemon(tmp_path: Path, package: Path) -> None:
    """Allowed by name, it runs as a job and does what its README says."""
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(package.with_name("plugins")),
            "RUNNER__PLUGINS__ALLOW": '["water_pipes"]',
        },
    )
    source = tmp_path / "list.json"
    with AtRest(machine.state) as rest:
        project = rest.fill_sample()
        rest.drop_jobs()
        rest.add_job(rest.add_connection("water_pipes", {"source": str(source)}, project=project))
        with rest.database.read() as c:
            [last, *others] = c.execute(
                sa.select(tasks.c.task_id).where(tasks.c.project_id == project)
            ).scalars()
    source.write_text(json.dumps({"total": len(others), "open": others}), encoding="utf-8")
    assert live(machine) == 0
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
        [change] = rest.journal(job.id)
    assert (job.outcome, job.result_message) == ("succeeded", "1 task closed.")
    assert change.subject.startswith(f"{last}: ")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Water-Pipes", "small letters"),
        ("rally", "of the runner itself"),
        ("water_pipes", "is there already"),
    ],
)
def test_a_name_that_would_do_harm_is_refused(package: Path, name: str, why: str) -> None:
    """One that can't be a name, one of the runner's own, and a folder that is there: refused, untouched."""
    before = sorted(package.rglob("*"))
    done = Machine(package.parent / "state").type("plugins", "new", name, "--into", package.parent)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert sorted(package.rglob("*")) == before


def test_a_complete_connector_is_short() -> None:
    """The connector that the page shows has less than 80 lines."""
    assert len(STARTER.read_text(encoding="utf-8").splitlines()) < 80
