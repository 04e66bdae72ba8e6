"""What the command line writes as TOML is read back as it was."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.cli import toml

_TEXT = st.text(st.characters(codec="utf-8"))
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _VALUES, max_size=5))
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    """Any text, number, list and table, whatever is in their names."""
    written = "\n".join(f"{toml.key(name)} = {toml.value(value)}" for name, value in values.items())
    assert tomllib.loads(written) == values


def test_what_is_null_is_left_out() -> None:
    """TOML has no null: a table or a list has one thing less."""
    assert toml.value({"a": None, "b": [1, None]}) == "{ b = [1] }"
