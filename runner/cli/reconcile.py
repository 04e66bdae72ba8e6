"""``runner reconcile``: our history beside a remote server's."""

from typing import Annotated

import typer

from runner.cli.command import DONE, FAILED, AsJson, on_server
from runner.cli.output import facts, print_json, table
from runner.cli.reach import Where, reach


@on_server
def reconcile(
    where: Where,
    name: Annotated[str, typer.Argument(help="The NAME of a [remote.NAME].", metavar="NAME")],
    *,
    as_json: AsJson = False,
) -> int:
    """Compare what is known here of a remote server's jobs with what that server shows."""
    with reach(where, needs_daemon="It holds the remote's token: start it with `runner run`.") as client:
        found = client.get(f"remotes/{name}/reconcile/")
    if as_json:
        print_json(found)
    else:
        facts(
            [
                ("results on both sides", found["matched"]),
                ("missing over there", len(found["missing"])),
                ("foreign", len(found["foreign"])),
                ("double", len(found["double"])),
                ("observed, ended as planned", found["agreed"]),
                ("observed, ended otherwise", len(found["disagreed"])),
            ]
        )
        rows = [
            [what, row.get("job"), row.get("row"), row.get("connection"), row["message"]]
            for what in ("missing", "foreign", "double", "disagreed")
            for row in found[what]
        ]
        if rows:
            table(["What", "Job here", "Row there", "Connection", "Message"], rows)
    return FAILED if found["missing"] or found["double"] else DONE
