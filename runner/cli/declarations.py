"""Connections as ``[[connection]]`` tables, as a drop-in of the configuration has them."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runner.cli import toml
from runner.cli.refusals import Json
from runner.secrets import MASK

if TYPE_CHECKING:
    from runner.cli.client import Client

_SAME = ("system", "kind", "alias", "frequency", "schedule", "timezone", "project", "enabled")
_VARIABLE = re.compile(r"[^A-Z0-9]+")
_LONGEST = 150  # characters of a name, before what tells it from another

_HEAD = """\
# Connections, for a file in conf.d. Those that are declared so are new ones with a history of their
# own: disable the ones they were taken from, or both run.
"""


class Declarations:
    """Writes connections down; what it can't write it names."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._names: set[str] = set()
        self._projects: dict[int, str] = {}
        self.left_out: list[int] = []
        """Numbers of connections that are made by the files that are sent to them."""

    def text(self, connections: Iterable[Json]) -> str:
        """All of them as a file."""
        parts = [_HEAD]
        for one in sorted(connections, key=lambda row: int(row["id"])):
            if one["is_file_upload"]:
                self.left_out.append(one["id"])
            else:
                parts.append(self._table(one))
        return "\n".join(parts)

    def _table(self, one: Json) -> str:
        name = self._name(one)
        fields = {**one, "system": one["system"]["id"], "project": self._project(one.get("project"))}
        lines = ["[[connection]]", f"name = {toml.value(name)}"]
        lines += [f"{key} = {toml.value(fields[key])}" for key in _SAME if fields[key] is not None]
        for group in self._group_mappings(one):
            lines += ["", "[[connection.group_mappings]]", *_assigned(group)]
        for table, values in (("safety", one["safety"]), ("params", _with_references(name, one["params"]))):
            if values:
                lines += ["", f"[connection.{table}]", *_assigned(values)]
        return "\n".join(lines) + "\n"

    def _name(self, one: Json) -> str:
        """Its identity in the files: the one it has there, else its alias, told from others of that alias."""
        name = str(one["declared"] or one["alias"].strip()[:_LONGEST] or f"connection {one['id']}")
        if name in self._names:
            name = f"{name} ({one['id']})"
        self._names.add(name)
        return name

    def _project(self, number: int | None) -> str | None:
        """A project by its names: numbers are others on another server."""
        if number is None:
            return None
        if number not in self._projects:
            path = f"projects/{number}/?expand=application"
            found = self._client.get(path, what=f"project {number}")
            owner = found["application"]
            self._projects[number] = f"{owner['business_unit']['name']}/{owner['name']}/{found['name']}"
        return self._projects[number]

    def _group_mappings(self, one: Json) -> list[Json]:
        if one["kind"] != "ldap":
            return []
        rows = self._client.pages(f"connections/ldap/{one['id']}/group-mappings/")
        found = [{"ldap_group": row["ldap_group"], "group": row["sde_group"]["name"]} for row in rows]
        return found[::-1]  # the listing has the newest first


def _assigned(values: Json) -> list[str]:
    return [f"{toml.key(key)} = {toml.value(value)}" for key, value in values.items() if value is not None]


def _with_references(name: str, params: Json) -> dict[str, Any]:
    """Params with the name of an environment variable where a secret is."""
    return {
        key: f"env:RUNNER_{_words(name)}_{_words(key)}" if value == MASK else value
        for key, value in params.items()
    }


def _words(name: str) -> str:
    return _VARIABLE.sub("_", name.upper()).strip("_")
