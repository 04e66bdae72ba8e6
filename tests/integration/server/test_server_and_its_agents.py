"""Claims from the agent's side: what a daemon elsewhere makes of this server's jobs, step by step."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runner import holding
from runner.delivery import Deliverer
from runner.engine.remote_jobs import TAKEN_BACK
from runner.errors import Unreachable
from runner.holding import OUT_OF_REACH, Holder
from runner.model.jobs import Kind, Outcome
from runner.model.network import Network
from runner.poller import UNSCOPED, Poller
from runner.sdelements.server import Presence, Server
from runner.settings import Remote
from runner.store import backup, claims, intake, migrate, outbox, pauses
from runner.store.accounts import Scope
from runner.store.database import Database, open_database
from runner.store.schema import jobs
from runner.store.vault import Vault
from tests.integration.server.kit import SYSTEMS, Running
from tests.servers.bad_network import BadNetwork

ROOM = 3


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@dataclass
class Afar:
    """A daemon elsewhere, of which each loop comes round when the test says so."""

    store: Database
    settings: Remote
    refusing: str = ""
    stopped: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        common: dict[str, Any] = {"presence": Presence("sde"), "network": Network(), "clock": utc_now}
        self.poller = Poller(
            "sde",
            self.settings,
            self.store,
            systems=lambda: SYSTEMS,
            wake=lambda: None,
            vault=Vault(Path("/nowhere/key")),
            secret=lambda _system, _name: False,
            room=ROOM,
            refusing=lambda: self.refusing,
            **common,
        )
        self.holder = Holder(
            "sde",
            self.settings,
            self.store,
            refusing=lambda: self.refusing,
            hand_back=lambda job, why: self.stopped.append((job, why)),
            **common,
        )
        self.deliverer = Deliverer("sde", self.settings, self.store, **common)

    def begin(self) -> list[int]:
        """Begin all that waits; the jobs' numbers here."""
        taken = self.store.write(lambda c: claims.claim(c, owner="slot", now=utc_now(), limit=9))
        return [one.job.id for one in taken]

    def work(self, message: str = "Done from afar.") -> list[int]:
        """Do all that waits; the jobs' numbers here."""
        taken = self.store.write(lambda c: claims.claim(c, owner="slot", now=utc_now(), limit=9))
        for one in taken:
            self.end(one.job, message)
        return [one.job.id for one in taken]

    def end(self, job: Any, message: str) -> None:
        """End a job that runs."""
        values: dict[str, Any] = {"outcome": Outcome.SUCCEEDED, "reason": None, "totals": {"created": 2}}
        self.store.write(
            lambda c: claims.finish(c, job=job, message=message, now=utc_now(), memory={"seen": 7}, **values)
        )

    def rows(self) -> list[sa.Row[Any]]:
        """All jobs here."""
        with self.store.read() as c:
            return list(c.execute(sa.select(jobs).order_by(jobs.c.id)))

    def held(self) -> list[int]:
        """What is held at the server, by its numbers."""
        with self.store.read() as c:
            return [one.remote_id for one in outbox.held(c, "sde")]


@pytest.fixture
def afar(server: Running, tmp_path: Path) -> Iterator[Afar]:
    """Give a daemon elsewhere with an empty store and a token for agents."""
    (tmp_path / "afar").mkdir()
    with closing(open_database(f"sqlite:///{tmp_path / 'afar' / 'runner.db'}")) as store:
        migrate.upgrade(store)
        token = server.token(Scope.AGENT, email="agent@example.com")
        yield Afar(store, Remote(url=server.base, token=token))


def waiting(server: Running, alias: str = "Far") -> int:
    """A job of a connection that only agents reach; its number."""
    connection = server.connection(alias=alias, inaccessible=True, params={"alm_server": "rally.example.com"})
    body = {"connection": connection, "automatic": False, "ready": False}
    made: int = server.admin().post("jobs/alm/", json=body).json()["id"]
    return made


def shown(server: Running, job: int) -> Any:
    """A job as the server shows it."""
    return server.admin().get(f"jobs/alm/{job}/?include=state,attempt,totals").json()


def expire(server: Running, job: int) -> None:
    """Let the lease of a job have run out: the server takes it back."""
    values = {"state": "pending", "owner": None, "lease_until": None}
    server.database.write(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == job).values(**values)))


