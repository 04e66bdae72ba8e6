"""Connectors that break one promise fail in the test of that promise, and in no other."""

import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from tests.conformance.broken_arenas import BROKEN
from tests.servers.machine import ROOT

PATIENCE = 1200  # seconds for one of them; half a minute on a machine that has nothing else to do

AT_LENGTH = {"broken_before", "broken_current", "broken_planning", "broken_reason", "broken_record"}
"""Those of which only ``make torture`` makes sure: each is a whole run of the kit."""

CASES = [
    pytest.param(system, promise, marks=[pytest.mark.torture] if system in AT_LENGTH else [])
    for system, promise in BROKEN.items()
]


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize(("system", "promise"), CASES)
def test_a_broken_promise_is_found(system: str, promise: str, plugins: Path, tmp_path: Path) -> None:
    """A connector that breaks one promise fails in the test of it, and in that one alone."""
    told = tmp_path / "told.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", f"tests/conformance/broken_arenas.py::Test_{system}"),
            *("-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}", f"--junitxml={told}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    cases = list(etree.parse(told).iter("testcase"))
    assert {_promise(case) for case in cases} >= set(BROKEN.values())  # it was held to the others as well
    assert {_promise(case) for case in cases if _failed(case)} == {promise}


def _promise(case: etree._Element) -> str:
    return str(case.attrib["name"]).partition("[")[0]


def _failed(case: etree._Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None
