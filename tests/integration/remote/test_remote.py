"""A daemon runs another server's jobs: what is its own, once, and the server has the result."""

import json
import shutil
from contextlib import ExitStack

import pytest

from tests.servers.bad_network import BadNetwork
from tests.servers.pair import Over, Pair, undelivered
from tests.servers.processes import is_open
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
    """A connection that isn't flagged inaccessible is the server's own, however long its job waits there."""
    pair.set(take="inaccessible")
    own_place = over.connection(inaccessible=False)
    over.call("POST", f"connections/alm/{own_place}/pause/")
    own, ours = over.ask(own_place), over.ask(over.connection())
    with pair.here.daemon():
        until("the result is there", lambda: over.job(ours)["ready"])
        [told] = pair.here.status()["remotes"]
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
        job = over.ask(over.connection("acme_nap", params={"bed": str(bed), "seconds": 5}))
        here = pair.here.daemon()
        with_here = here.__enter__()
        until("the job runs", lambda: is_open(bed))
    try:
        until("the job has ended", lambda: events(pair, "job_finished"))
        until("it is missed", lambda: events(pair, "remote_is_away"))
        [told] = pair.here.status()["remotes"]
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


def test_a_job_that_the_server_finished_itself_is_not_run(pair: Pair, over: Over) -> None:
    """What was finished over there while it waited here is ended here too, and nothing is posted."""
    pair.set(take="inaccessible")  # no claims: what waits here can be finished over there
    job = over.ask(over.connection())
    with pair.here.daemon():
        pair.here.type("pause")
        second = over.ask(over.connection(alias="Other"))
        until("it is recorded", lambda: len(pair.here.json("jobs", "list")) == 2)
        body = {"connection": over.job(second)["connection"]["id"], "automatic": False}
        over.call(
            "POST",
            "jobs/alm/",
            json={**body, "id": second, "ready": True, "succeeded": True, "result_message": "Done here."},
        )
        pair.here.type("resume")
        until("both have ended", lambda: len(events(pair, "job_finished")) == 2)
        until("the result is there", lambda: over.job(job)["ready"])
    assert over.job(second)["result_message"] == "Done here."
    assert len(over.jobs()) == 2
    ended = {line["message"] for line in events(pair, "job_finished")}
    assert any("finished over there meanwhile" in str(message) for message in ended)


def test_a_renewed_token_is_read_again(pair: Pair, over: Over) -> None:
    """A token that is refused is read again from its file; until then nothing is lost."""
    good = pair.token_file.read_text()
    pair.token_file.write_text("expired")
    job = over.ask(over.connection())
    with pair.here.daemon():
        until("it is missed", lambda: events(pair, "remote_is_away"))
        [told] = pair.here.status()["remotes"]
        assert "refused the token" in told["away"]
        pair.token_file.write_text(good)
        until("the result is there", lambda: over.job(job)["ready"])
    assert len(events(pair, "remote_is_away")) == 1


def test_a_change_of_a_remote_project_is_made_over_there(pair: Pair, over: Over) -> None:
    """A run reads the project over there, and what it changes is changed there, in the journal here."""
    project = over.project()
    asked = {"title": "Lock the door", "text": "With the key.", "priority": 7, "phase": "X3"}
    task = over.call("POST", f"projects/{project}/tasks/", json=asked)
    job = over.ask(over.connection("acme_tasks", params={"statuses": {task["task_id"]: "TS1"}}))
    with pair.here.daemon():
        until("the result is there", lambda: over.job(job)["ready"])
        [change] = pair.here.json("jobs", "changes", pair.here.json("jobs", "list")[0]["id"])
    assert over.job(job)["succeeded"], over.job(job)["result_message"]
    assert over.call("GET", f"projects/{project}/tasks/{task['id']}/")["status"] == "TS1"
    assert (change["state"], change["after"]) == ("done", {"status": "TS1"})


@pytest.mark.slow
@pytest.mark.parametrize("take", ["auto", "inaccessible"])
def test_a_number_that_is_handed_out_again_is_another_job(pair: Pair, take: str) -> None:
    """A server restored from an older backup forgets a job that runs here, and gives its number away."""
    pair.set(take=take)
    bed, backup = pair.folder / "bed", pair.folder / "backup"
    bed.touch()
    with pair.there.daemon():
        over = pair.over()
        place = over.connection("acme_nap", params={"bed": str(bed), "seconds": 5})
    shutil.copytree(pair.there.state, backup, ignore=shutil.ignore_patterns("*.sock"))
    with ExitStack() as stack:
        with pair.there.daemon():
            job = over.ask(place)
            stack.enter_context(pair.here.daemon())
            until("the job runs", lambda: is_open(bed))
        shutil.rmtree(pair.there.state)
        shutil.copytree(backup, pair.there.state)
        until("the job has ended", lambda: events(pair, "job_finished"))
        with pair.there.daemon():
            assert over.ask(place) == job, "the number is another one"
            pair.there.type("resume")  # it knows that it was restored
            until("both results are there", lambda: sum(row["ready"] for row in over.jobs()) == 2)
            rows = over.jobs()
    assert len(rows) == 2
    assert all(row["succeeded"] for row in rows)
    assert len(bed.read_text().split()) == 2


