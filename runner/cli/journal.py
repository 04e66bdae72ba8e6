"""``runner changes``: who changed what, over all jobs."""

import sys
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from runner.cli import changes
from runner.cli.command import DONE, AsJson, on_server
from runner.cli.output import note
from runner.cli.reach import Where, reach
from runner.cli.when import past

app = typer.Typer(name="changes", help="Look at what all jobs changed: the journal.", no_args_is_help=True)


class Format(StrEnum):
    """How the journal is written to a file."""

    CSV = "csv"
    JSONL = "jsonl"


Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="S", help="Only what was done to this one, by its exact name."),
]
Containing = Annotated[
    str | None,
    typer.Option("--containing", metavar="S", help="Only what was done to those with this in their names."),
]
OfJob = Annotated[int | None, typer.Option("--job", metavar="N", help="Only what this job did.", min=1)]
OfConnection = Annotated[
    int | None, typer.Option("--connection", metavar="N", help="Only what this connection's jobs did.", min=1)
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="D", help="Only what was settled since; as 2h, 7d, 2026-03-31."),
]


@app.command("list")
@on_server
def list_changes(
    where: Where,
    *,
    subject: Subject = None,
    containing: Containing = None,
    job: OfJob = None,
    connection: OfConnection = None,
    since: Since = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, help="Rows at the most; with --json there is no limit by itself."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List what all jobs changed, or left alone, the newest first."""
    query = _query(subject=subject, subject__contains=containing, job=job, connection=connection, since=since)
    with reach(where) as client:
        shown = changes.print_entries(client.pages("changes/", **query), limit=limit, as_json=as_json)
    if not shown and subject is not None:
        note(f"Nothing was done to anything of exactly this name; --containing {quote(subject)} looks wider.")
    return DONE


@app.command("export")
@on_server
def export(
    where: Where,
    *,
    format_: Annotated[
        Format, typer.Option("--format", help="CSV for spreadsheets, or an object of JSON a line.")
    ] = Format.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to; else standard output.")
    ] = None,
    subject: Subject = None,
    containing: Containing = None,
    job: OfJob = None,
    connection: OfConnection = None,
    since: Since = None,
) -> int:
    """Write the journal to a file, whole, however long it is."""
    query = _query(subject=subject, subject__contains=containing, job=job, connection=connection, since=since)
    with reach(where) as client, client.stream("changes/", format=format_.value, **query) as chunks:
        if output is None:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return DONE
        # Beside its place first: what is there under the name is whole, or what was there before.
        part = output.with_name(f".{output.name}.part")
        try:
            with part.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    note(f"The journal is in {output}.")
    return DONE


def _query(*, since: str | None, **filters: Any) -> dict[str, Any]:
    query = {name: value for name, value in filters.items() if value is not None}
    if since is not None:
        query["since"] = past(since).isoformat()
    return query
