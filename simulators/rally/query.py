"""The query language: strictly binary, every condition and every pair in parentheses.

    ((Name = "x") AND ((State != Closed) OR (Tags.Name contains "y")))

The errors are the server's own, odd as they are: a missing blank before an operator makes
the closing parenthesis the operator.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS = ("=", "!=", ">", "<", ">=", "<=", "contains", "!contains", "in")


class QueryError(Exception):
    """What the server answers to a query it can't read."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: the path's parts, the operator, the literals."""

    path: tuple[str, ...]
    operator: str
    values: tuple[str, ...]  # several with ``in`` only


@dataclass(frozen=True, slots=True)
class Pair:
    """Two expressions joined."""

    both: bool  # AND, else OR
    left: "Expression"
    right: "Expression"


Expression = Condition | Pair


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    quoted: bool = False


def parse(text: str) -> Expression:
    """Read a query; ``QueryError`` carries the server's own words."""
    tokens = list(_tokens(text))
    expression, following = _expression(tokens, 0)
    if following != len(tokens):
        raise QueryError(
            f'Error parsing expression -- expected end of query but saw "{_at(tokens, following)}".'
        )
    return expression


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        char = text[place]
        if char.isspace():
            place += 1
        elif char in "()":
            yield _Token(char)
            place += 1
        elif char == '"':
            end = text.find('"', place + 1)
            if end < 0:
                raise QueryError("Could not parse: Unterminated string literal")
            yield _Token(text[place + 1 : end], quoted=True)
            place = end + 1
        else:
            end = place
            while end < len(text) and not text[end].isspace() and text[end] not in "()":
                end += 1
            yield _Token(text[place:end])
            place = end


def _at(tokens: list[_Token], place: int) -> str:
    return tokens[place].text if place < len(tokens) else ""


def _expect(tokens: list[_Token], place: int, wanted: str) -> int:
    saw = _at(tokens, place)
    if saw != wanted or tokens[place].quoted:
        raise QueryError(f'Error parsing expression -- expected "{wanted}" but saw "{saw}" instead.')
    return place + 1


def _expression(tokens: list[_Token], place: int) -> tuple[Expression, int]:
    place = _expect(tokens, place, "(")
    if _at(tokens, place) != "(":
        return _condition(tokens, place)
    left, place = _expression(tokens, place)
    joint = _at(tokens, place).upper()
    if joint == ")":
        return left, place + 1  # parentheses around a condition
    if joint not in ("AND", "OR"):
        raise QueryError(f'Could not parse: Unknown operator "{_at(tokens, place)}"')
    right, place = _expression(tokens, place + 1)
    return Pair(joint == "AND", left, right), _expect(tokens, place, ")")


def _condition(tokens: list[_Token], place: int) -> tuple[Expression, int]:
    path, operator = _at(tokens, place), _at(tokens, place + 1)
    if operator.lower() not in _COMPARISONS:
        raise QueryError(f'Could not parse: Unknown operator "{operator}"')
    place += 2
    values: list[str] = []
    while place < len(tokens) and (tokens[place].quoted or tokens[place].text != ")"):
        token = tokens[place]
        values += [token.text] if token.quoted else [part for part in token.text.split(",") if part]
        place += 1
        if operator.lower() != "in":
            break
    if not values:
        raise QueryError(f'Could not parse: No value after "{path} {operator}"')
    return Condition(tuple(path.split(".")), operator.lower(), tuple(values)), _expect(tokens, place, ")")
