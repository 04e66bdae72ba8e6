"""Leaving out, unparsed, what nobody asked for.

A third of a scan's XML and half of a report's is of no use here, and parsing it costs what
parsing costs. It is dropped before the parser sees it. That looks at bytes, not at structure:
where such a tag stands in a CDATA section, the parser is left with a document that doesn't
fit together and says so. Whoever skips reads again without, then; so no file is judged by
what was left of it.
"""

import re
from collections.abc import Collection


class Texts:
    """Drops some elements that hold nothing but text, block by block.

    One that is cut by a block's end stays, and one with an attribute or a child in it, too.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._whole = re.compile(b"<(%s)>[^<]*</\\1>" % b"|".join(name.encode() for name in names))
        self.skipped = 0  # bytes

    def skip(self, block: bytes) -> bytes:
        """What is left of ``block``."""
        left = self._whole.sub(b"", block)
        self.skipped += len(block) - len(left)
        return left

    def rest(self) -> bytes:
        """Nothing is ever held back."""
        return b""


class Insides:
    """Drops the insides of some elements, however long they are, block by block."""

    def __init__(self, names: Collection[str]) -> None:
        self._begin = re.compile(b"<(?:%s)>" % b"|".join(name.encode() for name in names))
        self._longest = max(len(name) for name in names) + 2  # of a start tag
        self._end = b""  # the tag that ends what is being dropped; empty = nothing is
        self._held = b""  # what may be the beginning of a tag
        self.skipped = 0  # bytes

    def skip(self, block: bytes) -> bytes:
        """What is left of ``block``, and of what was held back before it."""
        block, self._held = self._held + block, b""
        kept: list[bytes] = []
        place = 0
        while place < len(block):
            if self._end:
                place = self._drop(block, place)
                continue
            found = self._begin.search(block, place)
            if found is None:
                cut = block.rfind(b"<", max(place, len(block) - self._longest))
                if cut < 0 or b">" in block[cut:]:
                    cut = len(block)
                kept.append(block[place:cut])
                self._held = block[cut:]
                break
            kept.append(block[place : found.end()])
            self._end = b"</" + found[0][1:]
            place = found.end()
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def rest(self) -> bytes:
        """What is still held back at the end of the file."""
        rest, self._held = self._held, b""
        return rest

    def _drop(self, block: bytes, place: int) -> int:
        at = block.find(self._end, place)
        if at >= 0:
            self.skipped += at - place
            self._end = b""
            return at
        cut = max(place, len(block) - len(self._end) + 1)
        self.skipped += cut - place
        self._held = block[cut:]
        return len(block)
