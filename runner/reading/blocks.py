"""What is done to the bytes of an XML file before a parser sees them."""

import re
from dataclasses import dataclass, field
from typing import Protocol


class Source(Protocol):
    """What bytes come from: a file, a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, ``size`` at the most; empty at the end."""


BLOCK = 256 * 1024
"""Bytes read at a time."""

BOM = b"\xef\xbb\xbf"

_ILLEGAL = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_TABLE = bytes.maketrans(_ILLEGAL, b"?" * len(_ILLEGAL))
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
_LONGEST_REFERENCE = len(b"&#x0010FFFF;")


_LEGAL = (
    range(0x09, 0x0B),
    range(0x0D, 0x0E),
    range(0x20, 0xD800),
    range(0xE000, 0xFFFE),
    range(0x10000, 0x110000),
)
"""The characters of XML 1.0 (its production 2)."""


@dataclass(slots=True)
class Cleaner:
    """Replaces characters that XML doesn't allow, one for one, so that columns stay right."""

    active: bool = True  # false where a zero byte is half of a character
    replaced: int = 0
    held: bytes = field(default=b"")  # the beginning of a reference that a block's end cut

    @classmethod
    def of(cls, first: bytes) -> "Cleaner":
        """The cleaner for a file that begins with ``first``."""
        wide = first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first[:4]
        return cls(active=not wide)

    def clean(self, block: bytes) -> bytes:
        """``block`` with what was held back before it and without what is held back now."""
        if not self.active:
            return block
        cleaned = block.translate(_TABLE)
        if cleaned != block:
            self.replaced += len(block) - len(block.translate(None, _ILLEGAL))
        if self.held:
            cleaned, self.held = self.held + cleaned, b""
        cut = cleaned.rfind(b"&", -_LONGEST_REFERENCE)
        if cut >= 0 and b";" not in cleaned[cut:]:
            self.held, cleaned = cleaned[cut:], cleaned[:cut]
        # One byte is found many times faster than two; most blocks have no "#" at all.
        if b"#" in cleaned and b"&#" in cleaned:
            cleaned = _REFERENCE.sub(self._reference, cleaned)
        return cleaned

    def rest(self) -> bytes:
        """What is still held back at the end of the file."""
        rest, self.held = self.held, b""
        return rest

    def _reference(self, found: re.Match[bytes]) -> bytes:
        code = int(found[1], 16) if found[1] else int(found[2])
        if any(code in legal for legal in _LEGAL):
            return found[0]
        self.replaced += 1
        return b"?"
