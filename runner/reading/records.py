"""JSON of any size that is one long list of records, read record by record.

The list is the whole document, or the value of one key of the object that is; what else the
object holds is kept aside. Only the record in hand is in memory.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from runner.errors import BadInput
from runner.reading.blocks import BLOCK, BOM, Source

LARGEST_RECORD = 64 * 1024 * 1024
"""Characters of one record, or of one value beside the list."""

_AGAIN = "Export the file again and send the new one."
_decode = json.JSONDecoder(strict=False).raw_decode  # control characters in quoted pages are let through


class Records:
    """The records of one document, read once; then ``rest`` has the values beside them."""

    def __init__(self, stream: Source, *, name: str, key: str) -> None:
        self._stream = stream
        self._name = name
        self._key = key
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0  # in the text
        self._passed = 0  # characters before the text
        self._ended = False
        self.bytes_read = 0
        self.rest: dict[str, Any] = {}
        self.found = False  # whether there was a list at all

    def __iter__(self) -> Iterator[Any]:
        if self._peek() == "[":
            self.found = True
            yield from self._list()
        else:
            self._take("{")
            yield from self._members()
        if self._peek():
            self._fail("something follows its end")

    def _members(self) -> Iterator[Any]:
        while self._peek() != "}":
            if self._peek() != '"':
                self._fail("a name was expected")
            key = self._value()
            self._take(":")
            if key == self._key and self._peek() == "[":
                self.found = True
                yield from self._list()
            else:
                self.rest[str(key)] = self._value()
            if self._peek() != "}":
                self._take(",")
        self._take("}")

    def _list(self) -> Iterator[Any]:
        self._take("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() != "]":
                self._take(",")
        self._take("]")

    def _value(self) -> Any:
        """The next value, whole."""
        self._peek()
        needed = 0
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except RecursionError:
                self._fail("its values are nested too deeply")
            except ValueError as error:
                # Where it breaks off in the middle the error may be anywhere: more text decides.
                if self._ended:
                    self._fail(str(getattr(error, "msg", error)), at=getattr(error, "pos", None))
            else:
                # A number at the end of what was read may go on.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            needed = max(2 * needed, BLOCK)
            self._read(needed)

    def _peek(self) -> str:
        """The next character that isn't white space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read(BLOCK)

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            self._fail(f'"{wanted}" was expected')
        self._at += 1

    def _read(self, size: int) -> None:
        """Let go of what was taken and read so much more."""
        self._passed += self._at
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > LARGEST_RECORD:
            self._fail(f"a record there is larger than {LARGEST_RECORD // 1024**2} MiB")
        parts = [self._text]
        while size > 0 and not self._ended:
            block = self._stream.read(BLOCK)
            if self.bytes_read == 0:
                block = block.removeprefix(BOM)
            self.bytes_read += len(block)
            self._ended = not block
            try:
                parts.append(self._decoder.decode(block, self._ended))
            except UnicodeDecodeError as error:
                raise BadInput(f"{self._name} is no JSON in UTF-8: {error.reason}. {_AGAIN}") from error
            size -= len(block)
        self._text = "".join(parts)

    def _fail(self, what: str, *, at: int | None = None) -> NoReturn:
        place = self._passed + (self._at if at is None else at)
        if self._ended and (at or self._at) >= len(self._text.rstrip()):
            raise BadInput(f"{self._name} is cut off: its JSON ends at character {place}. {_AGAIN}")
        raise BadInput(f"{self._name} is no JSON that can be read: {what} at character {place}. {_AGAIN}")
