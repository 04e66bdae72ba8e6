"""The queue: who is next, who has what, and what becomes of a dead daemon's jobs."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from runner.errors import Reason
from runner.model.jobs import Job, Kind, Outcome, State
from runner.store import changes, claims, pauses, queue, rescue, uploads
from runner.store.schema import connections, jobs
from runner.store.values import from_micros, to_micros
from tests.contract.desk import NOW, Desk, at, planned

ONE_SECOND = timedelta(seconds=1)


# --- enqueue -----------------------------------------------------------------------------


def test_the_first_job_is_pending_and_the_next_is_behind(desk: Desk) -> None:
    """One job of a connection may be claimed; whatever comes later waits behind it."""
    connection = desk.connection()
    first = desk.do(queue.enqueue, connection_id=connection, kind=Kind.ALM, now=NOW)
    second = desk.do(queue.enqueue, connection_id=connection, kind=Kind.ALM, now=NOW)
    assert [state for _, state in (first, second)] == [State.PENDING, State.BEHIND]
    assert first[0] < second[0]


def test_a_job_waits_behind_a_running_one(desk: Desk) -> None:
    """A connection that runs takes no second job at its side."""
    running = desk.running()
    assert desk.state(desk.job(running.connection_id)) is State.BEHIND
    assert desk.do(claims.claim, owner="two", now=at(3600)) == []


def test_connections_do_not_wait_for_each_other(desk: Desk) -> None:
    """Each connection has a queue of its own."""
    assert [desk.state(desk.job(desk.connection(alias))) for alias in "abc"] == [State.PENDING] * 3


def test_the_table_itself_refuses_a_second_open_job(desk: Desk) -> None:
    """Whatever the code does, no connection has two jobs that are pending or running."""
    running = desk.running()
    behind = desk.job(running.connection_id)
    for state in (State.PENDING, State.RUNNING):
        with pytest.raises(sa.exc.IntegrityError):
            desk.do(
                lambda c, state=state: c.execute(  # type: ignore[misc]  # bound early
                    sa.update(jobs).where(jobs.c.id == behind).values(state=state.value)
                )
            )


def test_a_slot_gives_one_job(desk: Desk) -> None:
    """An instant at which a connection is due can't be enqueued twice, not even by two daemons."""
    connection, other = desk.connection(), desk.connection()
    desk.job(connection, slot=at(0))
    with pytest.raises(sa.exc.IntegrityError):
        desk.job(connection, slot=at(0))
    desk.job(connection, slot=at(1))
    desk.job(other, slot=at(0))
    desk.job(connection)
    desk.job(connection)


def test_a_job_keeps_what_it_was_enqueued_with(desk: Desk) -> None:
    """All that was asked for comes out of the claim again, with the connection's own things."""
    project = desk.project()
    connection = desk.connection(
        "Ours", system="acme_folder", command="sync", project_id=project, params={"a": [1]}, debug_mode=True
    )
    received = uploads.Received(name="r.xml", file="f00", size=12, sha256="0" * 64)
    upload = desk.do(uploads.add, received, now=NOW)
    job_id = desk.job(
        connection,
        automatic=True,
        preview=True,
        only="T21",
        upload_id=upload,
        retry_of=7,
        revert_of=8,
        slot=at(5),
    )
    claim = desk.claim(owner="me", seconds=60)
    job = claim.job
    assert (job.id, job.owner, job.attempt, job.state) == (job_id, "me", 1, State.RUNNING)
    assert (job.automatic, job.preview, job.only) == (True, True, "T21")
    assert (job.upload_id, job.retry_of, job.revert_of) == (upload, 7, 8)
    assert (job.created, job.started) == (NOW, at(60))
    assert (claim.connection.alias, claim.connection.params) == ("Ours", {"a": [1]})
    assert claim.connection.debug_mode
    assert claim.project == {
        "id": project,
        "name": "Webshop",
        "application": "Portal of Webshop",
        "business_unit": "Unit of Webshop",
    }
    assert claim.upload == {"file": "f00", "name": "r.xml", "size": 12}
    assert (claim.memory, claim.connection.safety) == ({}, {})


