"""A run that ended in the middle of a batch, and what the journal makes of it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.at_rest import AtRest
from tests.servers.gate import Gate
from tests.servers.lives import alive, kill, kill_worker, live
from tests.servers.machine import Machine, names_in
from tests.servers.processes import workers
from tests.servers.waiting import until

NAMES = "abcdefghij"
"""Files to create; a batch is seven of them."""

WRITTEN = 3
"""Files that are there when the run is ended, in the middle of the first batch."""


class Bench(NamedTuple):
    """One connection whose run was let through the gate three times, and waits there."""

    machine: Machine
    folder: Path
    gate: Gate
    ledger: Path

    def journal(self, job_id: int) -> list[tuple[str, str]]:
        """Key and state of all changes of a job, in their order."""
        with AtRest(self.machine.state) as rest:
            return [(change.key, change.state.value) for change in rest.journal(job_id)]

    def until_the_middle(self) -> None:
        """Wait until the fourth file is about to be written."""
        for name in NAMES[:WRITTEN]:
            self.gate.let_through(self.folder / name)

    def assert_whole(self) -> None:
        """Make sure that each file is there and was written once."""
        assert names_in(self.folder) == list(NAMES)
        lines = self.ledger.read_text(encoding="utf-8").splitlines()
        assert sorted(json.loads(line)[2] for line in lines) == list(NAMES)


@pytest.fixture
def bench(tmp_path: Path, plugins: Path) -> Iterator[Bench]:
    """Give a connection with one queued job that creates ten files."""
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__ENGINE__CONCURRENCY": "1",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
        },
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "source").write_text(json.dumps(dict.fromkeys(NAMES, "text")), encoding="utf-8")
    params = {name: str(tmp_path / name) for name in ("source", "folder", "gate", "ledger")}
    with AtRest(machine.state) as rest:
        rest.add_job(rest.add_connection("acme_folder", params))
    gate = Gate(tmp_path / "gate")
    yield Bench(machine, tmp_path / "folder", gate, tmp_path / "ledger")
    gate.tear_down()


def test_the_next_daemon_settles_and_goes_on(bench: Bench) -> None:
    """What was sent is settled by what is there, and the resumed run plans and writes only the rest."""
    with alive(bench.machine) as daemon:
        bench.until_the_middle()
        kill(daemon)
    assert names_in(bench.folder) == list(NAMES[:WRITTEN])
    assert bench.journal(1) == [*((n, "intended") for n in NAMES[:7]), *((n, "planned") for n in NAMES[7:])]
    bench.gate.tear_down()
    assert live(bench.machine) == 0
    bench.assert_whole()
    assert bench.journal(1) == [
        *((name, "done") for name in NAMES[:WRITTEN]),
        *((name, "skipped") for name in NAMES[WRITTEN:7]),
        *((name, "done") for name in NAMES[WRITTEN:]),
    ]
    with AtRest(bench.machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.attempt, job.deaths) == ("succeeded", 2, 1)
    assert job.result_message == "10 files created."


def test_what_somebody_else_wrote_meanwhile_is_reported(bench: Bench) -> None:
    """A thing that is neither as before nor as after is named as a conflict, then planned anew."""
    with alive(bench.machine) as daemon:
        bench.until_the_middle()
        kill(daemon)
    (bench.folder / "e").write_text("somebody else's", encoding="utf-8")
    bench.gate.tear_down()
    assert live(bench.machine) == 0
    with AtRest(bench.machine.state) as rest:
        of_it = [change for change in rest.journal(1) if change.key == "e"]
    assert [(change.op, change.state) for change in of_it] == [("create", "skipped"), ("update", "done")]
    assert of_it[0].error.startswith("conflict")
    assert (bench.folder / "e").read_text(encoding="utf-8") == "text"


def test_a_dead_worker_ends_the_run(bench: Bench) -> None:
    """The run fails at once and says what it had written; the next one writes only the rest."""
    with alive(bench.machine) as daemon:
        bench.until_the_middle()
        before = until("the worker is there", lambda: workers(bench.machine.state, daemon.pid))
        for pid in before:
            kill_worker(pid)
        with contextlib.closing(bench.machine.client()) as client:
            until("the job is finished", lambda: client.get("jobs/alm/1/")["ready"])
    assert bench.journal(1) == [
        *((name, "done") for name in NAMES[:WRITTEN]),
        *((name, "skipped") for name in NAMES[WRITTEN:7]),
        *((name, "planned") for name in NAMES[7:]),
    ]
    with AtRest(bench.machine.state) as rest:
        [job] = rest.jobs()
        assert (job.outcome, job.reason) == ("failed", "crash")
        assert job.result_message.endswith("Before that: 3 files created.")
        second = rest.queue_again(job.id)
    bench.gate.tear_down()
    assert live(bench.machine) == 0
    bench.assert_whole()
    assert bench.journal(second) == [(name, "done") for name in NAMES[WRITTEN:]]


def test_a_cancelled_run_says_what_it_had_written(bench: Bench) -> None:
    """A run that a person ends in the middle leaves a true journal and a message that counts."""
    with alive(bench.machine), contextlib.closing(bench.machine.client()) as client:
        bench.until_the_middle()
        client.post("jobs/alm/1/cancel/", {})
        until("the job is finished", lambda: client.get("jobs/alm/1/")["ready"])
    with AtRest(bench.machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.reason) == ("cancelled", "cancelled")
    assert job.result_message == "Cancelled. Before that: 3 files created."
    assert [state for _, state in bench.journal(1)] == ["done"] * 3 + ["skipped"] * 4 + ["planned"] * 3