def test_a_filter_that_a_server_ignores_is_looked_at_again(pair: Pair, over: Over) -> None:
    """Of a server that tells all jobs, whatever is asked for, those with a result are left alone."""
    connection = over.connection()
    result = {"automatic": False, "succeeded": True, "result_message": "Long ago."}
    over.call("POST", "jobs/alm/", json={"connection": connection, **result})
    pair.set(take="inaccessible")
    with BadNetwork(pair.port, forget="ready=false").serving() as network:
        pair.set(url=f"http://127.0.0.1:{network.port}")
        job = over.ask(connection)
        with pair.here.daemon():
            until("the result is there", lambda: over.job(job)["ready"])
            [told] = pair.here.status()["remotes"]
    assert network.met["forgotten"] > 0
    assert told["taken"] == 1
    assert len(over.jobs()) == 2


def test_reconcile_tells_what_is_ours_and_what_isn_t(pair: Pair, over: Over) -> None:
    """Our results are found over there; a row that another agent posted for our connection is foreign."""
    connection = over.connection()
    job = over.ask(connection)
    with pair.here.daemon():
        until("the result is there", lambda: over.job(job)["ready"])
        until("it is recorded here", lambda: not undelivered(pair.here))
        other = {"automatic": True, "succeeded": False, "result_message": "The other agent was here."}
        row = over.call("POST", "jobs/alm/", json={"connection": connection, **other})["id"]
        done = pair.here.type("reconcile", "sde", "--json")
        nowhere = pair.here.type("reconcile", "elsewhere")
    found = json.loads(done.stdout)
    assert (done.returncode, found["matched"], found["missing"], found["double"]) == (0, 1, [], [])
    assert [one["row"] for one in found["foreign"]] == [row]
    assert nowhere.returncode != 0


def test_observing_writes_and_posts_nothing(pair: Pair, over: Over) -> None:
    """What would be done is planned and kept here; over there the job waits for whoever does it."""
    pair.set(mode="observe")
    project = over.project()
    asked = {"title": "Lock the door", "text": "With the key.", "priority": 7, "phase": "X3"}
    task = over.call("POST", f"projects/{project}/tasks/", json=asked)
    job = over.ask(over.connection("acme_tasks", params={"statuses": {task["task_id"]: "TS1"}}))
    with pair.here.daemon():
        until("it is planned", lambda: events(pair, "job_finished"))
        [remote] = pair.here.status()["remotes"]
        assert not over.job(job)["ready"]
        body = {"connection": over.job(job)["connection"]["id"], "automatic": False, "id": job, "ready": True}
        over.call("POST", "jobs/alm/", json={**body, "succeeded": True, "result_message": "Done by another."})
        found = pair.here.json("reconcile", "sde")
    assert over.call("GET", f"projects/{project}/tasks/{task['id']}/")["status"] == "TS2"
    assert (remote["delivered"], remote["undelivered"]) == (0, 0)
    assert (found["agreed"], found["foreign"], found["disagreed"]) == (1, [], [])
    assert "1 task" in str(events(pair, "job_finished")[0]["message"])


def test_secrets_kept_at_home_go_to_their_host_only(pair: Pair, over: Over) -> None:
    """A param that the server doesn't hold comes from here, for the host it is bound to and no other."""
    bed = pair.folder / "bed"
    bed.touch()
    (pair.folder / "runner.toml").write_text(
        f'[remote.sde]\nurl = "http://127.0.0.1:{pair.port}"\ntoken = "file:{pair.token_file}"\n'
        f'[remote.sde.secrets."rally.example.com"]\nbed = "{bed}"\n'
    )
    own = over.ask(over.connection("acme_nap", params={"server": "rally.example.com", "bed": "/nowhere/bed"}))
    other = over.ask(
        over.connection("acme_nap", params={"server": "evil.example.com", "bed": "/nowhere/bed"})
    )
    with pair.here.daemon("--config", str(pair.folder / "runner.toml")):
        until("both results are there", lambda: over.job(own)["ready"] and over.job(other)["ready"])
        stored = pair.here.json("connections", "list")
        kept = [pair.here.json("connections", "show", one["id"])["params"]["bed"] for one in stored]
    assert over.job(own)["succeeded"], over.job(own)["result_message"]
    assert not over.job(other)["succeeded"]
    assert kept == ["/nowhere/bed", "/nowhere/bed"]


def test_secrets_of_a_server_are_stored_sealed(pair: Pair, over: Over) -> None:
    """A password that came from the server is in no file here as it is, and still opens the lock."""
    lock = pair.folder / "lock"
    lock.write_text("opensesame")
    params = {"password": "opensesame", "lock": str(lock)}
    job = over.ask(over.connection("acme_door", kind="ldap", params=params), kind="ldap")
    with pair.here.daemon():
        until("the result is there", lambda: over.job(job, kind="ldap")["ready"])
        [copy] = pair.here.json("connections", "list")
        shown = pair.here.json("connections", "show", copy["id"])["params"]
    assert over.job(job, kind="ldap")["succeeded"], over.job(job, kind="ldap")["result_message"]
    assert shown["password"] == "********"
    files = [path for path in pair.here.state.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"opensesame" in path.read_bytes()] == []