def test_a_claim_without_surroundings_has_none(desk: Desk) -> None:
    """A connection of the whole platform has no project, and most jobs have no file."""
    desk.job(desk.connection())
    claim = desk.claim()
    assert (claim.project, claim.upload) == (None, None)


# --- claim -------------------------------------------------------------------------------


def test_the_longest_waiting_job_is_claimed_first(desk: Desk) -> None:
    """Among connections the one that waits longest is next, whatever its id."""
    a, b, c = (desk.connection(alias) for alias in "abc")
    order = [desk.job(c, seconds=1), desk.job(a, seconds=2), desk.job(b, seconds=3)]
    taken = desk.do(claims.claim, owner="one", now=at(10), limit=10)
    assert [claim.job.id for claim in taken] == order


def test_a_connections_jobs_run_in_their_order(desk: Desk) -> None:
    """First in, first out, one after another."""
    connection = desk.connection()
    order = [desk.job(connection, seconds=number) for number in range(5)]
    ran = []
    for _ in order:
        job = desk.claim().job
        ran.append(job.id)
        assert desk.finish(job)
    assert ran == order


def test_one_that_waited_behind_is_not_put_last(desk: Desk) -> None:
    """Its time counts from when it was asked for, not from when it came to the front."""
    busy, idle = desk.connection(), desk.connection()
    desk.job(busy, seconds=1)
    early = desk.job(busy, seconds=2)
    late = desk.job(idle, seconds=3)
    first = desk.do(claims.claim, owner="one", now=at(10))[0]
    desk.finish(first.job)
    assert [c.job.id for c in desk.do(claims.claim, owner="one", now=at(10), limit=2)] == [early, late]


def test_a_claim_takes_no_more_than_it_wants(desk: Desk) -> None:
    """The limit holds; what is left stays for others; an empty queue gives nothing."""
    for number in range(5):
        desk.job(desk.connection(), seconds=number)
    sizes = [len(desk.do(claims.claim, owner="one", now=at(60), limit=2)) for _ in range(4)]
    assert sizes == [2, 2, 1, 0]


def test_a_job_is_not_claimed_before_its_time(desk: Desk) -> None:
    """What was asked for a later instant waits for it."""
    job = desk.job(desk.connection(), seconds=10)
    assert desk.do(claims.claim, owner="one", now=at(9)) == []
    assert [claim.job.id for claim in desk.do(claims.claim, owner="one", now=at(10))] == [job]


# --- finish ------------------------------------------------------------------------------


def test_finishing_keeps_the_result(desk: Desk) -> None:
    """Outcome, reason, message and totals are what the run told."""
    job = desk.running()
    desk.do(claims.note_progress, job=job, text="half way")
    assert desk.finish(
        job,
        outcome=Outcome.FAILED,
        reason=Reason.AUTH,
        message="No entry.",
        totals={"findings": 3},
        now=at(99),
    )
    row = desk.row(job.id)
    ended = queue.job_from_row(row)
    assert (ended.state, ended.outcome, ended.reason) == (State.FINISHED, Outcome.FAILED, Reason.AUTH)
    assert (ended.result_message, ended.totals, ended.progress) == ("No entry.", {"findings": 3}, "")
    assert (ended.finished, ended.last_run, row.lease_until) == (at(99), at(99), None)


def test_finishing_promotes_the_oldest_that_waits(desk: Desk) -> None:
    """The end of a run lets exactly one follow, and only of its own connection."""
    job = desk.running()
    behind = [desk.job(job.connection_id) for _ in range(3)]
    other = desk.job(desk.connection())
    elsewhere = desk.job(desk.row(other).connection_id)
    desk.finish(job)
    assert [desk.state(b) for b in behind] == [State.PENDING, State.BEHIND, State.BEHIND]
    assert desk.state(elsewhere) is State.BEHIND


def test_a_run_leaves_its_memory_to_the_next(desk: Desk) -> None:
    """What a run remembered comes with the connection's next claim; ``None`` keeps what there is."""
    connection = desk.connection()
    for _ in range(3):
        desk.job(connection)
    desk.finish(desk.claim().job, memory={"cursor": 5})
    second = desk.claim()
    desk.finish(second.job)
    assert (second.memory, desk.claim().memory) == ({"cursor": 5}, {"cursor": 5})


# --- the fence ---------------------------------------------------------------------------


