"""``runner config``: a file to begin with, and what is in force and why."""

import json
from pathlib import Path

import pytest

from tests.servers.machine import Machine


@pytest.fixture
def file(tmp_path: Path, machine: Machine) -> Path:
    """Give a configuration file with a drop-in; the environment has its say too."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "more.toml").write_text(
        "[engine]\nretries = 7\n[[connection]]\nname = 'east'\nsystem = 'rally'\nfrequency = 'daily'\n"
    )
    (tmp_path / "url").write_text("postgresql+psycopg://runner:opensesame@db.example/runner\n")
    main = tmp_path / "runner.toml"
    main.write_text(
        f"[engine]\nretries = 5\nconcurrency = 2\n[store]\nurl = 'file:{tmp_path}/url'\n"
        "[safety]\nmax_destructive = 9\n"
    )
    machine.settings["RUNNER__SAFETY__MAX_DESTRUCTIVE"] = "11"
    return main


def test_show_tells_values_and_origins(machine: Machine, file: Path) -> None:
    """Each setting with where it comes from: the environment, then drop-ins, then the file have their say."""
    shown = json.loads(machine.type("config", "show", "--json", "--config", file).stdout)
    drop_in = str(file.parent / "conf.d" / "more.toml")
    assert shown["safety.max_destructive"] == {"value": 11, "origin": "the environment"}
    assert shown["engine.retries"] == {"value": 7, "origin": drop_in}
    assert shown["engine.concurrency"] == {"value": 2, "origin": str(file)}
    assert shown["engine.job_timeout"] == {"value": "2h", "origin": "default"}
    assert shown["engine.memory_limit"] == {"value": "1GiB", "origin": "default"}
    assert shown["connection east"] == {"value": "rally, daily", "origin": drop_in}
    told = machine.type("config", "show", "--origins", "--config", file).stdout
    assert drop_in in told
    assert "(the environment)" in told


def test_show_masks_secrets(machine: Machine, file: Path) -> None:
    """A password in a URL is masked, wherever it came from."""
    for flags in ([], ["--json"], ["--origins"]):
        done = machine.type("config", "show", *flags, "--config", file)
        assert done.returncode == 0, done.stderr
        assert "opensesame" not in done.stdout + done.stderr
        assert "postgresql+psycopg://runner:********@db.example/runner" in done.stdout


def test_init_writes_a_file_to_begin_with(machine: Machine, tmp_path: Path) -> None:
    """It changes nothing until something in it is uncommented, and never goes over a file that is there."""
    made = tmp_path / "made.toml"
    done = machine.type("config", "init", made)
    assert (done.returncode, "runner check --config" in done.stdout) == (0, True)
    assert machine.type("check", "--offline", "--config", made).returncode == 0
    assert machine.type("config", "init").stdout == made.read_text()
    made.write_text("# mine\n")
    again = machine.type("config", "init", made)
    assert (again.returncode, "is there already" in again.stderr) == (78, True)
    assert made.read_text() == "# mine\n"


def test_the_log_is_for_people_where_they_want_it(machine: Machine) -> None:
    """Lines of text instead of objects, though nobody sits at a terminal."""
    machine.settings["RUNNER__LOG__FORMAT"] = "console"
    done = machine.type("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "daemon_started" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("{")]


def test_the_state_is_where_it_is_set(machine: Machine) -> None:
    """Store, uploads and the lock are made in the folder that is named, and nowhere else."""
    machine.settings["RUNNER__STATE_DIR"] = str(machine.state / "elsewhere")
    assert machine.type("run", "--once").returncode == 0
    assert [path.name for path in machine.state.iterdir()] == ["elsewhere"]
    assert {"runner.db", "uploads"} <= {path.name for path in (machine.state / "elsewhere").iterdir()}
