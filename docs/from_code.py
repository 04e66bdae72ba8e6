"""The pages under reference/, made from the code: ``python -m docs.from_code`` writes them anew.

They are kept in the repository, to be read there as well; a test compares them with the code.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.cli import parameters, toml
from runner.cli.plugins import default
from runner.errors import MEANINGS
from runner.settings import SIZE, Declaration, GroupMapping, Provider, Remote, Section, Settings, SharedParams

FOLDER = Path(__file__).parent / "reference"


def pages() -> Mapping[str, Callable[[], Iterator[str]]]:
    """The lines of each page, by its file's name."""
    return {
        "configuration.md": _configuration,
        "parameters.md": _parameters,
        "addresses.md": _addresses,
        "reasons.md": _reasons,
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """What of the code isn't on the pages, and what is there that the code doesn't have."""
    found = []
    for name, lines in pages().items():
        file = folder / name
        there = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        wanted = list(lines())
        differing = [f"{name} lacks: {line}" for line in wanted if line not in there]
        differing += [f"{name} still has: {line}" for line in there if line not in wanted]
        if not differing and there != wanted:
            differing = [f"{name} has its lines in another order, or more or less often"]
        found += differing
    return found


def write(folder: Path = FOLDER) -> None:
    """Write the pages."""
    folder.mkdir(exist_ok=True)
    for name, lines in pages().items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")


def _prose(*paragraphs: str) -> Iterator[str]:
    for paragraph in paragraphs:
        yield ""
        yield from textwrap.wrap(paragraph, 118, break_long_words=False, break_on_hyphens=False)


def _item(name: str, takes: str, value: str, meaning: str) -> str:
    return f"- `{name}` ({', '.join(filter(None, [takes, value]))}): {_sentence(meaning)}"


def _sentence(text: str) -> str:
    text = text.replace("<", "\\<").replace("*", "\\*")
    return text if text.endswith((".", ":")) else f"{text}."


# --- configuration -------------------------------------------------------------------------------


def _configuration() -> Iterator[str]:
    yield "# Configuration"
    yield from _prose(
        "TOML, read from `/etc/integration-runner/runner.toml` and then from `conf.d/*.toml` beside "
        "it, which override it. `RUNNER__SECTION__KEY` in the environment overrides both: "
        "`RUNNER__ENGINE__CONCURRENCY=8`. A setting that there isn't is an error that names the "
        "nearest one. `runner check` looks a configuration over, `runner config show --origins` tells"
        " what holds and where it comes from.",
        'Durations and sizes have units: `"30s"`, `"5m"`, `"2h"`, `"400d"`; `"64MiB"`, `"2GiB"`. A '
        'secret may be `"file:/path"`, `"env:NAME"` or `"credential:NAME"` (systemd\'s) instead of '
        "itself.",
        "Most settings hold from a reload on (`systemctl reload`, SIGHUP). Where a restart is needed "
        "the daemon says so by name, in its log and in `runner status`.",
    )
    yield from ("", "## Outside of any section", "")
    sections = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            sections[f"[{name}]"] = type(field.default)
        elif name not in _TABLES:
            yield from _settings(Settings, [name])
    for title, section in (sections | dict(_TABLES.values())).items():
        yield from ("", f"## {title}", "", (section.__doc__ or "").splitlines()[0], "")
        yield from _settings(section, section.model_fields)


_TABLES: Mapping[str, tuple[str, type[Section]]] = {
    "remote": ("[remote.NAME]", Remote),
    "provider": ("[provider.NAME]", Provider),
    "connector": ("[connector.NAME]", SharedParams),
    "connection": ("[[connection]]", Declaration),
    "": ("[[connection.group_mappings]]", GroupMapping),
}


def _settings(section: type[Section], names: Iterable[str]) -> Iterator[str]:
    rows = {row.name: row for row in parameters.rows(section.model_json_schema())}
    for name in names:
        field = section.model_fields[name]
        takes = "size" if SIZE in field.metadata else rows[name].type
        if field.is_required():
            value = "required"
        elif field.default is None:
            value = "unset"
        else:
            value = f"`{toml.value(toml.plain(field.default, field))}`"
        yield _item(name, takes, value, field.description or "")


# --- connectors' parameters ----------------------------------------------------------------------


def _parameters() -> Iterator[str]:
    from runner.worker import plugins

    yield "# Connectors' parameters"
    yield from _prose(
        "What stands under `params` of a connection. `runner plugins describe NAME` shows the same, "
        "for further connectors as well; `--toml` prints a connection to fill in. A secret is sealed "
        "in the store and never shown again.",
    )
    for name, told in plugins.describe(plugins.find([])).items():
        yield from ("", f"## {name}", "", f"{told['name']}; jobs of the kind `{told['kind']}`.", "")
        for row in parameters.rows(told["schema"]):
            value = default(row)
            shown = value if value in {"", "required", "secret"} else f"`{value}`"
            yield _item(row.name, row.type, shown, row.meaning)


# --- the API -------------------------------------------------------------------------------------


_STAR = "\\*"


def _described() -> dict[str, Any]:
    from runner.server.app import create_app, description

    return description(create_app(None))  # type: ignore[arg-type]  # nothing is asked, so nothing has to answer


def _addresses() -> Iterator[str]:
    found = _described()
    yield "# Addresses of the API"
    yield from _prose(
        "From the description that a server tells at `/api/openapi.json`. [](../api.md) has what a "
        "description can't say. What is marked *extension* the originals don't have.",
    )
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            yield from ("", f"## `{method.upper()} {path}`", "")
            yield operation["summary"] + (", *extension*." if operation.get("x-extension") else ".")
            yield from _lines(operation)
    yield from ("", "## Bodies and answers", "", "Fields that have to be there are marked with a star.")
    for name, schema in found["components"]["schemas"].items():
        if "properties" in schema:
            yield from ("", f"### {name}", "")
            required = schema.get("required", ())
            yield from (
                f"- `{field}`{_STAR if field in required else ''}: {_shape(part)}"
                for field, part in schema["properties"].items()
            )


def _lines(operation: dict[str, Any]) -> Iterator[str]:
    query = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    if query:
        yield from (
            "",
            "- Query: " + ", ".join(f"`{one['name']}` ({_shape(one['schema'])})" for one in query),
        )
    elif "requestBody" in operation:
        yield ""
    for media, body in operation.get("requestBody", {"content": {}})["content"].items():
        yield f"- Body: {_shape(body['schema'])}, `{media}`"


def _shape(schema: dict[str, Any]) -> str:
    """What a value looks like, in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_shape, schema["anyOf"])))
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if kinds == "array" and schema.get("items"):
        words = f"list of {_shape(schema['items'])}"
    return " ".join(filter(None, [words, f"({schema['format']})" if "format" in schema else ""]))


# --- why a job failed ----------------------------------------------------------------------------


def _reasons() -> Iterator[str]:
    yield "# Why a job failed"
    yield from _prose(
        "One of these words stands in `reason`: of a job in the API and in `--json`, in the log, and "
        "as a label of `runner_jobs_finished_total`. The job's message has the particulars.",
    )
    yield ""
    yield from (f"- `{reason.value}`: {meaning}" for reason, meaning in MEANINGS.items())


if __name__ == "__main__":
    write()