def take_over(desk: Desk, job: Job) -> Job:
    """Let another daemon take the job back and claim it."""
    desk.expire(job.id)
    assert desk.do(rescue.rescue, now=at(4000), max_attempts=3, expired_only=True) == (1, 0)
    return desk.claim(owner="two", seconds=4000).job


STALE: dict[str, Callable[[Desk, Job], object]] = {
    "another owner": lambda _, job: replace(job, owner="two"),
    "an earlier attempt": lambda _, job: replace(job, attempt=job.attempt - 1),
    "taken over": take_over,
    "handed back": lambda desk, job: desk.do(claims.hand_back, job=job, now=NOW),
    "finished": Desk.finish,
}


@pytest.mark.parametrize("how", STALE)
def test_a_lost_claim_can_write_nothing(desk: Desk, how: str) -> None:
    """Whoever lost a job can neither end it, nor give it back, nor write for it."""
    job = desk.running()
    changed = STALE[how](desk, job)
    lost = changed if how in {"another owner", "an earlier attempt"} else job
    assert isinstance(lost, Job)
    before = desk.row(job.id)
    assert not desk.finish(lost, message="I was first", memory={"mine": 1})
    assert not desk.do(claims.hand_back, job=lost, now=NOW)
    assert not desk.do(claims.note_progress, job=lost, text="still here")
    with pytest.raises(claims.LostClaim):
        desk.do(claims.hold, lost)
    assert desk.row(job.id) == before
    assert desk.ask(lambda c: c.scalar(sa.select(connections.c.memory))) == "{}"


def test_the_daemon_that_took_over_goes_on(desk: Desk) -> None:
    """After a take-over the job is the new owner's, in a new attempt."""
    job = desk.running()
    theirs = take_over(desk, job)
    assert (theirs.id, theirs.attempt, theirs.owner) == (job.id, 2, "two")
    desk.do(claims.hold, theirs)
    assert desk.finish(theirs)


def test_a_lost_write_takes_its_transaction_with_it(desk: Desk) -> None:
    """What a run writes in one transaction with ``hold`` is undone if the job isn't its own."""
    job = desk.running()
    take_over(desk, job)

    def write(c: sa.Connection) -> None:
        changes.add_plan(c, job, [planned(1)])
        claims.hold(c, job)

    with pytest.raises(claims.LostClaim):
        desk.do(write)
    assert desk.states(job.id) == {}


# --- hand back ---------------------------------------------------------------------------


def test_a_job_handed_back_is_next_again(desk: Desk) -> None:
    """A daemon that stops gives its job back to its place, and that is no death."""
    job = desk.running()
    desk.job(desk.connection(), seconds=5)
    assert desk.do(claims.hand_back, job=job, now=NOW) is State.PENDING
    row = desk.row(job.id)
    assert (row.state, row.owner, row.lease_until, row.deaths) == ("pending", None, None, 0)
    again = desk.do(claims.claim, owner="two", now=at(4000))[0].job
    assert (again.id, again.attempt) == (job.id, 2)


def test_a_job_asked_to_end_isn_t_handed_back(desk: Desk) -> None:
    """Whom a stopping daemon lets go of, and somebody cancelled, doesn't start again elsewhere."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    desk.do(queue.cancel, job_id=job.id, now=at(9))
    assert desk.do(claims.hand_back, job=job, now=at(10)) is State.FINISHED
    row = desk.row(job.id)
    assert (row.outcome, row.result_message) == ("cancelled", queue.CANCELLED_BETWEEN)
    assert desk.state(behind) is State.PENDING


# --- put off and paused ------------------------------------------------------------------


def test_a_job_put_off_waits_for_its_time(desk: Desk) -> None:
    """It keeps the front of its connection, is taken when its time has come, and counts its retries."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    assert desk.do(claims.put_off, job=job, until=at(9000), why="It is busy.", now=at(4000))
    assert not desk.finish(job)
    row = desk.row(job.id)
    assert (row.state, row.owner, row.retries, row.progress) == ("pending", None, 1, "It is busy.")
    assert desk.state(behind) is State.BEHIND
    assert desk.do(claims.claim, owner="two", now=at(8999)) == []
    again = desk.claim(owner="two", seconds=9000).job
    assert (again.id, again.attempt) == (job.id, 2)


