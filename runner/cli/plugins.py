"""``runner plugins``: the connectors there are, and what each wants to be told."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import toml
from runner.cli.command import DONE, AsJson, on_server
from runner.cli.listings import PARAMETER, PLUGIN, pick
from runner.cli.output import console, facts, print_json, print_json_array, say, table, text
from runner.cli.reach import Where, reach
from runner.cli.refusals import Json, NotThere
from runner.errors import Refused

if TYPE_CHECKING:
    from runner.cli.client import Client

app = typer.Typer(
    name="plugins", help="The connectors there are, and what each wants to be told.", no_args_is_help=True
)


@app.command("list")
@on_server
def list_plugins(where: Where, *, as_json: AsJson = False) -> int:
    """List connectors, those too that can't be loaded, with why."""
    with reach(where) as client:
        rows = [pick(PLUGIN, row) for row in _all(client)]
    if as_json:
        print_json_array(rows)
    else:
        table(
            ["!Name", "!Kind", "System", "Trouble"],
            ([row["id"], row["kind"], row["name"], text(row["broken"] or "", "red")] for row in rows),
        )
    return DONE


@app.command("describe")
@on_server
def describe(
    where: Where,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, as `plugins list` has it.")],
    *,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="As a declared connection to fill in, for a file in conf.d.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show what a connector wants to be told: its parameters, their defaults and what they mean."""
    with reach(where) as client:
        found = _named(client, name)
    parameters = [pick(PARAMETER, field) for section in found["sections"] for field in section["fields"]]
    if as_json:
        print_json({**pick(PLUGIN, found), "params": parameters})
    elif as_toml:
        say(_declaration(found, parameters))
    else:
        _print(found, parameters)
    return DONE


def _all(client: "Client") -> list[Json]:
    rows: list[Json] = client.get("plugins/")["results"]
    return sorted(rows, key=lambda row: str(row["id"]))


def _named(client: "Client", name: str) -> Json:
    rows = {row["id"]: row for row in _all(client)}
    if name not in rows:
        msg = f"There is no connector {name!r}; there are {', '.join(rows)}."
        raise NotThere(msg)
    found: Json = rows[name]
    if found["broken"]:
        msg = f"The connector {name} can't be loaded: {found['broken']}"
        raise Refused(msg)
    return found


def _print(found: Json, parameters: list[Json]) -> None:
    facts([("name", found["id"]), ("system", found["name"]), ("kind", found["kind"])])
    console().print()
    table(
        ["!Parameter", "!Type", "Default", "Meaning"],
        (
            [
                text(one["name"], "bold" if one["required"] else ""),
                "required" if one["required"] and one["type"] == "string" else one["type"],
                _default(one),
                _meaning(one),
            ]
            for one in parameters
        ),
    )


def _default(one: Json) -> str:
    found = one["default"]
    return "" if found is None or found == "" else toml.value(found)


def _meaning(one: Json) -> str:
    if not one["options"]:
        return str(one["description"])
    return f"{one['description']} ({', '.join(map(str, one['options']))})"


def _declaration(found: Json, parameters: list[Json]) -> str:
    """A declared connection: what must be given as it is, all else commented out."""
    if found["is_file_upload"]:
        msg = f"{found['id']} takes files: they make their connections themselves; see `runner upload`."
        raise Refused(msg)
    lines = [
        "[[connection]]",
        f"name = {toml.value('my-' + str(found['id']).replace('_', '-'))}",
        f"system = {toml.value(found['id'])}",
        f"kind = {toml.value(found['kind'])}",
        'frequency = "daily"',
    ]
    if found["kind"] in {"alm", "analysis"}:
        lines.append('project = "Business unit/Application/Project"')
    lines += ["", "[connection.params]"]
    for one in parameters:
        lines += [f"# {line}" for line in _meaning(one).splitlines()]
        lines.append(
            f"{'' if one['required'] else '# '}{toml.key(one['name'])} = {toml.value(_example(one))}"
        )
    return "\n".join(lines)


def _example(one: Json) -> Any:
    if one["secret"]:
        return f"file:/etc/integration-runner/secrets/{one['name']}"
    return "" if one["default"] is None else one["default"]
