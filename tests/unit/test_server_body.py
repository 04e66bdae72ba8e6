"""Reading bodies strictly."""

import json

import pytest

from runner.server.body import DEEPEST, parse


def test_what_is_json_is_read() -> None:
    """Ordinary JSON, escapes and all, comes out as any parser reads it."""
    text = '{"a": [1, 2.5, null, true], "b": "\\u00e4\\ud83d\\ude00 \\\\u0000", "c": {"[": "]{"}}'
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_counted_outside_of_strings(opening: str) -> None:
    """The deepest that is taken is taken; one more isn't; brackets in texts don't count."""
    closing = {"[": "]", '{"a":': "}"}[opening]
    assert parse((opening * DEEPEST + "1" + closing * DEEPEST).encode()) is not None
    with pytest.raises(ValueError, match="nested deeper"):
        parse((opening * (DEEPEST + 1) + "1" + closing * (DEEPEST + 1)).encode())
    assert parse(json.dumps("[" * 500 + '"\\').encode()) == "[" * 500 + '"\\'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "-Infinity",
        "1e400",
        '"\\u0000"',
        '{"\\u0000": 1}',
        '["\\udfff"]',
        "\ufeff{}",
        "9" * 5000,
        "{} {}",
    ],
)
def test_what_can_not_be_kept_is_refused(text: str) -> None:
    """Values that no database or other parser takes are refused here already."""
    with pytest.raises(ValueError, match=r".+"):
        parse(text.encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    """Only UTF-8 is read; UTF-16 isn't guessed."""
    with pytest.raises(ValueError, match="not UTF-8 at byte 0"):
        parse("{}".encode("utf-16"))
