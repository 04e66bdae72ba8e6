"""Rally's items as a run reads them: by tag all at once, strays by their number, unknown ones by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.connectors.rally.client import Rally, chunks, equals, joined, tail
from runner.connectors.rally.params import RallyParams
from runner.connectors.rally.places import Places
from runner.connectors.rally.text import owner_in, plain

_FETCH = "FormattedID,Name,ObjectID,LastUpdateDate,Project"
_AT_ONCE = 200
"""Numbers or names in one question."""


class Lost(StrEnum):
    """Why an item that is known isn't found."""

    BINNED = "recycle bin"
    GONE = "gone"  # deleted for good, or where this user may not look


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One story, task or defect."""

    ref: str  # "/hierarchicalrequirement/123"
    id: str  # "US12"
    name: str
    state: str
    changed: datetime | None
    project: str  # reference
    project_name: str
    owner: str | None = None  # whose it says it is, where its description was read


def _item(row: dict[str, Any], state: str) -> Item:
    project = row.get("Project") or {}
    return Item(
        ref=tail(row),
        id=str(row.get("FormattedID")),
        name=str(row.get("Name") or ""),
        state=str(row.get(state) or ""),
        changed=_instant(row.get("LastUpdateDate")),
        project=tail(project),
        project_name=str(project.get("_refObjectName", "")),
        owner=owner_in(str(row.get("Description") or "")),
    )


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


class Items:
    """Reads items of one card type."""

    def __init__(self, rally: Rally, params: RallyParams, places: Places) -> None:
        self._rally = rally
        self._params = params
        self._places = places
        self._state = params.states.attribute
        self._path = f"/{params.states.type_name.lower()}"

    def _query(self, query: str, *, project: str, more: str = "") -> list[Item]:
        rows = self._rally.query(
            self._path,
            query=query,
            fetch=f"{_FETCH},{self._state}{more}",
            workspace=self._places.workspace,
            project=project,
            projectScopeUp="false",
            projectScopeDown="false",
        )
        return [_item(row, self._state) for row in rows]

    def tagged(self) -> dict[str, Item]:
        """All items of the project with our tag, by reference: one question, however many there are."""
        query = self._narrowed([equals("Tags.Name", self._params.alm_issue_label)])
        return {item.ref: item for item in self._query(query, project=self._places.project)}

    def by_ref(self, refs: Iterable[str]) -> dict[str, Item]:
        """Items by their numbers, wherever in the workspace they are."""
        found: dict[str, Item] = {}
        for some in chunks(sorted(refs), _AT_ONCE):
            numbers = [equals("ObjectID", int(ref.rpartition("/")[2])) for ref in some]
            found |= {item.ref: item for item in self._query(joined(numbers, "OR"), project="null")}
        return found

    def named(self, names: Sequence[str]) -> dict[str, list[Item]]:
        """Items of the project by exact name, with whose they say they are."""
        found: dict[str, list[Item]] = {}
        for some in chunks(sorted(set(names)), _AT_ONCE):
            query = self._narrowed([joined([equals("Name", name) for name in some], "OR")])
            for item in self._query(query, project=self._places.project, more=",Description"):
                # The server compares in any case, and by a part where a name has quotes in it.
                found.setdefault(plain(item.name), []).append(item)
        return found

    def _narrowed(self, conditions: list[str]) -> str:
        for field, value in sorted(self._params.alm_custom_lookup_fields.items()):
            conditions += [equals(field, each) for each in ([value] if isinstance(value, str) else value)]
        if self._places.parent:
            conditions.append(equals("WorkProduct.FormattedID", self._params.alm_parent_issue))
        return joined(conditions, "AND")

    def binned(self, ids: Iterable[str]) -> set[str]:
        """Which of these formatted ids are in the recycle bin."""
        found: set[str] = set()
        for some in chunks(sorted(ids), _AT_ONCE):
            rows = self._rally.query(
                "/recyclebinentry",
                query=joined([equals("ID", each) for each in some], "OR"),
                fetch="ID,Name,Type",
                workspace=self._places.workspace,
                project="null",
            )
            found |= {str(row.get("ID")) for row in rows}
        return found

    def details(self, refs: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Items with all that a run writes, by reference, as Rally's rows."""
        fields = (_FETCH, self._state, "Description,Priority,Tags", *self._params.alm_custom_fields)
        found: dict[str, dict[str, Any]] = {}
        for some in chunks(sorted(refs), _AT_ONCE):
            numbers = [equals("ObjectID", int(ref.rpartition("/")[2])) for ref in some]
            rows = self._rally.query(
                self._path,
                query=joined(numbers, "OR"),
                fetch=",".join(fields),
                workspace=self._places.workspace,
                project="null",
            )
            found |= {tail(row): row for row in rows}
        return found
