"""Long lists of records in JSON, read one by one."""

import io
import json
from typing import Any

import pytest

from runner.errors import BadInput
from runner.reading.records import Records


class Slow:
    """A stream that gives a few bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        self._stream = io.BytesIO(content)
        self._step = step

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._step))


def read(content: bytes, *, step: int = 1 << 20) -> tuple[list[Any], Records]:
    records = Records(Slow(content, step), name="saved.json", key="collection")
    return list(records), records


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_records_come_one_by_one(step: int, indent: int | None) -> None:
    """Every record arrives as it is, wherever a block ends, and what stands beside the list is kept."""
    rows = [{"id": n, "text": 'ä"}],\\' * n, "list": [1.5, None, {"a": []}]} for n in range(20)]
    content = json.dumps({"page": {"total": 20}, "collection": rows, "n": 12}, indent=indent)
    found, records = read(content.encode(), step=step)
    assert found == rows
    assert records.rest == {"page": {"total": 20}, "n": 12}
    assert records.found


@pytest.mark.parametrize("content", [b"[]", b" [ ] ", b'{"collection": []}', b"\xef\xbb\xbf[]"])
def test_a_list_may_be_empty(content: bytes) -> None:
    """An empty list is a list."""
    found, records = read(content)
    assert (found, records.found) == ([], True)


def test_a_document_without_the_list_is_told() -> None:
    """Other JSON has no records, and no list was found in it."""
    found, records = read(b'{"collection": null, "a": [1]}')
    assert (found, records.found) == ([], False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"collection": [{"id": 1}, {"id"', "is cut off"),
        (b'{"collection": [{"id": 1}', "is cut off"),
        (b'{"collection": [1 2]}', '"," was expected'),
        (b"[1] [2]", "something follows its end"),
        (b"{id: 1}", "a name was expected"),
        (b'["\xff"]', "no JSON in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named(content: bytes, words: str) -> None:
    """A file that breaks off or is no JSON fails with a sentence that names it and the place."""
    with pytest.raises(BadInput, match=r"saved\.json") as caught:
        read(content)
    assert words in caught.value.message
