"""A daemon runs another server's jobs: what is its own, once, and the server has the result."""

import json

from tests.servers.pair import Over, Pair
from tests.servers.waiting import until


def events(pair: Pair, name: str) -> list[dict[str, object]]:
    """What the log tells under this name."""
    lines = [json.loads(line) for line in pair.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def test_a_pending_job_is_run_here_and_its_result_is_there(pair: Pair, over: Over) -> None:
    """The server's own row is finished, by one result, and nothing is left to deliver."""
    job = over.ask(over.connection())
    with pair.here.daemon():
        until("the result is there", lambda: over.job(job)["ready"])
    there = over.job(job)
    assert (there["succeeded"], there["result_message"]) == (True, "Nothing to change.")
    assert [row["id"] for row in over.jobs()] == [job]
    assert len(events(pair, "job_finished")) == 1


def test_what_the_server_can_reach_itself_is_left_to_it(pair: Pair, over: Over) -> None:
    """A connection that isn't flagged inaccessible is the server's own, though it shows it pending."""
    over.call("POST", "pause/", json={"why": "a test looks at what waits"})
    own = over.ask(over.connection(inaccessible=False))
    ours = over.ask(over.connection())
    with pair.here.daemon():
        until("the result is there", lambda: over.job(ours)["ready"])
        [told] = pair.here.json("status")["remotes"]
    assert not over.job(own)["ready"]
    assert (told["name"], told["away"], told["taken"]) == ("sde", None, 1)


def test_scheduled_connections_run_here_and_are_posted_as_finished(pair: Pair, over: Over) -> None:
    """The scheduler never asks the server for a run; what it finds is a finished row, automatic."""
    connection = over.connection(frequency="hourly")
    over.connection(frequency="hourly", inaccessible=False)
    with pair.here.daemon():
        until("the connection is scheduled here", lambda: pair.here.json("connections", "list"))
        [copy] = pair.here.json("connections", "list")
        pair.here.json("connections", "run", copy["id"])
        until("the result is there", over.jobs)
    [row] = over.jobs()
    assert (row["connection"]["id"], row["ready"], row["succeeded"]) == (connection, True, True)
    assert copy["frequency"] == "hourly"


def test_a_server_that_is_away_costs_a_line_each_way(pair: Pair) -> None:
    """While it is away results wait; when it is back they are delivered, each once."""
    bed = pair.folder / "bed"
    bed.touch()
    with pair.there.daemon():
        over = pair.over()
        job = over.ask(over.connection("acme_nap", params={"bed": str(bed), "seconds": 1}))
        here = pair.here.daemon()
        with_here = here.__enter__()
        until("the job runs", lambda: pair.here.json("status")["running"])
    try:
        until("the job has ended", lambda: events(pair, "job_finished"))
        until("it is missed", lambda: events(pair, "remote_is_away"))
        [told] = pair.here.json("status")["remotes"]
        assert told["undelivered"] == 1
        with pair.there.daemon():
            until("the result is there", lambda: over.job(job)["ready"])
            until("nobody misses it", lambda: events(pair, "remote_is_back"))
            assert [row["id"] for row in over.jobs()] == [job]
            told_of = (len(events(pair, "remote_is_away")), len(events(pair, "remote_is_back")))
    finally:
        here.__exit__(None, None, None)
    assert with_here.returncode == 0
    assert told_of == (1, 1)
