"""``runner mapping``: which tasks a scanner connection's findings speak about."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.command import DONE, on_server
from runner.cli.connections import Id
from runner.cli.output import say
from runner.cli.reach import Where, reach

app = typer.Typer(name="mapping", help="The mapping of a scanner connection, as CSV.", no_args_is_help=True)


@app.command("get")
@on_server
def get(where: Where, connection: Id) -> int:
    """Print a connection's mapping as CSV."""
    with reach(where) as client:
        found = client.get_text(_path(connection), what=f"connection {connection} to a scanner")
    sys.stdout.write(found)
    return DONE


@app.command("set")
@on_server
def put(
    where: Where,
    connection: Id,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="CSV; else it is read from standard input.")
    ] = None,
) -> int:
    """Put a mapping in the place of a connection's; an empty one takes it away."""
    content = sys.stdin.buffer.read() if file is None else file.read_bytes()
    with reach(where) as client:
        client.put_text(_path(connection), content, "text/csv", what=f"connection {connection} to a scanner")
    say(f"Connection {connection} has its new mapping, from its next run on.")
    return DONE


def _path(connection: int) -> str:
    return f"connections/analysis/{connection}/mapping/"