def done_by_another(server: Running, job: int) -> None:
    """Have another agent claim and end the job."""
    other = server.client(Scope.AGENT, email="other@example.com")
    [taken] = other.post("jobs/claim/", json={}).json()["results"]
    assert taken["id"] == job
    result = {"attempt": taken["attempt"], "succeeded": True, "result_message": "Done by another."}
    assert other.patch(f"jobs/alm/{job}/", json=result).status_code == 200


def test_a_claimed_job_is_run_and_told_by_its_claim(server: Running, afar: Afar) -> None:
    """It is the server's running one as long as it is ours; then it has its result, with all that we tell."""
    job = waiting(server)
    assert afar.poller.poll() == 1
    assert (shown(server, job)["state"], afar.held()) == ("running", [job])
    assert afar.poller.poll() == 0
    afar.work()
    assert afar.deliverer.round() == 1
    found = shown(server, job)
    assert (found["ready"], found["succeeded"], found["attempt"]) == (True, True, 1)
    assert (found["result_message"], found["totals"]) == ("Done from afar.", {"created": 2})
    assert len(server.admin().get("jobs/").json()["results"]) == 1
    assert afar.poller.status()["claims"] is True


def test_no_more_is_claimed_than_there_is_room_for(server: Running, afar: Afar) -> None:
    """What there is no room for is left to others, until something has ended here."""
    for number in range(ROOM + 2):
        waiting(server, f"Far {number}")
    assert [afar.poller.poll(), afar.poller.poll()] == [ROOM, 0]
    afar.work()
    assert afar.poller.poll() == 2


def test_a_claim_whose_answer_was_lost_is_found_again(server: Running, afar: Afar) -> None:
    """Who dies between a claim and its record has the job at the next poll, by the same claim."""
    job = waiting(server)
    name = afar.store.write(intake.agent_name)
    with closing(Server("sde", afar.settings, Network())) as lost:
        assert lost.claim([Kind.ALM], ["rally"], agent=name, holding=[], skip=[], limit=1)
    assert afar.poller.poll() == 1
    afar.work()
    assert afar.deliverer.round() == 1
    assert (shown(server, job)["ready"], shown(server, job)["attempt"]) == (True, 1)


def test_a_result_that_comes_after_anothers_is_dropped(server: Running, afar: Afar) -> None:
    """The lease ran out and another agent ran the job: its result stands, and ours isn't there beside it."""
    job = waiting(server)
    afar.poller.poll()
    afar.work()
    expire(server, job)
    done_by_another(server, job)
    assert afar.deliverer.round() == 0
    assert [row["result_message"] for row in server.admin().get("jobs/").json()["results"]] == [
        "Done by another."
    ]
    assert afar.deliverer.status() == {"delivered": 0, "undelivered": 0, "refused": 0}


def test_a_result_goes_before_another_run(server: Running, afar: Afar) -> None:
    """The lease ran out and nobody took the job since: our result ends it, and nobody runs it again."""
    job = waiting(server)
    afar.poller.poll()
    afar.work()
    expire(server, job)
    assert afar.deliverer.round() == 1
    assert (shown(server, job)["ready"], shown(server, job)["result_message"]) == (True, "Done from afar.")
    assert afar.poller.poll() == 0


def test_while_another_runs_the_job_our_result_waits(server: Running, afar: Afar) -> None:
    """Another agent holds the job: our result waits to see what becomes of it, and then gives way."""
    job = waiting(server)
    afar.poller.poll()
    afar.work()
    expire(server, job)
    other = server.client(Scope.AGENT, email="other@example.com")
    [taken] = other.post("jobs/claim/", json={}).json()["results"]
    assert afar.deliverer.round() == 0
    assert afar.deliverer.status()["undelivered"] == 1
    result = {"attempt": taken["attempt"], "succeeded": False, "result_message": "Failed elsewhere."}
    other.patch(f"jobs/alm/{job}/", json=result)
    assert len(server.admin().get("jobs/").json()["results"]) == 1


