"""Our history of a remote server's jobs beside the server's own."""

from datetime import datetime, timedelta
from typing import Any

from runner.model.network import Network
from runner.sdelements.history import Comparison, Told, compare
from runner.sdelements.jobs import FoundJob, spelled
from runner.sdelements.server import Server
from runner.settings import Remote
from runner.store import outbox
from runner.store.database import Database

SINCE = timedelta(days=30)
"""How far back is looked, without another wish."""

_EDGE = timedelta(hours=1)  # rows as young as this may be on their way


def look(
    name: str, settings: Remote, database: Database, *, network: Network, now: datetime, since: timedelta
) -> Comparison:
    """Compare what both sides know of the jobs that ended since then."""
    begin = now - since
    with database.read() as c:
        entries = outbox.history(c, name, since=begin - _EDGE)
    ours = [
        Told(
            job_id=one.job_id,
            kind=one.kind,
            connection=one.remote_connection,
            result_id=one.result_id,
            remote_id=one.remote_id,
            succeeded=one.succeeded,
            message=one.message,
            observed=one.observed,
        )
        for one in entries
    ]
    server = Server(name, settings, network)
    edge = spelled(begin.isoformat())
    try:
        theirs = [
            job
            for kind, connection in sorted({(one.kind, one.connection) for one in ours})
            for job in server.finished(kind, connection)
            if job.last_run >= edge
        ]
    finally:
        server.close()
    return compare(ours, theirs)


def told(found: Comparison) -> dict[str, Any]:
    """A comparison as the API tells it."""
    return {
        "matched": found.matched,
        "missing": [
            {"job": one.job_id, "kind": one.kind.value, "row": one.result_id, "message": one.message}
            for one in found.missing
        ],
        "foreign": [_row(one) for one in found.foreign],
        "double": [_row(one) for one in found.double],
        "agreed": found.agreed,
        "disagreed": [{"job": mine.job_id, **_row(other)} for mine, other in found.disagreed],
    }


def _row(job: FoundJob) -> dict[str, Any]:
    return {
        "row": job.id,
        "kind": job.kind.value,
        "connection": job.connection.alias,
        "succeeded": job.succeeded,
        "last_run": job.last_run,
        "message": job.message,
    }
