"""``runner jobs``: look at jobs, end them, run them again, take them back."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer

from runner.cli import changes, findings
from runner.cli.command import DONE, AsJson, on_server
from runner.cli.connections import START, finish, show_preview
from runner.cli.follow import follow, read_job, report, verdict
from runner.cli.listings import DETAILS, JOB, LOG_LINE, pick
from runner.cli.output import (
    coloured,
    console,
    facts,
    local_time,
    note,
    print_json,
    print_json_array,
    say,
    table,
    text,
)
from runner.cli.reach import Where, reach
from runner.cli.refusals import Json
from runner.cli.when import past

app = typer.Typer(
    name="jobs", help="Look at jobs, end them, run them again, take them back.", no_args_is_help=True
)

Id = Annotated[int, typer.Argument(metavar="ID", help="Number of the job.", min=1)]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=1, help="Rows at the most; with --json there is no limit by itself."
    ),
]
Allowed = Annotated[
    int | None,
    typer.Option(
        "--allow-destructive",
        metavar="N",
        min=1,
        help="Approve up to N destructive changes, for this run alone.",
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code tells the outcome.")]
_ROWS = 50  # of a table, unless told otherwise


@app.command("list")
@on_server
def list_jobs(
    where: Where,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="D", help="Only those created since; as 2h, 7d, 2026-03-31."),
    ] = None,
    connection: Annotated[
        int | None, typer.Option("--connection", metavar="N", help="Only those of this connection.")
    ] = None,
    previews: Annotated[bool, typer.Option("--previews", help="Previews too.")] = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> int:
    """List jobs, the newest first."""
    query: dict[str, Any] = {"include": f"{DETAILS},preview" if previews else DETAILS}
    if failed:
        query |= {"ready": "true", "succeeded": "false"}
    if connection is not None:
        query["connection"] = connection
    oldest = None if since is None else past(since)
    with reach(where) as client:
        jobs = _wanted(client.pages("jobs/", **query), failed=failed, oldest=oldest)
        if as_json:
            print_json_array(pick(JOB, job) for job in islice(jobs, limit))
        else:
            shown = list(islice(jobs, limit or _ROWS))
            print_jobs(shown)
            if next(jobs, None) is not None:
                note(f"There are older ones; --limit shows more than these {len(shown)}.")
    return DONE


def print_jobs(jobs: list[Json]) -> None:
    """Print a table of jobs."""
    table(
        ["#ID", "Connection", "!System", "!Outcome", "!When", "Message"],
        (
            [
                job["id"],
                row["alias"],
                row["system"],
                coloured(row["outcome"] or row["state"] or ""),
                local_time(row["finished"] or row["started"] or row["created"]),
                row["message"] or row["progress"],
            ]
            for job in jobs
            for row in [pick(JOB, job)]
        ),
    )


@app.command("show")
@on_server
def show(where: Where, job: Id, *, as_json: AsJson = False) -> int:
    """Show all that is known of a job."""
    with reach(where) as client:
        row = pick(JOB, read_job(client, job))
    if as_json:
        print_json(row)
        return DONE
    row |= {name: local_time(row[name]) for name in ("created", "started", "finished")}
    if allowed := row["allowed_by"]:
        allowed["when"] = local_time(allowed["when"])
        row["allowed_by"] = "{user} allowed {allowed} on {when}".format(**allowed)
    row["totals"] = ", ".join(f"{name} {number}" for name, number in (row["totals"] or {}).items())
    facts((name.replace("_", " "), value) for name, value in row.items())
    return DONE


@app.command("changes")
@on_server
def list_changes(where: Where, job: Id, *, limit: Limit = None, as_json: AsJson = False) -> int:
    """List what a job planned and wrote: its journal."""
    with reach(where) as client:
        found = read_job(client, job)
        changes.print_changes(changes.of_job(client, found), limit=limit, as_json=as_json)
    return DONE


app.command("findings")(findings.findings)


@app.command("log")
@on_server
def log(where: Where, job: Id, *, as_json: AsJson = False) -> int:
    """Show what a job's connector wrote to its log."""
    with reach(where) as client:
        kind = read_job(client, job)["kind"]
        lines = (pick(LOG_LINE, line) for line in client.pages(f"jobs/{kind}/{job}/log/"))
        if as_json:
            print_json_array(lines)
        else:
            for line in lines:
                fields = " ".join(f"{name}={value}" for name, value in line["fields"].items())
                console().print(text(f"{local_time(line['when'])}  {line['event']}  {fields}".rstrip()))
    return DONE


@app.command("watch")
@on_server
def watch(where: Where, job: Id, *, as_json: AsJson = False) -> int:
    """Follow a job to its end; the exit code tells the outcome. Ctrl-C ends the watching alone."""
    with reach(where, needs_daemon=f"A job that waits needs one to end. {START}") as client:
        found = follow(client, job, kind=read_job(client, job)["kind"])
    report(found, as_json=as_json)
    return verdict(found)


@app.command("cancel")
@on_server
def cancel(where: Where, job: Id) -> int:
    """End a job: at once if it waits, as soon as it can stop if it runs."""
    with reach(where) as client:
        found = read_job(client, job)
        client.post(f"jobs/{found['kind']}/{job}/cancel/", {})
    say(f"Job {job} is told to stop." if found.get("state") == "running" else f"Job {job} is cancelled.")
    return DONE


@app.command("retry")
@on_server
def retry(
    where: Where,
    job: Id,
    *,
    wait: Wait = False,
    allow_destructive: Allowed = None,
    as_json: AsJson = False,
) -> int:
    """Queue a new job that does again what a job should have done."""
    needs = f"A retry that is waited for needs one. {START}" if wait else ""
    with reach(where, needs_daemon=needs) as client:
        kind = read_job(client, job)["kind"]
        body = {} if allow_destructive is None else {"allow_destructive": allow_destructive}
        queued = client.post(f"jobs/{kind}/{job}/retry/", body)["id"]
        return finish(client, queued, kind=kind, wait=wait, as_json=as_json)


@app.command("revert")
@on_server
def revert(
    where: Where,
    job: Id,
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what would be taken back, and what can't be.")
    ] = False,
    wait: Wait = False,
    allow_destructive: Allowed = None,
    as_json: AsJson = False,
) -> int:
    """Queue a new job that takes back what a job changed; what others changed since is left alone."""
    needs = f"A revert that is waited for needs one. {START}" if preview or wait else ""
    with reach(where, needs_daemon=needs) as client:
        kind = read_job(client, job)["kind"]
        body: dict[str, Any] = {"preview": True} if preview else {}
        if allow_destructive is not None:
            body["allow_destructive"] = allow_destructive
        queued = client.post(f"jobs/{kind}/{job}/revert/", body)["id"]
        if preview:
            return show_preview(client, queued, kind=kind, as_json=as_json)
        return finish(client, queued, kind=kind, wait=wait, as_json=as_json)


def _wanted(jobs: Iterator[Json], *, failed: bool, oldest: datetime | None) -> Iterator[Json]:
    for job in jobs:
        if oldest is not None and datetime.fromisoformat(job["created"]) < oldest:
            return  # the newest come first
        if not failed or job.get("outcome") == "failed":
            yield job