def test_what_the_server_took_back_is_ended_here(server: Running, afar: Afar) -> None:
    """A refused heartbeat ends what waits, and asks what runs to end, with a sentence; nothing is told."""
    first, second = waiting(server), waiting(server, "Second")
    afar.poller.poll()
    [runs] = [one.job.id for one in afar.store.write(lambda c: claims.claim(c, owner="slot", now=utc_now()))]
    for job in (first, second):
        expire(server, job)
    afar.holder.round()
    rows = {row.id: row for row in afar.rows()}
    [waited] = rows.keys() - {runs}
    assert (rows[waited].state, rows[waited].result_message) == ("finished", TAKEN_BACK)
    assert (rows[runs].state, bool(rows[runs].cancel_requested)) == ("running", True)
    with afar.store.read() as c:
        assert outbox.why_let_go(c, [runs]) == {runs: TAKEN_BACK}
    assert afar.held() == []
    assert afar.deliverer.round() == 0


def test_what_was_taken_back_may_be_claimed_anew(server: Running, afar: Afar) -> None:
    """After it was lost it is another job here, and its result is delivered."""
    job = waiting(server)
    afar.poller.poll()
    expire(server, job)
    afar.holder.round()
    assert afar.poller.poll() == 1
    afar.work()
    assert afar.deliverer.round() == 1
    assert [row.outcome for row in afar.rows()] == ["cancelled", "succeeded"]
    assert shown(server, job)["attempt"] == 2


@pytest.mark.parametrize("why", ["paused", "stopping", "connection"])
def test_what_will_not_be_run_is_given_back(server: Running, afar: Afar, why: str) -> None:
    """Paused or about to stop, it gives back what it hasn't begun, and takes nothing; then it goes on."""
    job = waiting(server)
    afar.poller.poll()
    [row] = afar.rows()
    if why == "paused":
        afar.store.write(lambda c: pauses.pause(c, why="We look at it.", now=utc_now()))
    elif why == "connection":
        afar.store.write(lambda c: pauses.set_connection(c, row.connection_id, paused=True, now=utc_now()))
    else:
        afar.refusing = "the daemon stops"
    afar.holder.round()
    assert shown(server, job)["state"] == "pending"
    assert afar.poller.poll() == 0
    assert "given back" in afar.rows()[0].result_message
    afar.refusing = ""
    afar.store.write(pauses.resume)
    afar.store.write(lambda c: pauses.set_connection(c, row.connection_id, paused=False, now=utc_now()))
    assert afar.poller.poll() == 1


def test_what_has_begun_is_not_given_back(server: Running, afar: Afar) -> None:
    """A job that runs when all is paused goes on to its end, and its result is told."""
    job = waiting(server)
    afar.poller.poll()
    [taken] = afar.store.write(lambda c: claims.claim(c, owner="slot", now=utc_now()))
    afar.store.write(lambda c: pauses.pause(c, why="We look at it.", now=utc_now()))
    afar.holder.round()
    assert shown(server, job)["state"] == "running"
    afar.end(taken.job, "Done from afar.")
    assert afar.deliverer.round() == 1


def test_a_run_is_stopped_before_another_may_begin_it(
    server: Running, afar: Afar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can't reach the server for a lease stops the run: the job may be another agent's by now."""
    waiting(server)
    afar.poller.poll()
    [job] = afar.begin()
    away = afar.settings.model_copy(update={"url": "http://127.0.0.1:9"})
    alone = Afar(afar.store, away)
    with pytest.raises(Unreachable):
        alone.holder.round()
    assert alone.stopped == []
    monkeypatch.setattr(holding, "LEASE", 0)  # it is over
    with pytest.raises(Unreachable):
        alone.holder.round()
    assert alone.stopped == [(job, OUT_OF_REACH)]


def test_a_cancellation_over_there_ends_the_run_and_is_told(server: Running, afar: Afar) -> None:
    """A job that somebody cancels at the server is asked to end here; the server hears that it did."""
    job = waiting(server)
    afar.poller.poll()
    assert server.admin().post(f"jobs/alm/{job}/cancel/").status_code == 202
    afar.holder.round()
    [row] = afar.rows()
    assert (row.state, row.outcome) == ("finished", "cancelled")
    assert afar.deliverer.round() == 1
    told = server.admin().get(f"jobs/alm/{job}/?include=outcome").json()
    assert (told["ready"], told["outcome"]) == (True, "cancelled")


def test_a_result_that_a_restored_server_forgot_is_told_again(server: Running, afar: Afar) -> None:
    """A server put back to before the result hands the job to us again: it isn't run, but told once more."""
    job = waiting(server)
    afar.poller.poll()
    with server.database.read() as c:
        before = c.execute(sa.select(jobs).where(jobs.c.id == job)).one()._asdict()
    afar.work()
    afar.deliverer.round()
    server.database.write(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == job).values(**before)))
    assert shown(server, job)["state"] == "running"
    assert afar.poller.poll() == 0
    assert afar.deliverer.round() == 1
    assert (shown(server, job)["ready"], len(afar.rows())) == (True, 1)


