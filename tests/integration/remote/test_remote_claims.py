"""Two daemons share one server's jobs, by claims."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.store import facts, intake
from runner.store.schema import jobs
from tests.servers.lives import alive, ends_told, kill
from tests.servers.machine import Machine
from tests.servers.pair import Over, Pair, undelivered
from tests.servers.processes import is_open
from tests.servers.waiting import until

PLACES = 6


@pytest.fixture
def second(pair: Pair) -> Machine:
    """Give another machine that serves the same server, one job at a time as the first."""
    pair.set(token=f"file:{pair.token_file}")
    pair.here.settings["RUNNER__ENGINE__CONCURRENCY"] = "1"
    (pair.folder / "second").mkdir()
    return Machine(pair.folder / "second" / "state", dict(pair.here.settings))


def naps(pair: Pair, over: Over) -> dict[int, Path]:
    """Connections that write a line for each run, and fail if two of their runs meet."""
    beds = [pair.folder / f"bed {number}" for number in range(PLACES)]
    for bed in beds:
        bed.touch()
    params = [{"bed": str(bed), "seconds": 0.5} for bed in beds]
    made = [
        over.connection("acme_nap", alias=f"Bed {number}", params=one) for number, one in enumerate(params)
    ]
    return dict(zip(made, beds, strict=True))


def runs(beds: dict[int, Path]) -> int:
    """How many runs there were in all."""
    return sum(len(bed.read_text().split()) for bed in beds.values())


def held_by(agent: Machine) -> sa.ColumnElement[bool]:
    """Say of a server's job that this machine holds it."""
    with agent.store() as store, store.read() as c:
        name = facts.get(c, intake.AGENT)
    assert name
    return jobs.c.owner.endswith(name) & (jobs.c.state == "running")


def until_it_holds_one(server: Machine, agent: Machine) -> None:
    """Wait for a job that the server gave to this machine."""
    which = sa.select(jobs.c.id).where(held_by(agent))
    with server.store() as store:

        def holds_one() -> bool:
            with store.read() as c:
                return c.execute(which).first() is not None

        until("it holds a job", holds_one)


def let_leases_end(server: Machine, dead: Machine) -> None:
    """Have as much time gone by on the server as an agent may be silent that is dead."""
    silent = sa.update(jobs).where(held_by(dead)).values(lease_until=1)
    with server.store() as store:
        store.write(lambda c: c.execute(silent))


def ended(over: Over, asked: list[int]) -> int:
    """How many of these jobs have their result."""
    rows = {row["id"]: row for row in over.jobs()}
    return sum(rows[job]["ready"] for job in asked)


@pytest.mark.slow
def test_two_daemons_share_the_jobs_and_none_is_run_twice(pair: Pair, over: Over, second: Machine) -> None:
    """Each does a part, each job runs once; when one is killed the other does the rest."""
    beds = naps(pair, over)
    with alive(pair.here), alive(second) as doomed:
        until("both ask for jobs", lambda: all(asks(one) for one in (pair.here, second)))
        first_round = [over.ask(place) for place in beds for _ in range(3)]
        until("all results", lambda: ended(over, first_round) == len(first_round))
        until("nothing waits", lambda: not any(undelivered(one) for one in (pair.here, second)))
        assert all(one.status()["remotes"][0]["taken"] for one in (pair.here, second))
        assert runs(beds) == len(first_round)
        assert sum(map(told, (pair.here, second))) == len(first_round)
        second_round = [over.ask(place) for place in beds for _ in range(2)]
        until_it_holds_one(pair.there, second)
        kill(doomed)
        let_leases_end(pair.there, second)
        until("all results", lambda: ended(over, second_round) == len(second_round))
        rows = over.jobs(include="attempt,state")
    assert sorted(row["id"] for row in rows) == sorted(first_round + second_round)
    assert {(row["state"], row["succeeded"], row["result_message"]) for row in rows} == {
        ("finished", True, "Nothing to change.")
    }
    again = sum(row["attempt"] - 1 for row in rows)
    assert again >= 1  # what the dead one held was done by the other
    assert runs(beds) <= len(rows) + again


@pytest.mark.torture  # a heartbeat is due after half a minute
def test_a_run_whose_job_is_anothers_by_now_is_cancelled(pair: Pair, over: Over) -> None:
    """The lease ran out and another agent did the job: the next heartbeat ends the run, with a sentence."""
    bed = pair.folder / "bed"
    bed.touch()
    job = over.ask(over.connection("acme_nap", params={"bed": str(bed), "seconds": 300}))
    with alive(pair.here):
        until("it runs", lambda: is_open(bed))
        pair.here.type("pause")  # else it would have the job again before another comes

        def waits_again() -> bool:
            let_leases_end(pair.there, pair.here)  # a heartbeat may have come just after the last time
            state: str = over.jobs(include="state")[0]["state"]
            return state == "pending"

        until("it waits again", waits_again)
        [taken] = over.call("POST", "jobs/claim/", json={"agent": "another"})["results"]
        result = {"attempt": taken["attempt"], "agent": "another", "succeeded": True}
        over.call("PATCH", f"jobs/alm/{job}/", json={**result, "result_message": "Done by another."})
        until("the run has ended", lambda: not pair.here.status()["running"])
        [here] = pair.here.json("jobs", "list")
    assert (here["outcome"], here["message"].startswith("The server didn't let")) == (
        "cancelled",
        True,
    )
    assert [row["result_message"] for row in over.jobs()] == ["Done by another."]
    assert bed.read_text() == ""


def told(machine: Machine) -> int:
    """How many ends of jobs its log tells; none twice."""
    found = ends_told(machine)
    assert set(found.values()) <= {1}
    return len(found)


def asks(machine: Machine) -> bool:
    """Whether it has asked the server for jobs."""
    return machine.status()["remotes"][0]["last_poll"] is not None