@pytest.mark.parametrize("lost", ["owner", "cancelled"])
def test_only_ones_own_job_is_put_off(desk: Desk, lost: str) -> None:
    """A job that is another's by now, or that a person wants to end, isn't put off."""
    job = desk.running()
    if lost == "cancelled":
        desk.do(queue.cancel, job_id=job.id, now=NOW)
    else:
        job = replace(job, owner="two")
    assert not desk.do(claims.put_off, job=job, until=at(9000), why="", now=at(4000))
    assert desk.state(job.id) is State.RUNNING


def test_while_all_is_paused_nothing_is_claimed(desk: Desk) -> None:
    """Jobs wait until somebody ends the pause, whichever daemon asks."""
    desk.job(desk.connection())
    desk.do(pauses.pause, why="Moving house.", now=at(1))
    desk.do(pauses.pause, why="Another reason.", now=at(2))
    assert desk.ask(pauses.whole) == pauses.Pause(since=at(1), why="Moving house.")
    assert desk.do(claims.claim, owner="one", now=at(60)) == []
    assert not desk.ask(queue.anything_to_take, frozen=False)
    assert (desk.do(pauses.resume), desk.do(pauses.resume)) == (True, False)
    assert desk.ask(queue.anything_to_take, frozen=False)
    assert desk.ask(pauses.whole) is None
    desk.claim()


def test_while_one_job_is_open_there_is_something_to_take(desk: Desk) -> None:
    """However quickly jobs go from waiting to running to their end, nobody finds a moment of rest."""
    first, looks, over = desk.running(), 0, threading.Event()

    def hand_over(c: sa.Connection, running: Job) -> None:
        queue.enqueue(c, connection_id=other, kind=Kind.ALM, now=at(2))
        claims.finish(
            c, job=running, outcome=Outcome.SUCCEEDED, reason=None, message="", totals={}, now=at(2)
        )

    def work() -> None:
        running = first
        try:
            for _ in range(300):
                desk.do(hand_over, running)
                running = desk.claim().job
        finally:
            over.set()

    other = desk.connection("other")
    worker = threading.Thread(target=work)
    worker.start()
    while not over.is_set():
        assert desk.ask(queue.anything_to_take, frozen=False)
        looks += 1
    worker.join()
    assert looks > 10


def test_a_paused_connection_is_passed_over(desk: Desk) -> None:
    """Its jobs wait while others', asked for later, are taken."""
    paused, other = desk.connection(), desk.connection()
    waits, goes = desk.job(paused, seconds=1), desk.job(other, seconds=2)
    desk.do(pauses.set_connection, paused, paused=True, now=NOW)
    assert [c.job.id for c in desk.do(claims.claim, owner="one", now=at(60), limit=5)] == [goes]
    desk.do(pauses.set_connection, paused, paused=False, now=NOW)
    assert [c.job.id for c in desk.do(claims.claim, owner="one", now=at(60), limit=5)] == [waits]


def test_while_frozen_only_previews_are_claimed(desk: Desk) -> None:
    """A preview writes nothing, so it may run when nothing may be written."""
    desk.job(desk.connection(), seconds=1)
    preview = desk.job(desk.connection(), seconds=2, preview=True)
    taken = desk.do(claims.claim, owner="one", now=at(60), limit=5, frozen=True)
    assert [claim.job.id for claim in taken] == [preview]


# --- cancel ------------------------------------------------------------------------------


def test_a_pending_job_is_cancelled_at_once(desk: Desk) -> None:
    """It ends without having run, and the next one comes to the front."""
    connection = desk.connection()
    job, behind = desk.job(connection), desk.job(connection)
    assert desk.do(queue.cancel, job_id=job, now=at(9)) is State.PENDING
    ended = queue.job_from_row(desk.row(job))
    assert (ended.state, ended.outcome, ended.reason) == (
        State.FINISHED,
        Outcome.CANCELLED,
        Reason.CANCELLED,
    )
    assert (ended.finished, ended.started) == (at(9), None)
    assert "nothing was changed" in ended.result_message
    assert desk.state(behind) is State.PENDING


