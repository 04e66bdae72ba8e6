"""The club's records, a made-up system outside: a JSON file that gives numbers to what is new."""

import json
from pathlib import Path
from typing import Any

from runner.errors import BadInput

Thing = dict[str, Any]


class Records:
    """Teams and members, by kind and name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._content = json.loads(path.read_text(encoding="utf-8"))
            self._things: dict[str, dict[str, Thing]] = self._content["things"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{path.name} can't be read: {error}."
            raise BadInput(msg) from error

    def all(self, kind: str) -> dict[str, Thing]:
        """All things of a kind."""
        return self._things[kind]

    def get(self, kind: str, name: str) -> Thing | None:
        """One thing."""
        return self._things[kind].get(name)

    def put(self, kind: str, name: str, values: Thing) -> int:
        """Write a thing and keep it; the number that it has or is given."""
        old = self._things[kind].get(name, {})
        number = values.get("number") or old.get("number")
        if number is None:
            self._content["last"] += 1
            number = self._content["last"]
        self._things[kind][name] = {**old, **values, "number": number}
        self._keep()
        return int(number)

    def is_used(self, kind: str, name: str) -> bool:
        """Whether another thing belongs to this one."""
        number = self._things[kind][name]["number"]
        return kind == "team" and any(each["team"] == number for each in self.all("member").values())

    def remove(self, kind: str, name: str) -> None:
        """Forget a thing."""
        self._things[kind].pop(name, None)
        self._keep()

    def _keep(self) -> None:
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(self._content), encoding="utf-8")
        written.replace(self._path)


def empty(path: Path) -> None:
    """Begin the records of a new club."""
    path.write_text(json.dumps({"last": 0, "things": {"team": {}, "member": {}}}), encoding="utf-8")
