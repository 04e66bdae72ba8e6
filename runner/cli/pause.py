"""``runner pause`` and ``runner resume``: let jobs wait, all or those of one connection."""

from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.command import DONE, on_server
from runner.cli.connections import find
from runner.cli.output import say
from runner.cli.reach import Where, reach
from runner.cli.refusals import Json

if TYPE_CHECKING:
    from runner.cli.client import Client

Of = Annotated[
    int | None, typer.Option("--connection", metavar="N", help="Only this connection's jobs.", min=1)
]


@on_server
def pause(
    where: Where,
    *,
    connection: Of = None,
    why: Annotated[
        str | None, typer.Option("--why", metavar="TEXT", help="A sentence that status shows.")
    ] = None,
) -> int:
    """Start no job any more, until `runner resume`, across restarts; jobs that run go on."""
    with reach(where) as client:
        if connection is None:
            client.post("pause/", {} if why is None else {"why": why})
            say("Paused: no job is started until `runner resume`.")
        else:
            alias = _of_connection(client, connection, "pause")["alias"]
            say(f"Paused: no job of {alias} is started until `runner resume --connection {connection}`.")
    return DONE


@on_server
def resume(where: Where, *, connection: Of = None) -> int:
    """Start jobs again."""
    with reach(where) as client:
        if connection is None:
            client.post("resume/", {})
            say("Resumed.")
        else:
            say(f"Resumed: {_of_connection(client, connection, 'resume')['alias']}.")
    return DONE


def _of_connection(client: "Client", connection: int, word: str) -> Json:
    kind = find(client, connection)["kind"]
    return client.post(f"connections/{kind}/{connection}/{word}/", {}, what=f"connection {connection}")
