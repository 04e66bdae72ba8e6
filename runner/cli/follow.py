"""Wait for a job, and turn its outcome into an exit code."""

import contextlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner.cli.command import DONE, FAILED, STOPPED_BY_CEILING
from runner.cli.listings import DETAILS, JOB, pick
from runner.cli.output import coloured, console, print_json, text
from runner.cli.refusals import Json, NotThere, ServerAway
from runner.model.jobs import Kind

if TYPE_CHECKING:
    from runner.cli.client import Client

_SHORTEST, _LONGEST = 0.1, 1.0  # seconds between two looks
_PATIENCE = 60.0  # seconds that a server may be away in between, as for a restart
_COUNTED = re.compile(r"^(?P<what>.*?)\s*(?P<done>\d+) of (?P<total>\d+)$")


def read_job(client: "Client", job_id: int, *, kind: str | None = None) -> Json:
    """One job with all that is known of it.

    Numbers are unique over all kinds, but the API's paths want the kind: if it isn't known, each is tried.
    """
    for tried in Kind if kind is None else [Kind(kind)]:
        with contextlib.suppress(NotThere):
            return client.get(f"jobs/{tried}/{job_id}/", what=f"job {job_id}", include=f"{DETAILS},preview")
    msg = f"There is no job {job_id}."
    raise NotThere(msg)


def follow(client: "Client", job_id: int, *, kind: str) -> Json:
    """Wait until a job is finished, with a progress bar on a terminal; the finished job."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    job: Json = {}
    # The bar goes to standard error, so that results can be piped on.
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console(error=True),
        disable=not console(error=True).is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("waiting", total=None)
        for job in _looks(client, job_id, kind):
            what, done, total = _progress(job)
            bar.update(task, description=str(text(what)), completed=done, total=total)
    return job


def verdict(job: Json) -> int:
    """The exit code that a finished job stands for.

    A preview that succeeded has the reason for which a run would have been stopped.
    """
    if job.get("reason") == "ceiling":
        return STOPPED_BY_CEILING
    return DONE if job.get("outcome") == "succeeded" else FAILED


def report(job: Json, *, as_json: bool) -> None:
    """Print how a job stands or ended."""
    if as_json:
        print_json(pick(JOB, job))
        return
    standing = coloured(job.get("outcome") or job.get("state") or "")
    line = text(f"Job {job['id']} ").append_text(standing)
    if job.get("result_message"):
        line.append(": ").append_text(text(job["result_message"]))
    console().print(line)


def _looks(client: "Client", job_id: int, kind: str) -> Iterator[Json]:
    pause, away_since = _SHORTEST, 0.0
    while True:
        try:
            job = read_job(client, job_id, kind=kind)
        except ServerAway:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > _PATIENCE:
                raise
        else:
            away_since = 0.0
            yield job
            if job.get("state") == "finished":
                return
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)


def _progress(job: Json) -> tuple[str, float, float | None]:
    told = job.get("progress") or job.get("state") or ""
    if counted := _COUNTED.match(told):
        return counted["what"], float(counted["done"]), float(counted["total"])
    return told, 0.0, None
