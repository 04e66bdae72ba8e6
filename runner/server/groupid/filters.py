"""What a listing's body asks for: filter, order and page, as the original's portal sends them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.server.replies import Invalid

_FIELDS = {
    "name": "name",
    "description": "description",
    "source": "sourceProvider",
    "destination": "destinationProvider",
    "lastrun": "lastRun",
    "created": "created",
    "modified": "modified",
    "timesrun": "timesRun",
}
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    **dict.fromkeys(("is exactly", "is", "equals", ""), lambda there, value: there == value),
    "is not": lambda there, value: there != value,
    "contains": lambda there, value: value in there,
    "starts with": lambda there, value: there.startswith(value),
    "ends with": lambda there, value: there.endswith(value),
    "greater or equal": lambda there, value: there >= value,
    "less or equal": lambda there, value: there <= value,
}
_DEEPEST = 10
_LARGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One listing."""

    criteria: Mapping[str, Any]
    size: int
    index: int
    column: str
    falling: bool

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Asked":
        """Read a body; ``Invalid`` names what can't be understood."""
        option = body.get("SearchOption") or body.get("searchOption") or {}
        criteria = body.get("filterCriteria") or {}
        if not isinstance(option, Mapping) or not isinstance(criteria, Mapping):
            raise Invalid({"filterCriteria": ["Not a valid object."]})
        column = str(option.get("SortColumnName") or "name").lower()
        if column not in _FIELDS:
            raise Invalid({"SortColumnName": [f"There is no column {column!r}."]})
        return cls(
            criteria=criteria,
            size=_number(option, "PageSize", _LARGEST),
            index=_number(option, "PageIndex", 0),
            column=_FIELDS[column],
            falling=str(option.get("SortOrder") or "").lower().startswith("desc"),
        )

    def chosen(self, infos: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The jobs that fit, in order."""
        found = [info for info in infos if _fits(info, self.criteria, _DEEPEST)]
        found.sort(key=lambda info: str(info.get(self.column) or "").casefold(), reverse=self.falling)
        return found

    def page(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One page of them."""
        return found[self.index * self.size : (self.index + 1) * self.size]


def _number(option: Mapping[str, Any], name: str, default: int) -> int:
    value = option.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise Invalid({name: ["A valid integer is required."]})
    return value or default


def _fits(info: Mapping[str, Any], criteria: Mapping[str, Any], depth: int) -> bool:
    children = criteria.get("child") or []
    if depth == 0 or not isinstance(children, list):
        raise Invalid({"filterCriteria": ["It is nested too deeply, or its child is no list."]})
    operator = " ".join(str(criteria.get("operator") or "").lower().split())
    if children:
        results = [_fits(info, child, depth - 1) for child in children if isinstance(child, Mapping)]
        return any(results) if operator == "or" else all(results)
    attribute = str(criteria.get("attribute") or "").lower()
    if not attribute:
        return True
    if attribute not in _FIELDS:
        raise Invalid({"filterCriteria": [f"There is no attribute {attribute!r}."]})
    compare = _OPERATORS.get(operator)
    if compare is None:
        raise Invalid({"filterCriteria": [f"There is no operator {operator!r}."]})
    there = str(info.get(_FIELDS[attribute]) or "").casefold()
    return compare(there, str(criteria.get("value") or "").casefold())
