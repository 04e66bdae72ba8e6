"""The daemon, or a worker, dies at its n-th commit or message, for every n that a run has.

One case takes every n; of the others the suite takes the first and, from a chance one on, every fifth, and
``--all-crash-points`` takes all.
"""

import itertools
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from runner.model.changes import ChangeState
from tests.servers.at_rest import AtRest
from tests.servers.lives import KILLED, ends_told, live
from tests.servers.machine import Machine, names_in


class Case(Protocol):
    """A job, and how things are when it was done once."""

    def fill(self, root: Path, rest: AtRest) -> None:
        """Prepare both sides and queue the job."""

    def assert_right(self, root: Path, rest: AtRest) -> None:
        """Make sure that both sides and the journal are as one run leaves them."""


class Folder:
    """Files outside: created and updated in two batches, deleted in a third."""

    new, changed, kept, gone = (
        tuple(f"{name}{number}" for number in range(count))
        for name, count in (("new", 5), ("changed", 4), ("kept", 1), ("gone", 2))
    )

    def fill(self, root: Path, rest: AtRest) -> None:
        source = dict.fromkeys((*self.new, *self.changed), "as it should be") | dict.fromkeys(
            self.kept, "old"
        )
        (root / "source.json").write_text(json.dumps(source), encoding="utf-8")
        (root / "folder").mkdir()
        for name in (*self.changed, *self.kept, *self.gone):
            (root / "folder" / name).write_text("old", encoding="utf-8")
        places = {name: str(root / name) for name in ("folder", "ledger")}
        rest.add_job(rest.add_connection("acme_folder", {"source": str(root / "source.json"), **places}))

    def assert_right(self, root: Path, rest: AtRest) -> None:
        source = json.loads((root / "source.json").read_text(encoding="utf-8"))
        there = {path.name: path.read_text(encoding="utf-8") for path in (root / "folder").iterdir()}
        assert there == source
        wanted = Counter(
            [("create", key) for key in self.new]
            + [("update", key) for key in self.changed]
            + [("delete", key) for key in self.gone]
        )
        made = Counter(
            (change.op.value, change.key)
            for job in rest.jobs()
            for change in rest.journal(job.id)
            if change.state is ChangeState.DONE
        )
        assert made == wanted
        # A line may be lost where a worker was killed, but never written twice.
        lines = (root / "ledger").read_text(encoding="utf-8").splitlines()
        told = Counter((op, key) for _, op, key, _, _ in map(json.loads, lines))
        assert told <= wanted


class Tasks:
    """The platform alone, in two transactions: a page of the plan is 500 changes."""

    notes = 505

    def fill(self, root: Path, rest: AtRest) -> None:
        project = rest.fill_sample()
        rest.drop_jobs()
        params = {"statuses": {"T21": "TS1", "T14": "TS3"}, "copies": self.notes}
        rest.add_job(rest.add_connection("acme_tasks", params, project=project))

    def assert_right(self, root: Path, rest: AtRest) -> None:
        platform = rest.platform()
        statuses = {task: status for task, status, *_ in platform["tasks"]}
        assert (statuses["T21"], statuses["T14"]) == ("TS1", "TS3")
        assert platform["notes"].total() == len(platform["notes"]) == self.notes


class Report:
    """A scanner's report: a session, and verdicts with a note each."""

    def fill(self, root: Path, rest: AtRest) -> None:
        rest.fill_sample()

    def assert_right(self, root: Path, rest: AtRest) -> None:
        platform = rest.platform()
        verdicts = Counter(verdict for _, _, verdict, _ in platform["tasks"])
        assert verdicts["fail"] > 5
        assert verdicts["pass"] > 5
        assert platform["sessions"].total() == 1
        assert platform["notes"].total() == verdicts["fail"] + verdicts["pass"]


EACH = 5
"""Of how many points one is tried, where not all are."""

BEGINNING = {"main:commit": 3, "main:committed": 2, "main:message": 1}
"""Up to here no daemon has taken the job yet: one case shows that it may die there, for all."""

