"""``runner config``: a file to begin with, and what is in force."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import toml
from runner.cli.command import DONE, AsJson, Config, settled
from runner.cli.output import facts, print_json, say
from runner.errors import SettingsInvalid
from runner.secrets import MASK

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from runner.configuration import Loaded

app = typer.Typer(
    name="config",
    help="The configuration: write a file to begin with, show what is in force.",
    no_args_is_help=True,
)

_HEAD = """\
# Every setting of the runner, with its default. Uncomment what you change.
# Drop-ins beside this file, conf.d/*.toml, override it; RUNNER__SECTION__KEY in the environment
# overrides both.
# Durations and sizes have units: "30s", "5m", "2h", "400d"; "64MiB", "2GiB".
# A secret may be "file:/path", "env:NAME" or "credential:NAME" (systemd's) instead of itself.
"""


@app.command("init")
@settled
def init(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write it; else it is printed.")
    ] = None,
) -> int:
    """Write a configuration file with every setting and its default, all of them commented out."""
    text = example()
    if file is None:
        say(text.rstrip("\n"))
        return DONE
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError as error:
        msg = f"{file} is there already; it is left as it is."
        raise SettingsInvalid(msg) from error
    say(f"Written to {file}. Look it over with: runner check --config {file}")
    return DONE


@app.command("show")
@settled
def show(
    *,
    origins: Annotated[bool, typer.Option("--origins", help="Say where each value comes from.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Show every setting as it is in force for a start now, secrets masked."""
    from runner import configuration

    rows = list(_rows(configuration.read(file=config)))
    if as_json:
        print_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
        return DONE
    facts(
        (name, f"{toml.value(value)}   ({origin})" if origins else toml.value(value))
        for name, value, origin in rows
    )
    return DONE


def _rows(loaded: "Loaded") -> Iterator[tuple[str, Any, str]]:
    """Each setting's name, value and origin."""
    from runner.settings import SECRET, Section, credential_in

    for name, field in type(loaded.settings).model_fields.items():
        value = getattr(loaded.settings, name)
        if not isinstance(value, Section):
            if name not in _TABLES:
                yield name, toml.plain(value, field), loaded.origins.get(name, "default")
            continue
        for key, inner in type(value).model_fields.items():
            found = getattr(value, key)
            if SECRET in inner.metadata and found:
                found = found.replace(credential_in(found), MASK) if credential_in(found) else found
            yield f"{name}.{key}", toml.plain(found, inner), loaded.origins.get(f"{name}.{key}", "default")
    yield from _tables(loaded)


def _tables(loaded: "Loaded") -> Iterator[tuple[str, Any, str]]:
    """The same of what there may be many of."""
    from runner.settings import SECRET

    for table in ("remote", "provider"):
        for name, named in getattr(loaded.settings, table).items():
            for key, inner in type(named).model_fields.items():
                found = getattr(named, key)
                found = MASK if SECRET in inner.metadata and found else found
                origin = loaded.origins.get(f"{table}.{name}.{key}", "default")
                yield f"{table}.{name}.{key}", toml.plain(found, inner), origin
    for name, shared in loaded.settings.connector.items():
        origin = loaded.origins.get(f"connector.{name}.system", "default")
        yield f"connector {name}", shared.system, origin
    for number, one in enumerate(loaded.settings.connection):
        origin = loaded.origins.get(f"connection.{number}", "default")
        # Which of them are secret the connector knows, and it isn't asked here.
        yield f"connection {one.name}", f"{one.system}, {one.schedule or one.frequency.value}", origin


def example() -> str:
    """The file with every setting, made from the settings themselves."""
    from runner.settings import Declaration, Provider, Remote, Section, Settings, SharedParams

    tables: dict[str, tuple[type[Section], str]] = {
        "remote": (Remote, "[remote.NAME]"),
        "provider": (Provider, "[provider.NAME]"),
        "connector": (SharedParams, "[connector.NAME]"),
        "connection": (Declaration, "[[connection]]"),
    }
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        if name in tables:
            table, title = tables[name]
            parts.append(f"\n# {_TABLES[name]}\n# {title}\n")
            parts += [
                _option(key, inner, _EXAMPLES[name].get(key)) for key, inner in table.model_fields.items()
            ]
        elif isinstance(field.default, Section):
            section = type(field.default)
            parts.append(f"\n# {_first_line(section)}\n[{name}]\n")
            parts += [_option(key, inner) for key, inner in section.model_fields.items()]
        else:
            parts.append("\n" + _option(name, field))
    return "".join(parts)


def _first_line(section: type) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _option(name: str, field: "FieldInfo", example: object = None) -> str:
    value = field.default if example is None else example
    return f"# -- {field.description}\n# {name} = {toml.value(toml.plain(value, field))}\n"


_TABLES = {
    "remote": "A server elsewhere whose jobs are run here; as many as there are, each by its name.",
    "provider": "What a datasync job reads or writes by this name: a workbook, or a directory.",
    "connector": "What declared connections of a system have in common, by its name.",
    "connection": "A connection; as many as you like, in any of the files. The API only shows them.",
}
_EXAMPLES: dict[str, dict[str, object]] = {
    "remote": {
        "url": "https://sde.example.com",
        "token": "file:/etc/integration-runner/sde.token",
    },
    "provider": {"workbook": "people.xlsx"},
    "connector": {"system": "rally", "editable": ["alm_project"]},
    "connection": {
        "name": "shop-tickets",
        "system": "rally",
        "connector": "rally-of-all",
        "kind": "alm",
        "schedule": "26 1 * * mon-fri",
        "timezone": "Europe/Berlin",
        "project": "Webshop",
    },
}
"""What stands in the example of a table where there is no default."""