def test_a_number_that_is_another_jobs_now_gets_no_result_of_ours(server: Running, afar: Afar) -> None:
    """A restored server knows the number as another run's: that waits on, and ours is a row of its own."""
    job = waiting(server)
    afar.poller.poll()
    afar.work()
    expire(server, job)
    other_run = sa.update(jobs).where(jobs.c.id == job).values(uuid="another", automatic=True)
    server.database.write(lambda c: c.execute(other_run))
    assert afar.deliverer.round() == 1
    rows = server.admin().get("jobs/").json()["results"]
    assert {(row["id"] == job, row["ready"]) for row in rows} == {(True, False), (False, True)}


def test_an_old_server_is_asked_for_claims_once(server: Running, afar: Afar) -> None:
    """A server that knows no claims says so once; its jobs are looked for, and their results posted."""
    port = int(server.base.rpartition(":")[2])
    job = waiting(server)
    with BadNetwork(port, old=True).serving() as network:
        old = Afar(afar.store, afar.settings.model_copy(update={"url": f"http://127.0.0.1:{network.port}"}))
        assert [old.poller.poll(), old.poller.poll()] == [1, 0]
        assert (network.met["old"], old.poller.status()["claims"]) == (1, False)
        old.work()
        assert old.deliverer.round() == 1
    assert (shown(server, job)["ready"], shown(server, job)["attempt"]) == (True, 0)


def test_who_may_not_claim_is_told(server: Running, afar: Afar) -> None:
    """A token without the scope agent leaves the daemon to look for jobs, and its status says why."""
    token = server.token(Scope.RUN, Scope.READ, Scope.EDIT_ALM)
    humble = Afar(afar.store, afar.settings.model_copy(update={"token": token, "kinds": [Kind.ALM]}))
    waiting(server)
    assert humble.poller.poll() == 1
    assert humble.poller.status()["warning"] == UNSCOPED


def test_what_another_agent_holds_is_not_looked_for(server: Running, afar: Afar) -> None:
    """Without claims, a job that is held shows as pending at the server, and is left alone."""
    held, free = waiting(server), waiting(server, "Second")
    other = server.client(Scope.AGENT, email="other@example.com")
    [taken] = other.post("jobs/claim/", json={}).json()["results"]
    assert taken["id"] == held
    plain = Afar(afar.store, afar.settings.model_copy(update={"take": "pending"}))
    assert plain.poller.poll() == 1
    with afar.store.read() as c:
        letter = outbox.origin(c, afar.rows()[0].id)
    assert letter is not None
    assert letter.remote_id == free


def test_a_job_that_was_seen_before_claims_were_offered_is_one_job(server: Running, afar: Afar) -> None:
    """Recorded as pending, then claimed: it goes on as it is, and is told by the claim."""
    job = waiting(server)
    plain = Afar(afar.store, afar.settings.model_copy(update={"take": "pending"}))
    assert plain.poller.poll() == 1
    assert afar.poller.poll() == 0
    assert (afar.held(), len(afar.rows())) == ([job], 1)
    afar.work()
    assert afar.deliverer.round() == 1
    assert shown(server, job)["attempt"] == 1


def test_a_copy_of_the_store_holds_nothing_of_the_original(server: Running, afar: Afar) -> None:
    """A restored state has another name as an agent: what the original holds it can't give back."""
    job = waiting(server)
    afar.poller.poll()
    name = afar.store.write(intake.agent_name)
    assert afar.store.write(intake.agent_name) == name
    backup.pause_restored(afar.store, created="yesterday", now=utc_now())
    assert afar.store.write(intake.agent_name) != name
    afar.holder.round()
    assert (afar.held(), shown(server, job)["state"]) == ([], "running")
