"""Our history beside a remote server's: what is missing there, what is foreign, what is double."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.model.jobs import Kind
from runner.sdelements.jobs import FoundJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A result of ours, as the outbox has it."""

    job_id: int  # here
    kind: Kind
    connection: int  # over there
    result_id: int | None  # the row over there; None = not delivered, or only observed
    remote_id: int | None  # the job over there that it was the run of
    succeeded: bool
    message: str
    observed: bool = False  # it was planned only, and somebody else did it


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the two histories don't agree about."""

    matched: int = 0
    missing: Sequence[Told] = ()  # delivered, and over there no such result any more
    foreign: Sequence[FoundJob] = ()  # of our connections, and none of ours
    double: Sequence[FoundJob] = ()  # foreign rows that say what one of ours says, at the same time
    agreed: int = 0  # observed jobs that ended over there as they would have here
    disagreed: Sequence[tuple[Told, FoundJob]] = field(default=())  # those that ended otherwise


def compare(ours: Iterable[Told], theirs: Iterable[FoundJob]) -> Comparison:
    """Compare results of the same connections. Rows without a result are left out by the caller."""
    there = {(job.kind, job.id): job for job in theirs}
    matched, missing, claimed = 0, [], set()
    agreed, disagreed = 0, []
    says: defaultdict[tuple[Kind, int, bool, str], list[FoundJob]] = defaultdict(list)
    for told in ours:
        ident = told.remote_id if told.observed else told.result_id
        job = None if ident is None else there.get((told.kind, ident))
        if told.observed:
            if job is not None:
                claimed.add((told.kind, job.id))
                if job.succeeded == told.succeeded:
                    agreed += 1
                else:
                    disagreed.append((told, job))
        elif job is not None and _same(told, job):
            matched += 1
            claimed.add((told.kind, job.id))
            says[told.kind, told.connection, told.succeeded, told.message.strip()].append(job)
        elif ident is not None:
            missing.append(told)
    foreign = [job for key, job in there.items() if key not in claimed]
    double = [job for job in foreign if _near(job, says)]
    return Comparison(
        matched=matched,
        missing=missing,
        foreign=[job for job in foreign if job not in double],
        double=double,
        agreed=agreed,
        disagreed=disagreed,
    )


def _same(told: Told, job: FoundJob) -> bool:
    there, ours = job.message.strip(), told.message.strip()
    return job.succeeded == told.succeeded and job.connection.id == told.connection and ours.startswith(there)


def _near(job: FoundJob, says: dict[tuple[Kind, int, bool, str], list[FoundJob]]) -> bool:
    """Whether a row over there says what one of ours says, within the same minute."""
    alike = says.get((job.kind, job.connection.id, job.succeeded, job.message.strip()), [])
    return any(job.last_run[:16] == one.last_run[:16] for one in alike)
