"""The simulated server's query language is as strict as the original's."""

import pytest

from simulators.rally.query import Condition, Pair, QueryError, parse

WRONG = {
    '(Name="x")': 'Unknown operator ")"',
    "((A = 1) AND (B = 2) AND (C = 3))": 'expected ")" but saw "AND" instead.',
    "Name = 1": 'expected "(" but saw "Name" instead.',
    "(Name like 1)": 'Unknown operator "like"',
    '(Name = "x)': "Unterminated string",
    "(Name = )": "No value",
    "((A = 1) XOR (B = 2))": 'Unknown operator "XOR"',
    "(A = 1) (B = 2)": "expected end of query",
}


@pytest.mark.parametrize("query", WRONG)
def test_what_the_original_refuses_is_refused(query: str) -> None:
    """A query that isn't strictly binary and parenthesised comes back with the server's words."""
    with pytest.raises(QueryError) as refused:
        parse(query)
    assert WRONG[query] in str(refused.value)


def test_conditions_and_pairs() -> None:
    """Conditions, pairs, quoted values with anything in them, dotted paths and ``in``."""
    left, right = Condition(("Tags", "Name"), "=", ("a (b) AND c",)), Condition(("State",), "in", ("1", "2"))
    assert parse('((Tags.Name = "a (b) AND c") OR (State in 1,2))') == Pair(False, left, right)
