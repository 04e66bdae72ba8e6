"""What a query finds: conditions evaluated, rows ordered, pages cut."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cmp_to_key
from random import Random
from typing import Any

from simulators.rally.query import Condition, Expression, Pair, QueryError
from simulators.rally.schema import Attribute, Form
from simulators.rally.things import Thing, Things


def matching(things: Things, rows: Iterable[Thing], expression: Expression | None) -> list[Thing]:
    """The rows that a query is true of."""
    return [row for row in rows if expression is None or _holds(things, row, expression)]


def _holds(things: Things, row: Thing, expression: Expression) -> bool:
    if isinstance(expression, Pair):
        left = _holds(things, row, expression.left)
        if expression.both:
            return left and _holds(things, row, expression.right)
        return left or _holds(things, row, expression.right)
    return _true_of(things, row, expression.path, expression)


def _true_of(things: Things, row: Thing, path: tuple[str, ...], condition: Condition) -> bool:
    attribute = row.type.attribute(path[0])
    if attribute is None:
        segment = f"{'.'.join(condition.path)} {condition.operator} {' '.join(condition.values)}"
        raise QueryError(
            f'Could not parse: Could not find the attribute "{path[0]}" on type "{row.type.name}"'
            f' in the query segment "{segment}"'
        )
    value = row.get(attribute)
    if attribute.form is Form.COLLECTION:
        members = (found for oid in value if (found := things.anywhere(oid)))
        return any(_true_of(things, member, path[1:] or ("Name",), condition) for member in members)
    if attribute.form is Form.OBJECT and len(path) > 1:
        there = None if value is None else things.anywhere(value)
        return there is not None and _true_of(things, there, path[1:], condition)
    return _compare(attribute, value, condition)


def _compare(attribute: Attribute, value: Any, condition: Condition) -> bool:
    if condition.operator == "in":
        return any(_key(attribute, value) == _literal(attribute, each) for each in condition.values)
    wanted = _literal(attribute, condition.values[0])
    if condition.operator in ("contains", "!contains"):
        found = condition.values[0].lower() in str(value or "").lower()
        return found is (condition.operator == "contains")
    there = _key(attribute, value)
    if condition.operator == "=":
        return bool(there == wanted)
    if condition.operator == "!=":
        return bool(there != wanted)
    if there is None or wanted is None:
        return False
    return _ORDERED[condition.operator](there, wanted)


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: bool(a > b),
    "<": lambda a, b: bool(a < b),
    ">=": lambda a, b: bool(a >= b),
    "<=": lambda a, b: bool(a <= b),
}


def _key(attribute: Attribute, value: Any) -> Any:
    """A stored value as it is compared: states by their rank, text in any case."""
    if value is None or value == "":
        return None
    if attribute.allowed:
        return attribute.allowed.index(value) if value in attribute.allowed else -1
    return value.casefold() if isinstance(value, str) else value


def _literal(attribute: Attribute, text: str) -> Any:
    if text in ("null", ""):
        return None
    if attribute.form is Form.OBJECT:
        tail = text.rstrip("/").rpartition("/")[2].removesuffix(".js")
        return int(tail) if tail.isdecimal() else -1
    if attribute.form in (Form.INTEGER, Form.QUANTITY):
        try:
            return float(text)
        except ValueError:
            raise QueryError(f'Could not parse: Could not convert "{text}" to a number') from None
    if attribute.form is Form.BOOLEAN:
        return text.lower() == "true"
    if attribute.form is Form.DATE:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise QueryError(f'Could not parse: Could not convert "{text}" to a date') from None
    if attribute.allowed:
        return attribute.allowed.index(text) if text in attribute.allowed else -1
    return text.casefold()


def ordered(rows: Sequence[Thing], order: str, rng: Random) -> list[Thing]:
    """The rows in the wanted order; where it leaves a choice, the choice is another each time.

    That is the trap of the original: pages of a query without a unique last key repeat rows
    and drop others.
    """
    found = list(rows)
    rng.shuffle(found)
    keys = [part.split() for part in order.split(",") if part.strip()]

    def compare(one: Thing, other: Thing) -> int:
        for key in keys:
            attribute = one.type.attribute(key[0].rpartition(".")[2])
            if attribute is None:
                continue
            a, b = (_sortable(attribute, row.get(attribute)) for row in (one, other))
            if a != b:
                return (1 if a > b else -1) * (-1 if key[-1].upper() == "DESC" else 1)
        return 0

    return sorted(found, key=cmp_to_key(compare))


def _sortable(attribute: Attribute, value: Any) -> Any:
    if attribute.form in (Form.OBJECT, Form.COLLECTION):
        return 0
    key = _key(attribute, value)
    return (key is not None, key) if key is not None else (False, 0)