def test_a_job_behind_is_cancelled_at_once(desk: Desk) -> None:
    """It ends without having run, and nobody else is moved."""
    connection = desk.connection()
    first, second, third = (desk.job(connection) for _ in range(3))
    assert desk.do(queue.cancel, job_id=second, now=at(9)) is State.BEHIND
    assert [desk.state(job) for job in (first, second, third)] == [
        State.PENDING,
        State.FINISHED,
        State.BEHIND,
    ]


def test_a_running_job_is_asked_to_end(desk: Desk) -> None:
    """Its end stays its owner's business, who hears of the request."""
    job, other = desk.running(), desk.running()
    assert desk.do(queue.cancel, job_id=job.id, now=at(9)) is State.RUNNING
    assert desk.state(job.id) is State.RUNNING
    assert desk.ask(claims.cancel_requested, [job.id, other.id]) == {job.id}
    assert desk.do(claims.note_progress, job=job, text="") is True
    assert desk.do(claims.note_progress, job=other, text="") is False
    assert desk.finish(job, outcome=Outcome.CANCELLED, reason=Reason.CANCELLED)


def test_a_finished_job_is_not_cancelled(desk: Desk) -> None:
    """What has an outcome keeps it."""
    job = desk.running()
    desk.finish(job)
    before = desk.row(job.id)
    assert desk.do(queue.cancel, job_id=job.id, now=at(9)) is State.FINISHED
    assert desk.row(job.id) == before


def test_a_job_that_never_was_is_not_cancelled(desk: Desk) -> None:
    """The caller learns that there is none."""
    assert desk.do(queue.cancel, job_id=987654, now=at(9)) is None


# --- rescue and leases -------------------------------------------------------------------


def test_rescue_takes_back_what_runs(desk: Desk) -> None:
    """After a death each running job is pending again, in its old place, with the death counted."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    assert desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=False) == (1, 0)
    row = desk.row(job.id)
    assert (row.state, row.owner, row.deaths, row.attempt) == ("pending", None, 1, 1)
    assert desk.state(behind) is State.BEHIND
    assert desk.claim(owner="two").job.attempt == 2


def test_rescue_leaves_alone_what_does_not_run(desk: Desk) -> None:
    """Jobs that wait or are finished aren't touched by it."""
    connection = desk.connection()
    ids = [desk.job(connection) for _ in range(3)]
    desk.finish(desk.claim().job)
    before = [desk.row(job) for job in ids]
    assert desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=False) == (0, 0)
    assert [desk.row(job) for job in ids] == before


