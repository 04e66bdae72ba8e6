"""``runner tokens``: make, list and revoke the API's tokens."""

from typing import Annotated, Any

import typer

from runner.cli.command import DONE, AsJson, on_server
from runner.cli.listings import TOKEN, pick
from runner.cli.output import local_time, note, print_json, print_json_array, say, table
from runner.cli.reach import Where, reach
from runner.cli.when import future

app = typer.Typer(name="tokens", help="Make, list and revoke tokens of the API.", no_args_is_help=True)

SCOPES = ("read", "edit-alm", "edit-verification", "edit-ldap", "run", "verify", "agent", "admin")


@app.command("create")
@on_server
def create(
    where: Where,
    *,
    user: Annotated[str, typer.Option("--user", metavar="EMAIL", help="Whose token it is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="S",
            help=f"What it may do, repeatable: {', '.join(SCOPES)}.",
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="May do everything; makes the user if needed.")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="D", help="When it ends; as 90d or 2027-01-31. Else never."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make a token and print it, this once."""
    body: dict[str, Any] = {"user": user}
    if scope:
        body["scopes"] = scope
    if admin:
        body["admin"] = True
    if expires is not None:
        body["expires"] = future(expires).isoformat()
    with reach(where) as client:
        made = client.post("tokens/", body)
    if as_json:
        print_json({"id": made["id"], "token": made["token"]})
    else:
        say(made["token"])
        note(f"This is token {made['id']} of {user}. Keep it now: it is not shown again.")
    return DONE


@app.command("list")
@on_server
def list_tokens(where: Where, *, as_json: AsJson = False) -> int:
    """List tokens, without the secret part that nobody has any more."""
    with reach(where) as client:
        rows = (pick(TOKEN, token) for token in client.pages("tokens/"))
        if as_json:
            print_json_array(rows)
        else:
            table(
                ["#ID", "User", "Scopes", "Created", "Expires", "Last used"],
                (
                    [
                        *(row["id"], row["user"], ", ".join(row["scopes"])),
                        *(local_time(row[name]) for name in ("created", "expires", "last_used")),
                    ]
                    for row in rows
                ),
            )
    return DONE


@app.command("revoke")
@on_server
def revoke(
    where: Where, token: Annotated[int, typer.Argument(metavar="ID", help="Number of the token.", min=1)]
) -> int:
    """End a token at once."""
    with reach(where) as client:
        client.delete(f"tokens/{token}/", what=f"token {token}")
    say(f"Token {token} is revoked.")
    return DONE
