"""``runner jobs findings``: what an import found, and what no task answers to."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from runner.cli.command import DONE, AsJson, on_server
from runner.cli.follow import read_job
from runner.cli.listings import FINDING, pick
from runner.cli.output import note, print_json_array, table
from runner.cli.reach import Where, reach
from runner.cli.refusals import BadUsage, Json

_ROWS = 200  # of a table, unless told otherwise


@on_server
def findings(
    where: Where,
    job: Annotated[int, typer.Argument(metavar="ID", help="Number of the job.", min=1)],
    *,
    unmapped: Annotated[bool, typer.Option("--unmapped", help="Only those that no task answers to.")] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="In the columns of a connection's mapping, to be filled in and put in place."
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Rows at the most; --csv and --json have no limit."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List what an import found, a row per weakness, the worst first."""
    if as_csv and as_json:
        raise BadUsage("--csv and --json are two forms of the same; give one of them.")
    query = {"mapped": "false"} if unmapped else {}
    with reach(where) as client:
        if read_job(client, job)["kind"] != "analysis":
            raise BadUsage(
                f"Job {job} is no import of findings; `runner jobs changes {job}` shows what it did."
            )
        rows = client.pages(f"jobs/analysis/{job}/findings/", **query)
        if as_json:
            print_json_array(pick(FINDING, row) for row in islice(rows, limit))
        elif as_csv:
            _print_csv(islice(rows, limit))
        else:
            _print_table(rows, limit or _ROWS)
    return DONE


def _print_table(rows: Iterator[Json], limit: int) -> None:
    shown = [pick(FINDING, row) for row in islice(rows, limit)]
    table(
        ["Weakness", "!CWE", "!Severity", "#Number", "Tasks", "For example"],
        (
            [
                row["category"],
                ", ".join(str(cwe) for cwe in row["cwes"]),
                row["severity"],
                row["number"],
                ", ".join(row["tasks"]) + ("" if row["mapped"] else " (matches none)"),
                next(iter(row["examples"]), ""),
            ]
            for row in shown
        ),
    )
    if next(rows, None) is not None:
        note(f"There are more than these {len(shown)}; --limit shows more, --json shows all.")


def _print_csv(rows: Iterator[Json]) -> None:
    from runner.findings.mapping_table import write_rows

    for line in write_rows(row for found in rows for row in _mapping_rows(found)):
        # As a file has it: the console's own line ends would make two of each.
        sys.stdout.buffer.write(line.encode())
    sys.stdout.buffer.flush()


def _mapping_rows(found: Json) -> Iterator[tuple[str, str, str, str, str]]:
    cwes = "".join(f" (CWE-{cwe})" for cwe in found["cwes"][:1])
    for task in found["tasks"] if found["mapped"] else [""]:
        yield task, "", found["category"], f"{found['category']}{cwes}", ""