def test_a_job_that_kills_its_daemon_is_given_up(desk: Desk) -> None:
    """After so many deaths it fails with a sentence, and the next one follows."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    rescued = []
    for _ in range(3):
        rescued.append(desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=False))
        desk.do(claims.claim, owner="one", now=at(60))
    assert rescued == [(1, 0), (1, 0), (0, 1)]
    ended = queue.job_from_row(desk.row(job.id))
    assert (ended.state, ended.outcome, ended.reason) == (State.FINISHED, Outcome.FAILED, Reason.CRASH)
    assert "stopped 3 times" in ended.result_message
    assert desk.state(behind) is State.RUNNING


def test_a_cancelled_job_is_not_taken_up_again(desk: Desk) -> None:
    """If the daemon dies before it could end the run, rescue ends it as cancelled."""
    job = desk.running()
    behind = desk.job(job.connection_id)
    desk.do(queue.cancel, job_id=job.id, now=at(9))
    assert desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=False) == (0, 1)
    ended = queue.job_from_row(desk.row(job.id))
    assert (ended.outcome, ended.reason, ended.owner) == (Outcome.CANCELLED, Reason.CANCELLED, None)
    assert desk.state(behind) is State.PENDING


def test_only_expired_leases_are_taken_back(desk: Desk) -> None:
    """A daemon that is alive keeps its jobs, however long they run."""
    alive, dead = desk.running(), desk.running()
    desk.expire(dead.id)
    assert desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=True) == (1, 0)
    assert (desk.state(alive.id), desk.state(dead.id)) == (State.RUNNING, State.PENDING)


def test_a_lease_goes_by_the_databases_clock(desk: Desk) -> None:
    """A daemon whose own clock is years behind or ahead holds its jobs as long as any other."""
    desk.job(desk.connection())
    desk.job(desk.connection())
    jobs_of = [
        desk.do(claims.claim, owner=owner, now=now)[0].job
        for owner, now in (("ahead", at(10**9)), ("behind", NOW))
    ]
    leases = [from_micros(desk.row(job.id).lease_until) for job in jobs_of]
    assert abs(leases[0] - leases[1]) < claims.LEASE
    assert desk.do(rescue.rescue, now=NOW, max_attempts=3, expired_only=True) == (0, 0)


def test_a_claims_lease_is_as_long_as_asked(desk: Desk) -> None:
    """How long a daemon may be silent is its setting."""
    desk.job(desk.connection())
    desk.job(desk.connection())
    leases = [
        desk.row(desk.do(claims.claim, owner="one", now=at(60), lease=lease)[0].job.id).lease_until
        for lease in (timedelta(hours=1), timedelta(hours=3))
    ]
    assert to_micros(at(7200)) - 60_000_000 < leases[1] - leases[0] + to_micros(NOW) < to_micros(at(7260))


def test_renewing_prolongs_ones_own_leases(desk: Desk) -> None:
    """An owner renews all that it runs and nothing of others."""
    mine, theirs = desk.running(), desk.running()
    desk.do(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == theirs.id).values(owner="two")))
    waiting = desk.job(mine.connection_id)
    for job in (mine, theirs):
        desk.expire(job.id)
    assert desk.do(claims.renew, owner="one", lease=ONE_SECOND * 60) == 1
    assert desk.do(rescue.rescue, now=at(50), max_attempts=3, expired_only=True) == (1, 0)
    assert (desk.state(mine.id), desk.state(theirs.id)) == (State.RUNNING, State.PENDING)
    assert desk.row(waiting).lease_until is None


def test_a_new_attempt_forgets_what_was_only_planned(desk: Desk) -> None:
    """What the dead attempt sent stays in the journal; what it only planned or read is dropped."""
    job = desk.running()
    desk.plan(job, planned(1), planned(2), planned(3))
    desk.do(changes.intend, job.id, [1])
    read = {"complete": True, "size": 1, "target_size": None, "additions_hold": False, "why": ""}
    desk.do(lambda c: changes.add_read(c, job, name="source", **read))  # type: ignore[arg-type]  # as one
    again = take_over(desk, job)
    desk.do(rescue.forget_attempt, job=again)
    assert list(desk.states(job.id)) == [1]
    assert desk.ask(changes.reads_of, job.id) == []


# --- looking -----------------------------------------------------------------------------


def test_open_jobs_are_counted(desk: Desk) -> None:
    """How many wait and run is known, and whether anything does at all."""
    assert not desk.ask(queue.anything_open)
    job = desk.running()
    desk.job(job.connection_id)
    desk.job(desk.connection())
    assert desk.ask(queue.open_count) == {State.BEHIND: 1, State.PENDING: 1, State.RUNNING: 1}
    assert desk.ask(queue.anything_open)


@pytest.mark.parametrize("state", [State.BEHIND, State.PENDING, State.RUNNING])
def test_each_open_state_counts_as_open(desk: Desk, state: State) -> None:
    """A daemon that is to stop when all is done doesn't stop too early."""
    job = desk.running()
    desk.do(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == job.id).values(state=state.value)))
    assert desk.ask(queue.anything_open)
    desk.do(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == job.id).values(state="finished")))
    assert not desk.ask(queue.anything_open)


def test_progress_is_shown_while_a_job_runs(desk: Desk) -> None:
    """The last thing a run told is what is shown; after its end nothing is."""
    job = desk.running()
    desk.do(claims.note_progress, job=job, text="12 of 30")
    assert desk.row(job.id).progress == "12 of 30"
    desk.finish(job)
    desk.do(claims.note_progress, job=job, text="13 of 30")
    assert desk.row(job.id).progress == ""


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_claim_does_not_read_the_backlog(desk: Desk) -> None:
    """However many jobs wait, SQLite finds the next one in an index of the claimable ones only."""
    desk.job(desk.connection())
    with desk.database.read() as c:
        query = (
            "EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE state = 'pending' AND not_before <= 5 "
            "ORDER BY not_before, id LIMIT 1"
        )
        (plan,) = c.exec_driver_sql(query).all()
    assert "jobs_claimable" in plan.detail
