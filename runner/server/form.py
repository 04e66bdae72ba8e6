"""Forms with a file, read from the wire to the disk with flat memory.

Source of the format: RFC 7578. The file goes to a name of ours; what the sender calls it is
kept as a text, without any path.
"""

import hashlib
import os
import uuid
from pathlib import Path
from typing import BinaryIO, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from runner.errors import Refused
from runner.server.replies import Invalid
from runner.store.uploads import Received

_FIELD = 2**20  # bytes of a field that is no file, at the most
_PARTS = 50  # in one form, at the most


class _Part:
    """The part of a form that is being read."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.header = bytearray()
        self.value = bytearray()
        self.name = ""
        self.filename: str | None = None


class Form:
    """A form as it comes in: its file on the disk, its other fields in memory."""

    def __init__(self, boundary: bytes, folder: Path, *, file_field: str, largest: int) -> None:
        self.fields: dict[str, str] = {}
        self.received: Received | None = None
        self.not_a_file = False  # the file's field came as plain text
        self._folder = folder
        self._file_field = file_field
        self._largest = largest
        self._part = _Part()
        self._parts = 0
        self._file: BinaryIO | None = None
        self._stored: list[Path] = []
        self._digest = hashlib.sha256()
        self._size = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )
        self._header_text = bytearray()

    def feed(self, data: bytes) -> None:
        """Take some more of the form."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            bad(str(error))

    def finish(self) -> None:
        """Check that the form came whole, and have its file safe on the disk."""
        if self._parser.state != MultipartState.END:
            bad("it ends before its last boundary")
        if self.received is not None:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def drop(self) -> None:
        """Remove what was written of a form that isn't taken."""
        if self._file is not None:
            self._file.close()
        for path in self._stored:
            path.unlink(missing_ok=True)

    # --- what the parser calls -----------------------------------------------------------

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS:
            bad(f"it has more than {_PARTS} parts")
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_text += data[start:end]

    def _header_end(self) -> None:
        name = self._part.header.decode("latin-1").lower()
        self._part.headers[name] = self._header_text.decode("utf-8", "replace")
        self._part.header, self._header_text = bytearray(), bytearray()

    def _headers_end(self) -> None:
        options = _options(self._part.headers.get("content-disposition", ""))
        self._part.name = options.get("name", "")
        self._part.filename = options.get("filename")
        if self._part.filename is not None and self._part.name == self._file_field:
            if self._stored:
                raise Invalid({self._file_field: ["One file at a time."]})
            self._open()

    def _open(self) -> None:
        path = self._folder / uuid.uuid4().hex
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._stored.append(path)
        self._file = os.fdopen(descriptor, "wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._part.value += data[start:end]
            if len(self._part.value) > _FIELD:
                raise Invalid({self._part.name or "non_field_errors": ["This field is too large."]})
            return
        self._size += end - start
        if self._size > self._largest:
            raise Refused(too_large(self._largest), status=413)
        piece = memoryview(data)[start:end]
        self._digest.update(piece)
        self._file.write(piece)

    def _end(self) -> None:
        if self._file is not None:
            self._close(self._file)
        elif self._part.name == self._file_field:
            self.not_a_file = True
        elif self._part.name:
            self.fields[self._part.name] = self._part.value.decode("utf-8", "replace")

    def _close(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._file = None
        self.received = Received(
            name=base_name(self._part.filename or ""),
            file=self._stored[0].name,
            size=self._size,
            sha256=self._digest.hexdigest(),
        )


def _options(header: str) -> dict[str, str]:
    """The parameters of a Content-Disposition, as UTF-8 text."""
    _, options = parse_options_header(header.encode("utf-8").decode("latin-1"))
    return {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in options.items()}


def bad(why: str) -> NoReturn:
    """Refuse a form that isn't one."""
    raise Refused(f"Multipart form parse error - {why}")


def too_large(largest: int) -> str:
    """The sentence for a file that is too large."""
    return f"The file is larger than {largest} bytes, the most that [server] max_upload allows."


def base_name(name: str) -> str:
    """What a sender calls a file, without any path and without what can't be shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(character for character in last if character.isprintable()).strip()
    return clean[-200:] if clean not in {"", ".", ".."} else "report"
