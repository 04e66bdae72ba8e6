"""``runner connections``: look at connections, try them, run them."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import changes
from runner.cli.command import DONE, FAILED, AsJson, on_server
from runner.cli.declarations import Declarations
from runner.cli.follow import follow, read_job, report, verdict
from runner.cli.listings import CHANGE, CONNECTION, CONNECTION_WHOLE, JOB, pick
from runner.cli.output import (
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
from runner.cli.refusals import BadUsage, Json, NotThere
from runner.model.jobs import Frequency

if TYPE_CHECKING:
    from runner.cli.client import Client

app = typer.Typer(name="connections", help="Look at connections, try them, run them.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="N", help="Number of the connection.", min=1)]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="SUBJECT", help="For this subject alone; as a task's or a user's name."),
]
START = "Start it with `runner run`, or as a service."


@app.command("list")
@on_server
def list_connections(where: Where, *, as_json: AsJson = False) -> int:
    """List connections."""
    with reach(where) as client:
        rows = (pick(CONNECTION, connection) for connection in client.pages("connections/"))
        if as_json:
            print_json_array(rows)
        else:
            table(
                ["#ID", "Alias", "!System", "#Project", "!Frequency", "!Next run"],
                (
                    [r["id"], r["alias"], r["system"], r["project"], _frequency(r), local_time(r["next_run"])]
                    for r in rows
                ),
            )
    return DONE


@app.command("show")
@on_server
def show(where: Where, connection: Id, *, as_json: AsJson = False) -> int:
    """Show a connection with its parameters; secrets among them are masked."""
    with reach(where) as client:
        found = find(client, connection)
        whole = client.get(f"connections/{found['kind']}/{connection}/", what=f"connection {connection}")
    row = pick(CONNECTION_WHOLE, {**found, **whole})
    if as_json:
        print_json(row)
        return DONE
    safety, params = row.pop("safety") or {}, row.pop("params") or {}
    row["next_run"] = local_time(row["next_run"])
    facts((name.replace("_", " "), value) for name, value in row.items())
    for group, values in (("safety", safety), ("params", params)):
        facts((f"{group}.{name}", value) for name, value in values.items())
    return DONE


@app.command("test")
@on_server
def try_out(where: Where, connection: Id, *, as_json: AsJson = False) -> int:
    """Try a connection, step by step, without changing anything; exit code 1 if a step fails."""
    with reach(where) as client:
        kind = find(client, connection)["kind"]
        told = client.post(f"connections/{kind}/{connection}/test/", {})
    if as_json:
        print_json({"success": told["success"], "steps": told["steps"]})
    else:
        for step in told["steps"]:
            mark = text("ok    ", "green") if step["ok"] else text("FAILED", "bold red")
            console().print(mark.append(f"  {step['name']}: ").append_text(text(step["message"])))
    return DONE if told["success"] else FAILED


@app.command("enable")
@on_server
def enable(where: Where, connection: Id) -> int:
    """Let a connection run again."""
    return _change(where, connection, {"enabled": True}, "is enabled")


@app.command("disable")
@on_server
def disable(where: Where, connection: Id) -> int:
    """Let a connection run no more; its jobs and their journal stay."""
    return _change(where, connection, {"enabled": False}, "is disabled")


@app.command("schedule")
@on_server
def schedule(
    where: Where,
    connection: Id,
    *,
    frequency: Annotated[
        Frequency | None, typer.Option("--frequency", help="How often it is due by itself.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPRESSION", help='In place of the frequency; "" takes it away.'),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help='As Europe/Berlin; "" = that of the daemon.'),
    ] = None,
) -> int:
    """Say when a connection is due by itself."""
    given = {
        "frequency": None if frequency is None else frequency.value,
        "schedule": cron,
        "timezone": timezone,
    }
    body = {name: value for name, value in given.items() if value is not None}
    if not body:
        msg = "Say when: --frequency, --cron or --timezone."
        raise BadUsage(msg)
    return _change(where, connection, body, "has its new schedule")


def _change(where: Where, connection: int, body: Json, done: str) -> int:
    with reach(where) as client:
        kind = find(client, connection)["kind"]
        client.patch(f"connections/{kind}/{connection}/", body)
    say(f"Connection {connection} {done}.")
    return DONE


@app.command("export")
@on_server
def export(where: Where, *, as_json: AsJson = False) -> int:
    """Print all connections as a drop-in of the configuration declares them, without secrets."""
    with reach(where) as client:
        found = client.pages("connections/")
        if as_json:
            print_json_array(pick(CONNECTION_WHOLE, connection) for connection in found)
            return DONE
        declarations = Declarations(client)
        sys.stdout.write(declarations.text(found))
    if declarations.left_out:
        numbers = ", ".join(map(str, declarations.left_out))
        note(f"Left out, for the files that are sent make them: {numbers}.")
    return DONE


@app.command("preview")
@on_server
def preview(where: Where, connection: Id, *, only: Only = None, as_json: AsJson = False) -> int:
    """Show what a run would change now, without changing it; exit code 3 if a ceiling would stop it."""
    with reach(where, needs_daemon=f"A preview needs one that reads from the other side. {START}") as client:
        job_id, kind = _queue(client, connection, preview=True, only=only)
        return show_preview(client, job_id, kind=kind, as_json=as_json)


def show_preview(client: "Client", job_id: int, *, kind: str, as_json: bool) -> int:
    """Wait for a preview that was queued just now and print its plan; the exit code."""
    job = follow(client, job_id, kind=kind)
    planned = changes.of_job(client, job)
    if as_json:
        print_json({"job": pick(JOB, job), "changes": [pick(CHANGE, change) for change in planned]})
    else:
        changes.print_changes(planned, limit=None, as_json=False)
        report(job, as_json=False)
    return verdict(job)


@app.command("run")
@on_server
def run(
    where: Where,
    connection: Id,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end; the exit code tells the outcome.")
    ] = False,
    only: Only = None,
    as_json: AsJson = False,
) -> int:
    """Queue a run of a connection."""
    needs = f"The job would wait for ever; without --wait it is queued for later. {START}" if wait else ""
    with reach(where, needs_daemon=needs) as client:
        job_id, kind = _queue(client, connection, preview=False, only=only)
        return finish(client, job_id, kind=kind, wait=wait, as_json=as_json)


def finish(client: "Client", job_id: int, *, kind: str, wait: bool, as_json: bool) -> int:
    """Print what became of a job that was queued just now, waiting for its end if asked; the exit code."""
    job = follow(client, job_id, kind=kind) if wait else read_job(client, job_id, kind=kind)
    report(job, as_json=as_json)
    if client.in_process:
        note("No daemon is running; the job waits for one.")
    return verdict(job) if wait else DONE


def _queue(client: "Client", connection: int, *, preview: bool, only: str | None) -> tuple[int, str]:
    """Ask for a run; the new job's number and kind."""
    kind = find(client, connection)["kind"]
    body: dict[str, Any] = {"connection": connection, "automatic": False, "ready": False}
    if preview:
        body["preview"] = True
    if only is not None:
        body["only"] = only
    return client.post(f"jobs/{kind}/", body)["id"], kind


def find(client: "Client", connection: int) -> Json:
    """A connection's row in the listing of all kinds: its number alone doesn't tell the kind."""
    for found in client.pages("connections/"):
        if found["id"] == connection:
            return found
    msg = f"There is no connection {connection}; `runner connections list` shows those there are."
    raise NotThere(msg)


def _frequency(row: Json) -> str:
    return str(row["frequency"]) if row["enabled"] in {True, None} else f"{row['frequency']} (disabled)"
