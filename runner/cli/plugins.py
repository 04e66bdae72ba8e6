"""``runner plugins``: the connector modules there are, what each wants to be told, a new one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import toml
from runner.cli.command import DONE, AsJson, on_server, settled
from runner.cli.listings import SYSTEM, pick
from runner.cli.output import facts, print_json, print_json_array, say, table, text
from runner.cli.parameters import Parameter, rows
from runner.cli.reach import Where, reach
from runner.cli.refusals import BadUsage, Json, NotThere

if TYPE_CHECKING:
    from runner.cli.client import Client

app = typer.Typer(
    name="plugins",
    help="Connector modules: those there are, what they want to be told, a new one.",
    no_args_is_help=True,
)


@app.command("list")
@on_server
def list_plugins(where: Where, *, as_json: AsJson = False) -> int:
    """List the connector modules, those that can't be loaded with the reason."""
    with reach(where) as client:
        found = [pick(SYSTEM, row) for row in _systems(client)]
    if as_json:
        print_json_array(found)
        return DONE
    table(
        ["!Name", "!Kind", "System", "State"],
        (
            [row["id"], row["kind"], row["name"], text("works", "green")]
            if row["broken"] is None
            else [row["id"], None, None, text(row["broken"], "red")]
            for row in found
        ),
    )
    return DONE


@app.command("describe")
@on_server
def describe(
    where: Where,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The module, as `plugins list` calls it.")],
    *,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print a [[connection]] for the configuration instead.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show a connector module and its parameters."""
    with reach(where) as client:
        found = next((row for row in _systems(client) if row["id"] == name), None)
    if found is None:
        msg = f"There is no connector module {name!r}; `runner plugins list` shows those there are."
        raise NotThere(msg)
    if found["broken"] is not None:
        msg = f"{name} can't be loaded: {found['broken']}."
        raise NotThere(msg)
    if as_json:
        print_json({**pick(SYSTEM, found), "params": found["params"]})
    elif as_toml:
        if found["is_file_upload"]:
            msg = f"{name} takes files and isn't declared: a project's first file makes its connection."
            raise BadUsage(msg)
        say(declaration(found).rstrip("\n"))
    else:
        _print(found)
    return DONE


def _systems(client: "Client") -> list[Json]:
    systems: list[Json] = client.get("systems/")["results"]
    return systems


def _print(found: Json) -> None:
    facts(
        [
            ("name", found["id"]),
            ("system", found["name"]),
            ("kind", found["kind"]),
            ("takes uploaded files", bool(found["is_file_upload"])),
        ]
    )
    say("")
    table(
        ["!Parameter", "Takes", "Default", "Meaning"],
        ([row.name, row.type, default(row), row.meaning] for row in rows(found["params"])),
    )


def default(row: Parameter) -> str:
    """A parameter's default in TOML, or what stands for it."""
    if row.required:
        return "required"
    return "secret" if row.secret else "" if row.default in (None, "") else toml.value(row.default)


_WITHOUT_PROJECT = {"ldap", "datasync"}
"""Kinds whose connections may do without a project."""


def declaration(found: Json) -> str:
    """A connection to this system for the configuration, its optional parameters commented out."""
    lines = [
        f"# {found['name']}",
        "[[connection]]",
        f'name = "my-{found["id"].replace("_", "-")}"  # its identity, for good',
        f'system = "{found["id"]}"',
        '# project = "Name"' if found["kind"] in _WITHOUT_PROJECT else 'project = "Name"',
        '# frequency = "daily"',
        "",
        "[connection.params]",
    ]
    for row in rows(found["params"]):
        value = '"file:/path/to/it"' if row.secret else toml.value(_example(row))
        lines += [f"# {row.meaning}", f"{'' if row.required else '# '}{row.name} = {value}"]
    return "\n".join(lines) + "\n"


def _example(row: Parameter) -> Any:
    """What stands in a declaration: the default, else something of the right type to be replaced."""
    if row.default is not None:
        return row.default
    if row.type.startswith("list"):
        return []
    return {"object": {}, "true or false": False, "whole number": 0, "number": 0}.get(row.type, "")


@app.command("new")
@settled
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What connections will have as their system.")],
    *,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Where to make its folder; else right here.")
    ] = Path(),
) -> int:
    """Write a package with a connector to begin with, and tests that hold it to the runner's promises."""
    from runner.cli.starter import begin

    package = begin(name, into)
    say(f"Written to {package}. Its README says how to test it and how to use it.")
    return DONE
