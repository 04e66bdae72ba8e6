"""Connectors that hang, crash, bloat or break, beside others that behave."""

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.cli.follow import read_job
from tests.servers.at_rest import AtRest
from tests.servers.gate import Gate
from tests.servers.lives import alive, get, kill, live, log_of
from tests.servers.machine import Machine
from tests.servers.processes import AFTER_DEATH, assert_none_left, parent, workers
from tests.servers.waiting import PATIENCE, until

SYSTEMS = ("noop", "folder", "hang", "spin", "chatter", "crash", "fork", "quit", "bloat", "defect")

NEVER_ENDING = [
    pytest.param("acme_hang", {}, id="sleeps"),
    pytest.param("acme_spin", {}, id="counts"),
    pytest.param("acme_spin", {"hold": True}, id="holds-the-interpreter"),
]


@pytest.fixture
def machine(tmp_path: Path, plugins: Path) -> Machine:
    """Give a machine on which all of them may run."""
    return Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": json.dumps([f"acme_{name}" for name in SYSTEMS]),
        },
    )


def queue(machine: Machine, system: str, params: Mapping[str, Any] | None = None) -> int:
    """Queue a run of a new connection, while no daemon runs; the job's id."""
    with AtRest(machine.state) as rest:
        return rest.add_job(rest.add_connection(system, params or {}))


def queue_gated(machine: Machine, place: Path) -> tuple[int, Gate]:
    """Queue a run that writes the file "a" once it is let through the gate."""
    (place / "source").write_text('{"a": "text"}', encoding="utf-8")
    (place / "folder").mkdir()
    gate = Gate(place / "gate")
    return queue(machine, "acme_folder", {n: str(place / n) for n in ("source", "folder", "gate")}), gate


def until_it_is(state: str, machine: Machine, job_id: int, *, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until a job is in a state; the job."""
    with contextlib.closing(machine.client()) as client:

        def look() -> dict[str, Any]:
            job = read_job(client, job_id, kind="alm")
            return job if job["state"] == state else {}

        return until(f"job {job_id} is {state}", look, seconds=seconds)


@pytest.mark.slow
def test_each_fails_its_own_job_alone(machine: Machine) -> None:
    """Each ends with its own reason and with what to do; all others succeed, and the daemon is well."""
    machine.settings |= {"RUNNER__ENGINE__JOB_TIMEOUT": "3s", "RUNNER__ENGINE__MEMORY_LIMIT": "256MiB"}
    expected = {
        "acme_hang": ("timeout", "raise [engine] job_timeout"),
        "acme_spin": ("timeout", "raise [engine] job_timeout"),
        "acme_chatter": ("timeout", "raise [engine] job_timeout"),
        "acme_crash": ("crash", "was ended by SIGSEGV in the middle of the run. Run it again"),
        "acme_fork": ("crash", "ended with status 3 in the middle of the run. Run it again"),
        "acme_bloat": ("memory", "raise [engine] memory_limit"),
        "acme_defect": ("internal", "The connector has a defect (KeyError): report it"),
        "acme_quit": ("internal", "The connector has a defect (SystemExit): report it"),
    }
    unruly = {queue(machine, system, {"hold": True}): system for system in expected}
    behaved = [queue(machine, "acme_noop") for _ in range(20)]
    with alive(machine):
        for job_id in (*unruly, *behaved):
            until_it_is("finished", machine, job_id)
        assert get(machine, "/-/healthy") == get(machine, "/-/ready") == 200
        assert machine.status()["jobs"]["finished"] == 28
    with AtRest(machine.state) as rest:
        jobs = {job.id: job for job in rest.jobs()}
    for job_id, system in unruly.items():
        reason, advice = expected[system]
        assert (jobs[job_id].outcome, jobs[job_id].reason) == ("failed", reason), system
        assert advice in jobs[job_id].result_message
    assert {jobs[job_id].outcome for job_id in behaved} == {"succeeded"}


def test_a_dead_fork_server_is_replaced(machine: Machine) -> None:
    """The run under it fails, those after it succeed, and the new one knows no setting of the daemon's."""
    hanging, following = queue(machine, "acme_hang"), queue(machine, "acme_noop")
    machine.settings["RUNNER__ENGINE__CONCURRENCY"] = "1"
    with alive(machine) as daemon:
        until_it_is("running", machine, hanging)
        [fork_server] = {parent(pid) for pid in workers(machine.state, daemon.pid)}
        os.kill(fork_server, signal.SIGKILL)
        assert until_it_is("finished", machine, hanging)["reason"] == "crash"
        assert until_it_is("finished", machine, following)["outcome"] == "succeeded"
        for pid in workers(machine.state, daemon.pid):
            assert b"RUNNER_" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_no_more_run_than_are_allowed(machine: Machine) -> None:
    """With two slots two jobs run, and the third waits however long they take."""
    jobs = [queue(machine, "acme_hang") for _ in range(3)]
    machine.settings["RUNNER__ENGINE__CONCURRENCY"] = "2"
    with alive(machine):
        for job_id in jobs[:2]:
            until_it_is("running", machine, job_id)
        status = machine.status()
        assert (status["slots"], sorted(status["running"])) == (2, jobs[:2])
        until_it_is("pending", machine, jobs[2])


@pytest.mark.parametrize(("system", "params"), NEVER_ENDING)
def test_a_run_that_never_ends_is_cancelled(machine: Machine, system: str, params: dict[str, Any]) -> None:
    """Two seconds after it is cancelled, a run is over, and its process is gone."""
    job_id = queue(machine, system, params)
    with alive(machine) as daemon:
        until_it_is("running", machine, job_id)
        before = workers(machine.state, daemon.pid)
        with contextlib.closing(machine.client()) as client:
            client.post(f"jobs/alm/{job_id}/cancel/", {})
        job = until_it_is("finished", machine, job_id, seconds=2)
        assert (job["outcome"], job["reason"]) == ("cancelled", "cancelled")
        assert before - workers(machine.state, daemon.pid)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("system", "params"), NEVER_ENDING)
