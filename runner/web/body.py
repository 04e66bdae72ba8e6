"""An answer's body on its way in: never more than it may be, never longer than it may take."""

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import requests

from runner.errors import BadInput, TryLater

BLOCK = 256 * 1024
"""Bytes taken at a time."""


class Broken(Exception):
    """The body broke off or is no JSON; the same request may give a whole one."""


class Body:
    """A stream of bytes, as readers of files take it. Use it in a ``with``."""

    def __init__(self, response: requests.Response, place: str, *, largest: int, until: float) -> None:
        self._response = response
        self._place = place
        self._largest = largest
        self._until = until  # of the monotonic clock
        self._blocks: Iterator[bytes] = response.iter_content(BLOCK)
        self._held = b""
        self.taken = 0  # bytes, after decompression

    @property
    def content_type(self) -> str:
        """What the answer says it is, as "application/json"."""
        return str(self._response.headers.get("Content-Type", "")).partition(";")[0].strip().casefold()

    @property
    def status(self) -> int:
        """The status it came with."""
        return self._response.status_code

    @property
    def headers(self) -> requests.structures.CaseInsensitiveDict[str]:
        """The headers it came with."""
        return self._response.headers

    def read(self, size: int = BLOCK, /) -> bytes:
        """The next bytes, ``size`` at the most; empty at the end. ``Broken`` if it broke off."""
        if not self._held:
            self._held = self._next()
        part, self._held = self._held[:size], self._held[size:]
        return part

    def _next(self) -> bytes:
        try:
            block = next(self._blocks, b"")
        except requests.RequestException as error:
            raise Broken(f"the answer broke off after {self.taken} bytes") from error
        self.taken += len(block)
        if self.taken > self._largest:
            raise BadInput(
                f"{self._place} answered more than {self._largest // 1024**2} MiB at once, and no more than "
                "that is taken. Ask for less, or look whether it is the right server."
            )
        if time.monotonic() > self._until:
            raise TryLater(f"{self._place} answers too slowly: the answer wasn't through in time.")
        return block

    def blocks(self) -> Iterator[bytes]:
        """All of it, block by block."""
        while block := self.read():
            yield block

    def json(self) -> Any:
        """All of it as JSON; ``Broken`` if it isn't."""
        raw = b"".join(self.blocks())
        try:
            return json.loads(raw)
        except RecursionError:
            raise BadInput(f"{self._place} answered JSON that is nested too deeply.") from None
        except ValueError as error:
            start = raw[:200].lstrip()
            if start.startswith(b"<"):
                raise BadInput(
                    f"{self._place} answered a page for people where JSON was expected. It may be down for "
                    "maintenance, want a log-in, or not be the right server."
                ) from None
            at = getattr(error, "pos", len(raw))
            raise Broken(f"the answer of {len(raw)} bytes is no JSON from byte {at} on") from error

    def __enter__(self) -> "Body":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()
