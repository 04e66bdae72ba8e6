"""Finding and loading connectors, in the worker only.

Connectors, ours and others', are entry points of the group ``runner.connectors``; their
name is the system's id. One of another distribution loads only if it is allowed by name.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from runner.errors import ConfigRejected
from runner.ports import Connector, Params, WritesOutside

GROUP = "runner.connectors"
OURS = "integration-runner"


Places = Mapping[str, str]
"""Where each system's connector is, as "package.module:Class"."""


def find(allow: Sequence[str], path: str = "") -> Places:
    """The connectors that may be loaded, by system id. Ours win over others of the same name.

    Reads the metadata of installed packages, and of those below ``path``; imports nothing.
    """
    found: dict[str, str] = {}
    seen: set[str | None] = set()
    places = [*sys.path, path] if path else sys.path
    for distribution in importlib.metadata.distributions(path=places):
        points = _points(distribution)
        if not points:
            continue  # before its name is asked for: that parses all of its metadata
        if distribution.name in seen:
            continue  # as with imports, the first counts: a second copy of ours isn't ours
        seen.add(distribution.name)
        ours = distribution.name == OURS
        for point in points:
            if ours or (point.name in allow and point.name not in found):
                found[point.name] = point.value
    return found


def _points(distribution: importlib.metadata.Distribution) -> list[importlib.metadata.EntryPoint]:
    """The connectors of a distribution; one whose metadata can't be read has none."""
    try:
        return [point for point in distribution.entry_points if point.group == GROUP]
    except Exception:  # noqa: BLE001 - a broken package breaks itself alone, whatever the parser stumbles over
        return []


def load(system: str, places: Places) -> Connector:
    """The connector of a system; ``ConfigRejected`` if there is none that may be loaded."""
    place = places.get(system)
    if place is None:
        msg = (
            f"There is no connector for the system {system!r}. One of another package must be "
            "named in [plugins] allow."
        )
        raise ConfigRejected(msg)
    module, _, name = place.partition(":")
    try:
        connector: Connector = getattr(importlib.import_module(module), name)()
    except Exception as error:
        msg = f"The connector of {system!r} is broken: {type(error).__name__}: {error}"
        raise ConfigRejected(msg) from error
    return connector


def use_path(path: str | None) -> None:
    """Let packages below ``[plugins] path`` be found, after all that is installed."""
    if path and path not in sys.path:
        sys.path.append(path)


def describe(places: Places) -> dict[str, Any]:
    """All systems, each with what the API tells of it, or with why it is broken."""
    return {name: _describe_one(name, places) for name in sorted(places)}


def _describe_one(name: str, places: Places) -> dict[str, Any]:
    try:
        connector = load(name, places)
        info = connector.info
        return {
            "kind": info.kind.value,
            "name": info.name,
            "short_name": info.short_name,
            "command": info.command,
            "file_upload": info.file_upload,
            "writes_outside": isinstance(connector, WritesOutside),
            "schema": connector.params.model_json_schema(),
            "secrets": secret_fields(connector.params),
        }
    except Exception as error:  # noqa: BLE001 - a broken plug-in stops no other
        return {"broken": f"{type(error).__name__}: {error}"}


def secret_fields(params: type[Params]) -> list[str]:
    """Names, and other spellings, of the parameters that are secrets."""
    names: list[str] = []
    for name, field in params.model_fields.items():
        if "SecretStr" in str(field.annotation) or field.annotation is SecretStr:
            names.append(name)
            choices = getattr(field.validation_alias, "choices", [field.validation_alias])
            names += [choice for choice in choices if isinstance(choice, str) and choice != name]
    return names