CASES = [pytest.param(case, id=type(case).__name__.lower()) for case in (Folder(), Tasks(), Report())]


class Trials:
    """Any number of beginnings from the same state."""

    def __init__(self, case: Case, folder: Path, plugins: Path) -> None:
        self.case = case
        self.root, self._template = folder / "place", folder / "template"
        self.root.mkdir()
        self.machine = Machine(
            self.root / "state",
            {
                "RUNNER__SERVER__LISTEN": "",
                "RUNNER__ENGINE__CONCURRENCY": "1",
                "RUNNER__PLUGINS__PATH": str(plugins),
                "RUNNER__PLUGINS__ALLOW": '["acme_folder", "acme_tasks"]',
            },
        )
        with AtRest(self.machine.state) as rest:
            case.fill(self.root, rest)
        self.root.rename(self._template)

    def begin(self) -> None:
        """Set everything back to the beginning."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._template, self.root)

    def at_rest(self) -> AtRest:
        """The state, while no daemon has it."""
        return AtRest(self.machine.state)


@pytest.fixture
def trials(request: pytest.FixtureRequest, tmp_path: Path, plugins: Path) -> Trials:
    """Give the trials of one case."""
    return Trials(request.param, tmp_path, plugins)


def points(config: pytest.Config, beginning: int, *, all_of_them: bool = False) -> Iterator[int]:
    """The points at which a run dies, in order; there is no last one."""
    each = 1 if all_of_them or config.getoption("all_crash_points") else EACH
    second = beginning + random.randint(1, each)  # noqa: S311 - it guards nothing
    return itertools.chain([beginning], itertools.count(second, each))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("trials", CASES, indirect=True)
@pytest.mark.parametrize("point", BEGINNING)
def test_the_daemon_may_die_anywhere(trials: Trials, point: str, pytestconfig: pytest.Config) -> None:
    """Wherever the daemon is killed, the next one ends the job in the state that one run leaves."""
    beginning = 1 if isinstance(trials.case, Folder) else BEGINNING[point]
    one_that_takes_all = isinstance(trials.case, Tasks) and point == "main:commit"
    for number in points(pytestconfig, beginning, all_of_them=one_that_takes_all):
        trials.begin()
        died = live(trials.machine, f"{point}:{number}") == KILLED
        if number == beginning > 1:
            with trials.at_rest() as rest:
                assert [job.attempt for job in rest.jobs()] == [0]
        if died:
            assert live(trials.machine) == 0, number
        with trials.at_rest() as rest:
            [job] = rest.jobs()
            assert (job.state, job.outcome, job.deaths <= died) == ("finished", "succeeded", True), number
            assert job.attempt == job.deaths + 1, number
            states = {change.state for change in rest.journal(job.id)}
            assert states <= {ChangeState.DONE, ChangeState.SKIPPED}, number
            trials.case.assert_right(trials.root, rest)
        assert ends_told(trials.machine)[job.id] <= 1, number
        if not died:
            break
    assert number > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("trials", CASES, indirect=True)
def test_a_worker_may_die_anywhere(trials: Trials, pytestconfig: pytest.Config) -> None:
    """A worker that is killed fails its job at once, its journal is true, and the next run repairs."""
    for number in points(pytestconfig, 1):
        trials.begin()
        died = live(trials.machine, f"worker:message:{number}") == 1
        if died:
            with trials.at_rest() as rest:
                [job] = rest.jobs()
                assert (job.outcome, job.reason, job.attempt) == ("failed", "crash", 1), number
                assert "SIGKILL" in job.result_message
                states = {change.state for change in rest.journal(job.id)}
                assert states <= {ChangeState.DONE, ChangeState.PLANNED}, number
                rest.queue_again(job.id)
            assert live(trials.machine) == 0, number
        with trials.at_rest() as rest:
            assert [job.outcome for job in rest.jobs()] == ["failed"] * died + ["succeeded"], number
            trials.case.assert_right(trials.root, rest)
        if not died:
            break
    assert number > 5
    assert names_in(trials.machine.state / "workers") == []
