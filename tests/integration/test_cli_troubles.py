"""What the commands say when the server refuses, is away, or the output can't be written."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.canned_answers import CONNECTION, STATUS, WAITING, job
from tests.servers.canned_api import CannedApi, Type, served


@pytest.mark.parametrize(
    ("status", "body", "ends"),
    [
        (400, {"connection": ["Not yours."]}, (1, "connection: Not yours.")),
        (401, {"detail": "Invalid token."}, (77, "Invalid token.")),
        (403, {"detail": "Needs the scope run."}, (77, "Needs the scope run.")),
        (404, b"<html>", (69, "not this API")),
        (200, b"<html>", (69, "not this API")),
        (200, {"hello": "world"}, (69, "not this API")),
        (302, {}, (69, "not this API")),
        (409, {"detail": "It runs."}, (1, "It runs.")),
        (429, {"detail": "Slow down."}, (69, "Slow down. Try again in 9 s.")),
        (500, b"", (1, "its log has the details")),
        (503, {"detail": "Draining."}, (69, "Draining.")),
    ],
)
def test_refusals_become_sentences(
    api: CannedApi, type_line: Type, status: int, body: Any, ends: tuple[int, str]
) -> None:
    """Whatever a server answers, the operator reads a sentence and programs an exit code."""
    api.answer("GET", "jobs/", body, status=status, headers={"Retry-After": "9"} if status == 429 else {})
    code, out, err = type_line("jobs list")
    assert (code, out) == (ends[0], "")
    assert err.startswith("runner: ")
    assert ends[1] in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "line",
    ["status", "connections run 1 --wait", "connections preview 1", "upload {report} --project 1 --wait"],
)
def test_without_a_daemon(
    line: str, type_line: Type, tmp_path: Path, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs a daemon that runs on says how to start one, and ends with 69."""
    monkeypatch.setenv("RUNNER__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    code, out, err = type_line(line.format(report=report))
    assert (code, out) == (69, "")
    assert "No daemon is running" in err
    assert "runner run" in err
    assert not (tmp_path / "state").exists()


def test_a_dead_daemon_s_socket_is_no_daemon(
    type_line: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket that a killed daemon leaves behind is not taken for one that answers."""
    monkeypatch.setenv("RUNNER__STATE_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with served(CannedApi(), tmp_path / "alive.sock"):
        (tmp_path / "alive.sock").rename(tmp_path / "runner.sock")
    assert "No daemon is running" in type_line("status")[2]


def test_the_service_s_runtime_directory_comes_first(
    type_line: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under systemd the socket is in its own folder, not beside the store."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNNER__STATE_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    api = CannedApi()
    api.answer("GET", "status/", STATUS)
    with served(api, tmp_path / "run" / "runner.sock"):
        assert type_line("status")[0] == 0


def test_a_path_longer_than_an_address(
    type_line: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket in a folder with a very long name is reached all the same."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("RUNNER__STATE_DIR", str(folder))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    api = CannedApi()
    api.answer("GET", "status/", STATUS)
    with served(api, folder / "runner.sock"):
        assert type_line("status")[0] == 0


def test_token_file_without_url(api: CannedApi, type_line: Type, tmp_path: Path) -> None:
    """A token for nobody is a slip that is pointed out."""
    code, _, err = type_line(f"jobs list --token-file {tmp_path / 'x'}")
    assert code == 2
    assert "--url" in err


def test_a_server_that_isn_t_there(type_line: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody answers ends with 69."""
    monkeypatch.setenv("RUNNER_TOKEN", "secret")
    code, _, err = type_line("jobs list --url http://127.0.0.1:9")
    assert code == 69
    assert "127.0.0.1:9" in err
    assert "secret" not in err


def test_a_reader_that_leaves(api: CannedApi) -> None:
    """``runner … | head`` ends quietly when head has seen enough."""
    api.listing("jobs/", [job(number) for number in range(20000, 0, -1)])
    ours = subprocess.Popen(
        [sys.executable, "-m", "runner", "jobs", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert ours.stdout is not None
    assert ours.stderr is not None
    with contextlib.closing(ours.stdout), contextlib.closing(ours.stderr):
        assert ours.stdout.readline() == b"[\n"
        ours.stdout.close()
        assert ours.wait(30) == 141
        assert ours.stderr.read() == b""


def test_an_interrupt_is_quiet(api: CannedApi, type_line: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting ends with 130 and without a word."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    api.listing("connections/", [CONNECTION])
    api.answer("POST", "jobs/analysis/", {"id": 7}, status=201)
    api.answer("GET", "jobs/analysis/7/", job(**WAITING))
    assert type_line("connections run 10 --wait") == (130, "", "")


def test_a_full_disk_is_a_sentence(api: CannedApi) -> None:
    """Output that can't be written is reported, not dumped."""
    api.answer("GET", "status/", STATUS)
    with Path("/dev/full").open("wb") as full:
        ours = subprocess.run(
            [sys.executable, "-m", "runner", "status", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert (ours.returncode, ours.stderr) == (1, "runner: The system: No space left on device.\n")
