"""What a listing's body asks for: filter, order and page, as the original's portal sends them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.server.fields import INTEGER, integer
from runner.server.replies import Invalid

_FIELDS = {
    "name": "name",
    "description": "description",
    "source": "sourceProvider",
    "destination": "destinationProvider",
    "lastrun": "lastRun",
    "nextrun": "nextRun",
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
    column: str | None  # None = the listing's own order
    falling: bool

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Asked":
        """Read a body, its names in any case; ``Invalid`` names what can't be understood."""
        body = _lower(given)
        option = body.get("searchoption") or {}
        criteria = body.get("filtercriteria") or body.get("filters") or {}
        if not isinstance(option, Mapping) or not isinstance(criteria, Mapping):
            raise Invalid({"filterCriteria": ["Not a valid object."]})
        option = _lower(option)
        column = str(option.get("sortcolumnname") or "").lower()
        if column and column not in _FIELDS:
            raise Invalid({"SortColumnName": [f"There is no column {column!r}."]})
        return cls(
            criteria=criteria,
            size=_number(option, "PageSize", _LARGEST),
            index=max(_number(option, "PageIndex", 1) - 1, 0),  # the original counts from 1
            column=_FIELDS.get(column),
            falling=str(option.get("sortorder") or "").lower().startswith("desc"),
        )

    def chosen(self, infos: Sequence[dict[str, Any]], *, ordered: bool = False) -> list[dict[str, Any]]:
        """Those that fit, in the order that is asked for; else by name, or as they come if ``ordered``."""
        found = [info for info in infos if _fits(info, self.criteria, _DEEPEST)]
        column = self.column or (None if ordered else "name")
        if column is not None:
            found.sort(key=lambda info: _rank(_value(info, column)), reverse=self.falling)
        return found

    def page(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One page of them."""
        return found[self.index * self.size : (self.index + 1) * self.size]


def _lower(given: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in given.items()}


def _value(info: Mapping[str, Any], field: str) -> Any:
    """A field of a job, or of a collection, which calls one of them otherwise."""
    return info.get("lastRunDate") if field == "lastRun" and "lastRun" not in info else info.get(field)


def _rank(value: Any) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, str(value or "").casefold())


def _number(option: Mapping[str, Any], name: str, default: int) -> int:
    value = option.get(name.lower())
    if value is None:
        return default
    number = integer(value, name)
    if not 0 <= number <= _LARGEST:
        raise Invalid({name: [INTEGER]})
    return number or default


def _fits(info: Mapping[str, Any], given: Mapping[str, Any], depth: int) -> bool:
    criteria = _lower(given)
    children = criteria.get("child") or []
    if depth == 0 or not isinstance(children, list):
        raise Invalid({"filterCriteria": ["It is nested too deeply, or its child is no list."]})
    operator = " ".join(str(criteria.get("operator") or "").lower().split())
    attribute = str(criteria.get("attribute") or "").lower()
    if not attribute:  # then it says how its children belong together
        results = [_fits(info, child, depth - 1) for child in children if isinstance(child, Mapping)]
        return any(results) if operator == "or" and results else all(results)
    if attribute not in _FIELDS:
        raise Invalid({"filterCriteria": [f"There is no attribute {attribute!r}."]})
    compare = _OPERATORS.get(operator)
    if compare is None:
        raise Invalid({"filterCriteria": [f"There is no operator {operator!r}."]})
    there = str(_value(info, _FIELDS[attribute]) or "").casefold()
    return compare(there, str(criteria.get("value") or "").casefold())
