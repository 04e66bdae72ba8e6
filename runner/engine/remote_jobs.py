"""Remote servers' jobs, before they run: is it still ours to run?

A server may have finished a job itself, or handed its number out again, while it waited here.
"""

from datetime import timedelta

from runner.engine.attempt import Result
from runner.engine.talk import Surroundings
from runner.errors import Reason, RunnerError
from runner.model.jobs import Claim, Outcome
from runner.sdelements.jobs import run_of
from runner.sdelements.server import Grip
from runner.store import intake, outbox
from runner.store.outbox import Delivery, Settled

TAKEN_BACK = (
    "The server didn't let this job be held for longer: it hadn't heard of it for too long, or a person "
    "ended it. It was ended here, and another agent may run it."
)
CANCELLED_THERE = "Cancelled over there."

_AWAY = timedelta(seconds=5)  # until a job is looked at again whose server didn't answer


def unwanted(claim: Claim, around: Surroundings) -> Result | None:
    """How a job ends, or that it waits, if it isn't to be run now; None = it is.

    A run that has begun goes on: what it wrote has to be found out, whoever wants its result.
    A job that was claimed goes on only as long as nobody else may run it.
    """
    remote, job = claim.connection.remote, claim.job
    if remote is None or not around.remotes.knows(remote):
        return None
    with around.database.read() as c:
        letter = outbox.origin(c, job.id)
    if letter is None or letter.remote_id is None or letter.seen is None:
        return None
    if letter.held is None and job.attempt > 1:
        return None
    try:
        if letter.held is None:
            why = around.remotes.unwanted(remote, letter.kind, letter.remote_id, letter.seen)
        else:
            name = intake.our_name(around.database)
            grip = Grip(name, run_of(letter.seen), letter.held)
            cancelled = around.remotes.hold(remote, letter.kind, letter.remote_id, grip)
            if cancelled:  # and the server waits to hear that it ended
                return Result(outcome=Outcome.CANCELLED, reason=Reason.CANCELLED, message=CANCELLED_THERE)
            why = TAKEN_BACK if cancelled is None else None
    except RunnerError as error:  # whatever it answers, it has to be asked again
        return Result(outcome=Outcome.FAILED, reason=error.reason, message=error.message, waits=_AWAY)
    if why is None:
        return None
    dropped = Settled(job_id=job.id, state=Delivery.DROPPED, error=why)
    around.database.write(lambda c: outbox.settle(c, [dropped], now=around.clock()))
    return Result(outcome=Outcome.CANCELLED, reason=Reason.CANCELLED, message=why)
