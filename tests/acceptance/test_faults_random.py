"""The daemon and its workers are killed at moments that chance picks, again and again."""

import contextlib
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from runner.errors import RunnerError
from runner.model.changes import ChangeState
from tests.servers.at_rest import AtRest
from tests.servers.lives import answers, begun, ends_told, kill, kill_worker, live
from tests.servers.machine import Machine
from tests.servers.processes import workers
from tests.servers.waiting import until

CONNECTIONS = 5
NAMES = [f"file{number}" for number in range(15)]


class Bench:
    """Some connections, each from a source that changes all the time to a folder of its own."""

    def __init__(self, root: Path, plugins: Path, chance: random.Random) -> None:
        self.machine = Machine(
            root / "state",
            {
                "RUNNER__SERVER__LISTEN": "",
                "RUNNER__ENGINE__CONCURRENCY": "3",
                "RUNNER__ENGINE__MAX_ATTEMPTS": "100000",  # one job may meet any number of deaths
                "RUNNER__SAFETY__DESTRUCTIVE_FLOOR": "100000",
                "RUNNER__PLUGINS__PATH": str(plugins),
                "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
            },
        )
        self.places: dict[int, Path] = {}
        self.accepted: set[int] = set()
        self._chance = chance
        with AtRest(self.machine.state) as rest:
            project = rest.fill_sample()
            for number in range(CONNECTIONS):
                place = root / f"place{number}"
                (place / "folder").mkdir(parents=True)
                params = {name: str(place / name) for name in ("source", "folder", "ledger")}
                self.places[rest.add_connection("acme_folder", params, project=project)] = place
        for place in self.places.values():
            self.edit(place, chance)

    def edit(self, place: Path, chance: random.Random) -> None:
        """Let the source say something else from now on."""
        source, fresh = place / "source", place / "source.new"
        texts = json.loads(source.read_text(encoding="utf-8")) if source.exists() else {}
        for name in chance.sample(NAMES, len(NAMES) // 2):
            texts.pop(name, None)
            if chance.random() < 0.7:
                # No text comes twice, so each write there is can be told from all others.
                texts[name] = f"text {chance.getrandbits(64)}"
        fresh.write_text(json.dumps(texts), encoding="utf-8")
        fresh.replace(source)

    def ask(self, number: int, chance: random.Random) -> None:
        """Ask for some runs, while it may be that the daemon dies; remember what was accepted."""
        with contextlib.closing(self.machine.client()) as client, contextlib.suppress(RunnerError):
            for connection in chance.choices(list(self.places), k=number):
                self.edit(self.places[connection], chance)
                body = {"connection": connection, "automatic": False, "ready": False}
                self.accepted.add(client.post("jobs/alm/", body)["id"])

    def one_life(self, kills: int) -> None:
        """Start a daemon, kill ``kills`` - 1 workers and then itself, while it works."""
        with begun(self.machine) as daemon:
            if self._chance.random() < 0.2:
                time.sleep(self._chance.uniform(0, 1.5))  # here the moment is what chance picks
                kill(daemon)
                return
            until("the daemon answers", lambda: answers(self.machine))
            theirs = random.Random(self._chance.random())  # noqa: S311 - no secret
            before, asking = len(self.accepted), threading.Thread(target=self.ask, args=(10, theirs))
            asking.start()
            until("a job was accepted", lambda: len(self.accepted) > before)
            for _ in range(kills - 1):
                time.sleep(self._chance.expovariate(1 / 0.1))
                there = until("a worker is there", lambda: workers(self.machine.state, daemon.pid))
                kill_worker(self._chance.choice(sorted(there)))
            time.sleep(self._chance.expovariate(1 / 0.1))
            kill(daemon)
            asking.join()

    def finish(self) -> None:
        """Do all that is left, and then run each connection once more."""
        assert live(self.machine) == 0
        with AtRest(self.machine.state) as rest:
            for connection in self.places:
                rest.add_job(connection)
        assert live(self.machine) == 0

    def assert_right(self) -> None:
        """Make sure that nothing was lost, and nothing done twice."""
        with AtRest(self.machine.state) as rest:
            jobs = rest.jobs()
            journals = {job.id: rest.journal(job.id) for job in jobs}
        assert {job.state for job in jobs} == {"finished"}
        assert self.accepted <= {job.id for job in jobs}
        assert {job.outcome for job in jobs} <= {"succeeded", "failed"}
        assert {job.reason for job in jobs if job.outcome == "failed"} <= {"crash"}
        assert set(ends_told(self.machine).values()) <= {1}
        for job in jobs:
            if job.outcome == "succeeded":
                states = {change.state for change in journals[job.id]}
                assert states <= {ChangeState.DONE, ChangeState.SKIPPED}
        for place in self.places.values():
            there = {path.name: path.read_text(encoding="utf-8") for path in (place / "folder").glob("[!.]*")}
            assert there == json.loads((place / "source").read_text(encoding="utf-8"))
            made = Counter((place / "ledger").read_text(encoding="utf-8").splitlines())
            assert set(made.values()) == {1}  # nothing was written twice


def _kill_at_random(root: Path, plugins: Path, *, kills: int) -> None:
    seed = random.getrandbits(32)  # the module is seeded by pytest-randomly: --randomly-seed repeats it
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure, and -s always
    chance = random.Random(seed)  # noqa: S311 - as above
    bench = Bench(root, plugins, chance)
    while kills > 0:
        some = min(kills, chance.randint(1, 3))
        bench.one_life(some)
        kills -= some
    bench.finish()
    bench.assert_right()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_random_kills(tmp_path: Path, plugins: Path) -> None:
    """Through twenty kills no accepted job is lost, none is done twice, and the targets are right."""
    _kill_at_random(tmp_path, plugins, kills=20)


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_a_thousand_random_kills(tmp_path: Path, plugins: Path) -> None:
    """Through a thousand kills no accepted job is lost, none is done twice, and the targets are right."""
    _kill_at_random(tmp_path, plugins, kills=1000)
