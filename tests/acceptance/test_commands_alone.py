"""The commands on a machine where no daemon runs, and the daemon's own beginning and end."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from tests.servers.machine import REPORT, Machine
from tests.servers.waiting import PATIENCE


def test_a_bad_configuration(machine: Machine, tmp_path: Path) -> None:
    """A file with an error ends with 78 and names the setting, for every command that reads it."""
    bad = tmp_path / "runner.toml"
    bad.write_text("[engine]\nconcurency = 3\n", encoding="utf-8")
    for words in [("run",), ("check",), ("jobs", "list"), ("db", "status")]:
        done = machine.type(*words, "--config", bad)
        assert done.returncode == 78, words
        assert "concurrency" in done.stdout + done.stderr
    assert not machine.state.exists()


def test_check_without_a_store(machine: Machine, tmp_path: Path) -> None:
    """On a fresh machine all is well and nothing is made; what is missing is named."""
    assert machine.type("check").returncode == 0
    assert machine.type("check", "--offline").returncode == 0
    assert not machine.state.exists()
    missing = machine.type("check", RUNNER__PLUGINS__PATH=str(tmp_path / "none"))
    assert missing.returncode == 78
    assert "FAILED" in missing.stdout
    away = machine.type("check", RUNNER__STORE__URL=f"sqlite:///{tmp_path}")
    assert away.returncode == 69


def test_db_without_a_daemon(machine: Machine) -> None:
    """The schema is shown and brought up to date without a daemon."""
    assert machine.json("db", "status")["schema"] is None
    assert machine.type("db", "upgrade").returncode == 0
    row = machine.json("db", "status")
    assert (row["up_to_date"], row["daemon"]) == (True, "stopped")


def test_without_a_daemon(machine: Machine) -> None:
    """The same commands work in process; what needs a daemon says so."""
    made = machine.json("tokens", "create", "--user", "ada@example.org", "--admin")
    assert [row["id"] for row in machine.json("tokens", "list")] == [made["id"]]
    assert machine.json("jobs", "list") == []
    assert machine.json("connections", "list") == []
    away = machine.type("status")
    assert away.returncode == 69
    assert "No daemon is running" in away.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="wants to be root")
def test_root_becomes_the_owner_of_the_state() -> None:
    """What root does in the service's state directory stays the service's."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "state", {"RUNNER__SERVER__LISTEN": ""})
        Path(folder).chmod(0o755)  # pytest's own folders are root's alone
        machine.state.mkdir()
        os.chown(machine.state, nobody, nobody)
        done = machine.type("tokens", "create", "--user", "ada@example.org", "--admin")
        if "may not read this installation" in done.stderr:
            pytest.skip("only root may read this installation")
        assert done.returncode == 0, done.stderr
        assert {path.stat().st_uid for path in machine.state.rglob("*")} == {nobody}


def test_an_upload_waits_for_run_once(machine: Machine) -> None:
    """What is queued without a daemon is done by ``run --once``, which prints it and ends."""
    first = machine.type("run", "--once", "--sample")
    assert first.returncode == 0, first.stderr
    queued = machine.type("upload", REPORT, "--project", "Webshop")
    assert queued.returncode == 0, queued.stderr
    assert "waits" in queued.stderr
    [job, *_] = machine.json("jobs", "list")
    assert job["state"] == "pending"
    done = machine.type("run", "--once")
    assert done.returncode == 0, done.stderr
    done_row = machine.json("jobs", "show", job["id"])
    assert done_row["outcome"] == "succeeded"
    assert done_row["message"] in done.stdout
    assert machine.type("run", "--once").stdout == "Nothing was pending or due.\n"


def test_run_once_tells_of_failures(machine: Machine, tmp_path: Path) -> None:
    """A job that fails under ``--once`` is in the table, and the exit code is 1."""
    assert machine.type("run", "--once", "--sample").returncode == 0
    bad = tmp_path / "bad.xml"
    bad.write_text("<ReportDefinition><cut", encoding="utf-8")
    assert machine.type("upload", bad, "--project", "Webshop").returncode == 0
    done = machine.type("run", "--once")
    assert done.returncode == 1
    assert "failed" in done.stdout


def test_a_report_that_is_too_large(machine: Machine) -> None:
    """A report above the limit is refused with a sentence, while it is being sent."""
    machine.settings["RUNNER__SERVER__MAX_UPLOAD"] = "1KiB"
    assert machine.type("run", "--once", "--sample").returncode in {0, 1}
    done = machine.type("upload", REPORT, "--project", "Webshop")
    assert done.returncode == 1
    assert "large" in done.stderr


def test_a_daemon_drains_on_sigterm(machine: Machine) -> None:
    """The first SIGTERM ends an idle daemon with 0, and its socket is gone."""
    with machine.daemon() as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert machine.type("status").returncode == 69


def test_a_killed_daemon_is_no_obstacle(machine: Machine) -> None:
    """After a kill, commands work at once although the socket is still there."""
    with machine.daemon() as process:
        process.kill()
        process.wait(PATIENCE)
    assert machine.json("jobs", "list") == []
