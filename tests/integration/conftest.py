"""Fixtures that the tests of commands share."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cli import follow
from runner.cli.app import run
from tests.servers.canned_api import CannedApi, Type, served


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedApi]:
    """Stand in for the daemon of a fresh state directory."""
    monkeypatch.setenv("RUNNER__STATE_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(follow, "_SHORTEST", 0.001)
    api = CannedApi()
    with served(api, tmp_path / "runner.sock"):
        yield api


@pytest.fixture
def type_line(capsys: pytest.CaptureFixture[str]) -> Type:
    """Give a function that runs one command line: exit code, standard output, standard error."""

    def type_line(line: str) -> tuple[int, str, str]:
        code = run(shlex.split(line))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return type_line


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Give a small report."""
    file = tmp_path / "report.xml"
    file.write_bytes(b'<?xml version="1.0"?>\n<ReportDefinition type="xml"/>')
    return file
