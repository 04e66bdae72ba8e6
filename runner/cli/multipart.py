"""A form with a file, encoded while it is sent: a report of gigabytes needs no memory.

RFC 7578; file names are escaped as browsers do (HTML, "multipart form data").
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from runner.cli.refusals import RequestRefused

_CHUNK = 256 * 1024  # bytes

_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class FormWithFile:
    """The body of one request; requests asks it for its length and then iterates over it."""

    def __init__(
        self,
        fields: Mapping[str, str],
        *,
        field: str,
        name: str,
        file: BinaryIO,
        size: int,
        sent: Callable[[int], object] = lambda _bytes: None,
    ) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; '
            f'filename="{name.translate(_ESCAPED)}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file, self._size, self._sent = file, size, sent

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        left = self._size
        while left:
            chunk = self._read(min(left, _CHUNK))
            left -= len(chunk)
            yield chunk
            self._sent(len(chunk))
        yield self._tail

    def _read(self, most: int) -> bytes:
        # No OSError may come out of here: requests would take it for one of the connection.
        try:
            chunk = self._file.read(most)
        except OSError as error:
            msg = f"The file can't be read to its end: {error.strerror}."
            raise RequestRefused(msg) from error
        if not chunk:
            msg = "The file became shorter while it was sent."
            raise RequestRefused(msg)
        return chunk
