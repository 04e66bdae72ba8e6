"""Connectors that break one promise fail in the test of that promise, and in no other."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from lxml import etree

from tests.conformance.broken_arenas import BROKEN
from tests.servers.machine import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("broken connectors")]

PATIENCE = 1200  # seconds for all of them; a minute or two on a machine that has nothing else to do


@pytest.fixture(scope="module")
def failed(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Give the tests that failed, by connector, after the kit was run over all of them."""
    folder = tmp_path_factory.mktemp("broken")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "tests/conformance/broken_arenas.py"),
            *("-n", "2", "-p", "no:cacheprovider"),
            *(f"--basetemp={folder / 'tmp'}", f"--junitxml={folder / 'told.xml'}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, set[str]] = defaultdict(set)
    for case in etree.parse(folder / "told.xml").iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            system = case.attrib["classname"].rpartition("Test_")[2]
            found[system].add(case.attrib["name"].partition("[")[0])
    return found


@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize(("system", "promise"), BROKEN.items())
def test_a_broken_promise_is_found(failed: Mapping[str, set[str]], system: str, promise: str) -> None:
    """A connector that breaks one promise fails in the test of it, and in that one alone."""
    assert failed[system] == {promise}
