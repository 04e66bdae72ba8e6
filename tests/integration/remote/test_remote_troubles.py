"""What happens to machines rather than to requests: nothing is lost, and nothing is there twice."""

import contextlib
import json
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.servers.certificates import issue
from tests.servers.gate import Gate
from tests.servers.lives import KILLED, ends_told, get, live
from tests.servers.machine import Machine
from tests.servers.pair import Over, Pair, undelivered
from tests.servers.waiting import until

FULL = 4096
"""Bytes to which every file of a daemon is held: no commit fits."""

POINTS = (3, 8, 13)
"""Commits of a short life at which the daemon is killed."""


@dataclass
class Held:
    """A job that runs here until it is let go."""

    job: int  # over there
    ledger: Path  # has a line for each write
    gate: Gate

    def writes(self) -> int:
        """How often it wrote what it had to write once."""
        return len(self.ledger.read_text().splitlines())


@pytest.fixture
def held(pair: Pair, over: Over) -> Iterator[Held]:
    """Give a job of the server that stops in the middle of its run."""
    folder, source, ledger = (pair.folder / name for name in ("folder", "source.json", "ledger"))
    folder.mkdir()
    source.write_text(json.dumps({"a.txt": "alpha"}))
    ledger.touch()
    gate = Gate(pair.folder / "gate")
    places = {"source": source, "folder": folder, "ledger": ledger, "gate": pair.folder / "gate"}
    params = {name: str(path) for name, path in places.items()}
    yield Held(over.ask(over.connection("acme_folder", params=params)), ledger, gate)
    gate.tear_down()


def test_a_job_that_the_server_reaped_keeps_both_results(pair: Pair, over: Over, held: Held) -> None:
    """A server that gives up a job while it runs here has its own result, and ours beside it, once."""
    pair.set(take="inaccessible")  # what was claimed isn't ended by anybody else's result
    with pair.here.daemon():
        until("the job runs", held.gate.somebody_waits)
        own = {"connection": over.job(held.job)["connection"]["id"], "automatic": False, "ready": True}
        reaped = {"id": held.job, "succeeded": False, "result_message": "Cancelled: it took too long."}
        over.call("POST", "jobs/alm/", json={**own, **reaped})
        held.gate.tear_down()
        until("our result is there", lambda: len(over.jobs()) == 2)
        until("nothing waits", lambda: not undelivered(pair.here))
        rows = over.jobs()
    assert sorted((row["id"] == held.job, row["ready"], row["succeeded"]) for row in rows) == [
        (False, True, True),
        (True, True, False),
    ]
    assert held.writes() == 1


def test_a_full_disk_here_delays_the_result(pair: Pair, over: Over, held: Held) -> None:
    """What ends while no commit fits is recorded and delivered when there is space again, once."""
    with pair.here.daemon() as process:
        until("the job runs", held.gate.somebody_waits)
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
        held.gate.tear_down()
        until("that it isn't ready", lambda: get(pair.here, "/-/ready") == 503)
        assert not over.job(held.job)["ready"]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        until("the result is there", lambda: over.job(held.job)["ready"])
        until("nothing waits", lambda: not undelivered(pair.here))
    assert [(row["id"], row["succeeded"]) for row in over.jobs()] == [(held.job, True)]
    assert held.writes() == 1


def killed_at(pair: Pair, over: Over, points: Iterator[int]) -> None:
    """Kill a daemon at commits of its life, and let another do what is left, each time with a new job."""
    place, asked = over.connection(), []
    for number in points:
        asked.append(over.ask(place))
        died = live(pair.here, f"main:commit:{number}") == KILLED
        if died:
            assert live(pair.here) == 0
        rows = {row["id"]: (row["ready"], row["succeeded"]) for row in over.jobs()}
        assert rows == dict.fromkeys(asked, (True, True)), f"killed at commit {number}"
        if not died:
            break
    assert len(asked) > 1, "it was never killed"
    assert set(ends_told(pair.here).values()) <= {1}


@pytest.mark.slow
def test_killed_at_a_commit_each_job_has_one_result(pair: Pair, over: Over) -> None:
    """Killed while it polls, runs or delivers, and started again: one result for each job over there."""
    killed_at(pair, over, iter(POINTS))


@pytest.mark.torture
def test_killed_at_any_commit_each_job_has_one_result(pair: Pair, over: Over) -> None:
    """The same at every commit there is."""
    killed_at(pair, over, iter(range(1, 1000)))


def test_a_copied_state_runs_and_delivers_nothing(pair: Pair, over: Over) -> None:
    """A clone of the state directory starts paused and says why; the jobs stay with the original."""
    place = over.connection()
    first = over.ask(place)
    with pair.here.daemon():
        until("the result is there", lambda: over.job(first)["ready"])
        until("nothing waits", lambda: not undelivered(pair.here))
    clone = Machine(pair.folder / "clone" / "state", dict(pair.here.settings))
    shutil.copytree(pair.here.state, clone.state, ignore=shutil.ignore_patterns("*.sock"))
    with clone.daemon():
        status = clone.status()
        second = over.ask(place)
        with pair.here.daemon():
            until("the result is there", lambda: over.job(second)["ready"])
        [told] = clone.status()["remotes"]
    assert "was copied or restored" in status["paused"]["why"]
    assert told["delivered"] == 0
    assert sorted(row["id"] for row in over.jobs()) == [first, second]


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(pair: Pair, tmp_path: Path) -> None:
    """The token stays here until the server shows a certificate that [remote] ca_bundle vouches for."""
    good, bad = issue(tmp_path / "good", "127.0.0.1"), issue(tmp_path / "bad", "127.0.0.1")
    pair.set(url=f"https://127.0.0.1:{pair.port}", ca_bundle=str(good.ca))

    def show(certificate: Path, key: Path) -> None:
        listens = {"RUNNER__SERVER__TLS_CERT": str(certificate), "RUNNER__SERVER__TLS_KEY": str(key)}
        pair.there.settings |= listens

    with contextlib.ExitStack() as stack:
        show(bad.certificate, bad.key)
        with pair.there.daemon():
            over = pair.over(verify=bad.ca)
            job = over.ask(over.connection())
            stack.enter_context(pair.here.daemon())
            until("it is missed", lambda: '"remote_is_away"' in pair.log())
            [told] = pair.here.status()["remotes"]
            assert "certificate" in told["away"]
            assert not over.job(job)["ready"]
        show(good.certificate, good.key)
        with pair.there.daemon():
            over = replace(over, verify=str(good.ca))
            until("the API answers", over.answers)
            until("the result is there", lambda: over.job(job)["ready"])
            until("nobody misses it", lambda: '"remote_is_back"' in pair.log())
            assert [row["id"] for row in over.jobs()] == [job]
            assert pair.log().count('"remote_is_away"') == 1