def test_a_run_that_never_ends_dies_with_the_daemon(
    machine: Machine, system: str, params: dict[str, Any]
) -> None:
    """No worker outlives a killed daemon by two seconds; under the last death allowed the job fails."""
    machine.settings["RUNNER__ENGINE__MAX_ATTEMPTS"] = "2"
    job_id = queue(machine, system, params)
    for attempt in (1, 2):
        with alive(machine) as daemon:
            assert until_it_is("running", machine, job_id)["attempt"] == attempt
            kill(daemon)
            assert_none_left(daemon.pid, seconds=AFTER_DEATH)
    assert live(machine) == 1
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.reason, job.attempt) == ("failed", "crash", 2)
    assert "stopped 2 times while this job ran" in job.result_message


def test_the_first_signal_lets_a_run_end(machine: Machine, tmp_path: Path) -> None:
    """After SIGTERM no further job is taken, the one that runs ends, and the exit code is 0."""
    machine.settings["RUNNER__ENGINE__CONCURRENCY"] = "1"
    job_id, gate = queue_gated(machine, tmp_path)
    queue(machine, "acme_noop")
    with alive(machine) as daemon:
        until_it_is("running", machine, job_id)
        daemon.send_signal(signal.SIGTERM)
        until("the daemon drains", lambda: "daemon_drains" in log_of(machine).read_text(encoding="utf-8"))
        gate.tear_down()
        assert daemon.wait(PATIENCE) == 0
    with AtRest(machine.state) as rest:
        assert [(job.state, job.outcome) for job in rest.jobs()] == [
            ("finished", "succeeded"),
            ("pending", None),
        ]


@pytest.mark.parametrize("impatient", ["a second signal", "the deadline"])
def test_a_run_that_takes_too_long_is_handed_back(machine: Machine, tmp_path: Path, impatient: str) -> None:
    """A run that doesn't end in time goes back to the queue with 75; it runs again, and no death counts."""
    job_id, gate = queue_gated(machine, tmp_path)
    if impatient == "the deadline":
        machine.settings["RUNNER__ENGINE__DRAIN_DEADLINE"] = "100ms"
    with alive(machine) as daemon:
        until_it_is("running", machine, job_id)
        daemon.send_signal(signal.SIGTERM)
        if impatient == "a second signal":
            until("the daemon drains", lambda: "daemon_drains" in log_of(machine).read_text(encoding="utf-8"))
            daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 75
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
        assert (job.state, job.attempt, job.deaths) == ("pending", 1, 0)
    gate.tear_down()
    assert live(machine) == 0
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.attempt, job.deaths) == ("succeeded", 2, 0)
    assert (tmp_path / "folder" / "a").read_text(encoding="utf-8") == "text"
