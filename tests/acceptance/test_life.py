"""The daemon's life: signals, exit codes, reload, systemd, pauses, retries. Real processes, real signals."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runner.daemon import Daemon
from runner.errors import RunnerError
from runner.settings import Settings
from runner.store.schema import connections
from tests.servers.machine import COMMAND, Machine
from tests.servers.processes import assert_none_left
from tests.servers.waiting import PATIENCE, until


@pytest.fixture
def house(tmp_path: Path, plugins: Path) -> "House":
    """Give a machine whose configuration is a file, with somebody else's connectors."""
    return House(tmp_path, plugins)


class House:
    """A machine with a configuration file, and a folder that a connector keeps in step."""

    def __init__(self, home: Path, plugins: Path) -> None:
        self.home = home
        self.file = home / "runner.toml"
        self.plugins = plugins
        self.configure()
        self.machine = Machine(home / "state", {"RUNNER__SERVER__LISTEN": ""})
        self.folder, self.source = home / "folder", home / "source.json"
        self.gate, self.ledger = home / "gate", home / "ledger"
        self.folder.mkdir()
        self.source.write_text(json.dumps({"a.txt": "alpha", "b.txt": "beta"}))
        self.ledger.write_text("")

    def configure(self, text: str = "", *, engine: str = "", lists: str = "") -> None:
        """Write the configuration file."""
        allowed = '["acme_folder", "acme_later", "acme_noop"]'
        self.file.write_text(
            f"{lists}\n[plugins]\npath = '{self.plugins}'\nallow = {allowed}\n"
            f"[engine]\nconcurrency = 2\n{engine}\n{text}\n"
        )

    @contextmanager
    def daemon(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon by this configuration."""
        self.machine.settings |= environment
        with self.machine.daemon("--config", str(self.file)) as process:
            yield process

    def type(self, *words: object) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        return self.machine.type(*words, "--config", self.file)

    def status(self) -> Any:
        """What ``runner status --json`` prints."""
        return self.machine.status()

    def connect(self, system: str, **params: object) -> int:
        """Add a connection."""
        client = self.machine.client()
        if not client.get("projects/")["results"]:
            unit = client.post("business-units/", {"name": "Unit"})["id"]
            application = client.post("applications/", {"name": "Portal", "business_unit": unit})["id"]
            client.post("projects/", {"name": "Webshop", "application": application})
        body = {"alias": system, "system": system, "project": 1, "params": params}
        made: int = client.post("connections/alm/", body)["id"]
        return made

    def keep_folder(self, *, gate: bool = True) -> int:
        """Add a connection that keeps the folder, and waits at the gate before each write."""
        params = {"source": str(self.source), "folder": str(self.folder), "ledger": str(self.ledger)}
        if gate:
            os.mkfifo(self.gate)
            params["gate"] = str(self.gate)
        return self.connect("acme_folder", **params)

    def run(self, connection: int, **more: object) -> int:
        """Queue a run."""
        body = {"connection": connection, "automatic": False, "ready": False, **more}
        made: int = self.machine.client().post("jobs/alm/", body)["id"]
        return made

    def job(self, number: int) -> Any:
        """A job as the API shows it."""
        return self.machine.client().get(
            f"jobs/alm/{number}/", include="state,outcome,reason,attempt,progress,preview"
        )

    def until_it_runs(self, number: int) -> None:
        """Wait until a job has been taken."""
        until(f"job {number} to run", lambda: self.job(number)["state"] == "running")

    def until_it_ends(self, number: int) -> Any:
        """Wait for a job's result."""
        until(f"the end of job {number}", lambda: self.job(number)["ready"])
        return self.job(number)

    def open_gate(self) -> None:
        """Let all writes through from now on."""
        gate = os.open(self.gate, os.O_RDWR)  # doesn't wait for a reader
        self.gate.unlink()
        os.close(gate)

    def log(self) -> list[Any]:
        """The daemon's log."""
        lines = self.machine.state.with_name("daemon.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str) -> list[Any]:
        """The lines of one event."""
        return [line for line in self.log() if line["event"] == event]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_jobs_end(house: House, number: signal.Signals) -> None:
    """It takes no new job, lets the one in hand end and record its result, and exits with 0."""
    with house.daemon() as process:
        connection = house.keep_folder()
        first, second = house.run(connection), house.run(connection)
        house.until_it_runs(first)
        process.send_signal(number)
        until("the drain", lambda: house.status()["state"] == "draining")
        assert not house.status()["ready"]
        house.open_gate()
        assert process.wait(PATIENCE) == 0
    assert_none_left(process.pid)
    assert [job["outcome"] for job in house.logged("job_finished")] == ["succeeded"]
    assert {path.name for path in house.folder.iterdir()} == {"a.txt", "b.txt"}
    jobs = {job["id"]: job["state"] for job in house.machine.json("jobs", "list", "--config", house.file)}
    assert jobs == {first: "finished", second: "pending"}


def test_the_second_signal_hands_jobs_back(house: House) -> None:
    """It exits with 75 at once; the job is pending, counts no death, and goes on at the next start."""
    with house.daemon() as process:
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        process.send_signal(signal.SIGTERM)
        until("the drain", lambda: house.status()["state"] == "draining")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 75
    assert_none_left(process.pid)
    assert house.logged("job_was_handed_back")
    house.gate.unlink()
    with house.daemon():
        done = house.until_it_ends(job)
    assert (done["succeeded"], done["attempt"]) == (True, 2)
    assert not house.logged("jobs_were_rescued")
    assert {path.name for path in house.folder.iterdir()} == {"a.txt", "b.txt"}


def test_the_deadline_hands_jobs_back(house: House) -> None:
    """What isn't through by ``drain_deadline`` is handed back, with 75."""
    house.configure(engine="drain_deadline = '200ms'")
    with house.daemon() as process:
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 75
    assert house.logged("job_was_handed_back")


def test_the_third_signal_ends_it_at_once(house: House) -> None:
    """It waits for nothing, and leaves no process behind; the next start takes the job back."""
    with house.daemon() as process:
        job = house.run(house.keep_folder())
        house.until_it_runs(job)

        def ended() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        until("the end", ended)
        assert process.wait(PATIENCE) == 75
    assert_none_left(process.pid)
    house.gate.unlink()
    with house.daemon():
        assert house.until_it_ends(job)["succeeded"]


def test_the_third_signal_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the daemon is doing at that moment."""
    daemon = Daemon(Settings(state_dir=tmp_path))
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    for _ in range(3):
        assert codes == []
        daemon._on_signal(signal.SIGTERM, None)
    assert codes == [75]


def test_a_reload_swaps_what_it_can(house: House) -> None:
    """SIGHUP: ceilings and times hold from then on, and settings that want a restart are named."""
    with house.daemon() as process:
        connection = house.keep_folder(gate=False)
        house.configure("[safety]\nmax_creates = 1\n[scheduler]\ntimezone = 'Europe/Berlin'", lists="")
        house.file.write_text(house.file.read_text().replace("concurrency = 2", "concurrency = 3"))
        process.send_signal(signal.SIGHUP)
        until("the reload", lambda: house.logged("configuration_was_reloaded"))
        status = house.status()
        configuration = status["configuration"]
        assert (configuration["refused"], configuration["restart_needed"]) == (None, ["engine.concurrency"])
        assert status["scheduler"]["timezone"] == "Europe/Berlin"
        assert status["slots"] == 2
        done = house.until_it_ends(house.run(connection))
        assert (done["succeeded"], done["reason"]) == (False, "ceiling")
        assert process.poll() is None


def test_a_terminal_that_closes_ends_no_job(house: House) -> None:
    """SIGHUP to all processes of the daemon is a reload, and the run in hand goes on."""
    with house.daemon() as process:
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        os.killpg(process.pid, signal.SIGHUP)
        until("the reload", lambda: house.logged("configuration_was_reloaded"))
        house.open_gate()
        assert house.until_it_ends(job)["succeeded"]


def test_a_bad_file_changes_nothing(house: House) -> None:
    """SIGHUP with a bad file: the old settings stay in force, and log and status say why."""
    with house.daemon() as process:
        connection = house.keep_folder(gate=False)
        good = house.file.read_text()
        house.file.write_text(good + "\n[safety]\nmax_creates = 'few'\n")
        process.send_signal(signal.SIGHUP)
        until("the refusal", lambda: house.logged("configuration_was_refused"))
        house.file.write_text(good)  # the command reads it too
        assert "safety.max_creates" in house.status()["configuration"]["refused"]
        assert house.until_it_ends(house.run(connection))["succeeded"]
        process.send_signal(signal.SIGHUP)
        until("the reload", lambda: house.logged("configuration_was_reloaded"))
        assert house.status()["configuration"]["refused"] is None


def test_the_log_level_is_swapped(house: House) -> None:
    """SIGHUP with another level: parts that log since the start go by it."""
    with house.daemon() as process:
        connection = house.connect("acme_noop")
        house.configure("[log]\nlevel = 'debug'")
        process.send_signal(signal.SIGHUP)
        until("the reload", lambda: house.logged("configuration_was_reloaded"))
        house.until_it_ends(house.run(connection))
        until("a line of this level", lambda: house.logged("job_started"))


def test_one_instance_holds_the_state(house: House) -> None:
    """A second daemon on the same state ends with 73 and names the first."""
    with house.daemon() as process:
        second = house.machine.type("run", "--config", house.file)
        assert second.returncode == 73
        assert str(process.pid) in second.stderr


def test_a_wrong_configuration_ends_with_78(house: House) -> None:
    """Nothing is started with settings that are wrong."""
    house.configure("[scheduler]\ndaily_at = 'noon'")
    done = house.machine.type("run", "--config", house.file)
    assert done.returncode == 78
    assert "scheduler.daily_at" in done.stderr


def test_a_signal_ends_a_run_with_once_too(house: House) -> None:
    """``run --once`` drains on the first signal and hands back on the second."""
    with house.daemon():
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        house.type("jobs", "cancel", job)
        house.until_it_ends(job)
        house.type("pause")
        house.run(1)
    house.type("resume")
    with house.machine.state.with_name("daemon.log").open("ab") as told:
        process = subprocess.Popen(
            [COMMAND, "run", "--once", "--config", house.file],
            env=house.machine.environment(),
            stdout=told,
            stderr=told,
            process_group=0,
        )
    until("the job to run", lambda: _running(house))
    process.send_signal(signal.SIGTERM)
    until("the drain", lambda: len(house.logged("daemon_drains")) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 75


def _running(house: House) -> bool:
    done = house.type("status", "--json")
    return done.returncode == 0 and bool(json.loads(done.stdout)["running"])


# --- systemd -------------------------------------------------------------------------------------


class Manager:
    """What a service manager hears."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, line: str) -> Callable[[], bool]:
        """Whether a line that begins so was said."""

        def look() -> bool:
            try:
                while True:
                    self.heard += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return any(said.startswith(line) for said in self.heard)

        return look

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


def test_systemd_hears_of_its_life(house: House) -> None:
    """READY, STATUS, WATCHDOG while all goes well, RELOADING and READY, STOPPING and EXTEND_TIMEOUT."""
    manager = Manager(house.home / "notify")
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"}
    with house.daemon(**told) as process:
        for line in ("READY=1", "STATUS=running: 0 of 2 slots busy", "WATCHDOG=1"):
            until(line, manager.hears(line))
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        until("the busy slot", manager.hears("STATUS=running: 1 of 2 slots busy"))
        manager.heard.clear()
        process.send_signal(signal.SIGHUP)
        until("RELOADING", manager.hears("RELOADING=1"))
        until("READY", manager.hears("READY=1"))
        assert any(line.startswith("MONOTONIC_USEC=") for line in manager.heard)
        process.send_signal(signal.SIGTERM)
        until("STOPPING", manager.hears("STOPPING=1"))
        until("EXTEND_TIMEOUT", manager.hears("EXTEND_TIMEOUT_USEC="))
        until("the drain", manager.hears("STATUS=draining: 1 of 2 slots busy"))
        house.open_gate()
        assert process.wait(PATIENCE) == 0
    manager.close()


# --- pauses, windows, retries, one subject -------------------------------------------------------------


def test_a_pause_survives_a_restart(house: House) -> None:
    """A paused daemon claims nothing, says so in status and /-/ready, and goes on after resume."""
    with house.daemon():
        connection = house.connect("acme_noop")
        assert house.type("pause", "--why", "The disk is copied.").returncode == 0
        job = house.run(connection)
    with house.daemon():
        status = house.status()
        assert (status["ready"], status["paused"]["why"]) == (False, "The disk is copied.")
        assert any("The disk is copied." in reason for reason in status["not_ready"])
        assert house.job(job)["state"] == "pending"
        assert house.machine.type("run", "--once", "--config", house.file).returncode == 73
        assert house.type("resume").returncode == 0
        assert house.until_it_ends(job)["succeeded"]
        assert house.status()["ready"]


def test_a_paused_daemon_has_nothing_to_do_once(house: House) -> None:
    """``run --once`` leaves what is paused, and ends."""
    with house.daemon():
        connection = house.connect("acme_noop")
    assert house.type("pause").returncode == 0  # without a daemon it is stored all the same
    assert house.type("connections", "run", connection).returncode == 0
    done = house.machine.type("run", "--once", "--config", house.file)
    assert (done.returncode, done.stdout.strip()) == (0, "Nothing was pending or due.")


def test_one_connection_is_paused(house: House) -> None:
    """Its jobs wait while others' run, and the listing says so."""
    with house.daemon():
        paused, other = house.connect("acme_noop"), house.connect("acme_noop")
        assert house.type("pause", "--connection", paused).returncode == 0
        waiting = house.run(paused)
        assert house.until_it_ends(house.run(other))["succeeded"]
        assert house.job(waiting)["state"] == "pending"
        listed = house.machine.json("connections", "list", "--config", house.file)
        assert {row["id"]: row["paused"] for row in listed} == {paused: True, other: False}
        assert house.type("resume", "--connection", paused).returncode == 0
        assert house.until_it_ends(waiting)["succeeded"]


ALWAYS = "[scheduler]\nfreeze = ['mon 00:00 - fri 00:00', 'thu 12:00 - tue 00:00']"


def test_in_a_window_nothing_is_written(house: House) -> None:
    """When a window begins what runs is handed back, jobs wait, previews run; after it jobs go on."""
    with house.daemon() as process:
        connection = house.keep_folder()
        job = house.run(connection)
        house.until_it_runs(job)
        house.configure(ALWAYS)
        process.send_signal(signal.SIGHUP)
        until("the job to be handed back", lambda: house.job(job)["state"] == "pending")
        assert house.status()["frozen_until"] is not None
        other = house.connect("acme_noop")
        assert house.until_it_ends(house.run(other, preview=True))["succeeded"]
        written = set(house.folder.iterdir())
        house.configure()
        house.open_gate()
        process.send_signal(signal.SIGHUP)
        assert house.until_it_ends(job)["succeeded"]
        assert len(written) < len(set(house.folder.iterdir()))


def test_a_job_whose_other_side_asks_for_later_is_tried_again(house: House) -> None:
    """It is tried again with one result at the end, and only ``retries`` times."""
    house.configure(engine="retries = 2\nretry_delay = '0s'")
    with house.daemon():
        ledgers = [house.home / "first", house.home / "second"]
        good = house.connect("acme_later", ledger=str(ledgers[0]), times=2)
        bad = house.connect("acme_later", ledger=str(ledgers[1]), times=9)
        done = house.until_it_ends(house.run(good))
        assert (done["succeeded"], done["attempt"]) == (True, 3)
        done = house.until_it_ends(house.run(bad))
        assert (done["succeeded"], done["reason"], done["attempt"]) == (False, "unreachable", 3)
        assert "acme.example is away." in done["result_message"]
        assert "tried 3 times" in done["result_message"]
    assert [len(ledger.read_text().splitlines()) for ledger in ledgers] == [3, 3]
    assert len(house.logged("job_finished")) == 2
    assert len(house.logged("job_was_put_off")) == 4


def test_who_stays_away_is_told_once(house: House) -> None:
    """Each job has its line; only the first of those that meet nobody is a warning; the return is told."""
    house.configure(engine="retries = 0")
    with house.daemon():
        connection = house.connect("acme_later", ledger=str(house.home / "later"), times=3)
        for _ in range(5):
            house.until_it_ends(house.run(connection))
    ends = [(line["reason"], line["level"]) for line in house.logged("job_finished")]
    assert ends == [("unreachable", "warning"), *[("unreachable", "info")] * 2, *[(None, "info")] * 2]
    assert [line["connection"] for line in house.logged("connection_is_back")] == [connection]


def test_a_job_that_waits_for_another_attempt_can_be_cancelled(house: House) -> None:
    """Between attempts a job is cancelled at once; while it runs, as soon as it can stop."""
    house.configure(engine="retries = 5\nretry_delay = '1h'")
    with house.daemon():
        connection = house.connect("acme_later", ledger=str(house.home / "later"), times=9)
        job = house.run(connection)
        until("the wait", lambda: "another attempt" in (house.job(job)["progress"] or ""))
        assert house.type("jobs", "cancel", job).returncode == 0
        assert house.job(job)["outcome"] == "cancelled"
        job = house.run(house.keep_folder())
        house.until_it_runs(job)
        assert house.type("jobs", "cancel", job).returncode == 0
        assert house.until_it_ends(job)["outcome"] == "cancelled"


def test_a_run_for_one_subject(house: House) -> None:
    """``connections run --only`` tells the connector the subject."""
    with house.daemon():
        ledger = house.home / "ledger-of-subjects"
        connection = house.connect("acme_later", ledger=str(ledger), times=0)
        assert house.type("connections", "run", connection, "--only", "T21", "--wait").returncode == 0
        assert house.type("connections", "run", connection, "--wait").returncode == 0
    assert ledger.read_text().splitlines() == ["T21", "all"]


def test_a_due_connection_runs_by_itself(house: House) -> None:
    """A connection is told its slot; missed while the daemon was down, it runs at the start, once."""
    with house.daemon():
        connection = house.connect("acme_noop")
        client, path = house.machine.client(), f"connections/alm/{connection}/"
        client._send("PATCH", path, json={"schedule": "0 3 * * *", "timezone": "Asia/Tokyo"})
        until("the slot", lambda: client.get(path)["next_run"])
        assert client.get(path)["next_run"].endswith("T18:00:00.000000Z")
        assert house.status()["next_run"].endswith("T18:00:00Z")
        with pytest.raises(RunnerError, match="cron expression"):
            client._send("PATCH", path, json={"schedule": "often"})
        with pytest.raises(RunnerError, match="time zone"):
            client._send("PATCH", path, json={"timezone": "Mars"})
    with house.machine.store() as database:
        missed = sa.update(connections).values(next_run=connections.c.next_run - 5 * 86_400_000_000)
        database.write(lambda c: c.execute(missed))
    with house.daemon():
        until("the job", lambda: house.logged("job_finished"))
        [job] = house.machine.client().get("jobs/alm/")["results"]
        assert (job["automatic"], job["triggered_by"], job["succeeded"]) == (True, "", True)
        assert house.status()["scheduler"]["missed"] >= 3
