"""What comes from workers can be stored, whatever text is in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.messages import LogLine, encode, parse_from_worker
from runner.model.changes import values_to_json
from runner.model.storable import storable

TEXTS = st.text(st.sampled_from(["\x00", "\\", "u", "0", '"', "a", "\ufffd"]), max_size=12)


@given(TEXTS)
def test_each_nul_is_replaced_and_nothing_else(text: str) -> None:
    """Backslashes before it, and text that looks like its escape, stay as they are."""
    assert json.loads(storable(json.dumps(text))) == text.replace("\x00", "\ufffd")


@given(TEXTS, TEXTS)
def test_values_hold_no_nul(name: str, value: str) -> None:
    """Neither names nor values of a change, and so none of what is made of them."""
    found = json.loads(values_to_json({name: value}) or "")
    assert found == {name.replace("\x00", "\ufffd"): value.replace("\x00", "\ufffd")}


@pytest.mark.parametrize(
    ("told", "arrived"), [("a\x00b", "a\ufffdb"), ("a\\u0000b", "a\\u0000b"), ("a\udcffb", "a?b")]
)
def test_messages_arrive_with_what_can_be_stored(told: str, arrived: str) -> None:
    """A NUL and half a surrogate pair are replaced on the way to main."""
    message: Any = parse_from_worker(encode("log", event=told, fields={"inner": json.dumps(told)}))
    assert isinstance(message, LogLine)
    assert message.event == arrived
    assert json.loads(message.fields["inner"]) == told  # it is text that tells of a NUL, and has none
