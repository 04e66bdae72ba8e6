"""A walk over pages that proves itself.

Offsets count from the start of what there is when a page is asked for. Where a record goes
away meanwhile, all that follow move up and one is never seen, though the count is right. So
each page begins with the record that ended the one before; if it doesn't, the ground has
moved and the walk begins again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


class GroundMoved(Exception):
    """Records came or went while they were walked over."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and how many records the server says there are in all; None = it doesn't say."""

    rows: Sequence[Any]
    total: int | None


Fetch = Callable[[int, int], Page]
"""A page by offset and limit. Servers may give less than was asked for."""


@dataclass(slots=True)
class Walk:
    """One walk. ``shortfall`` says afterwards why it may not have seen all; "" = it did."""

    fetch: Fetch
    limit: int
    seen: int = 0
    total: int | None = None
    shortfall: str = ""

    def pages(self) -> Iterator[Sequence[Any]]:
        """The records, page by page; ``GroundMoved`` if they moved."""
        last: object = None
        while True:
            page = self.fetch(self.seen - 1 if self.seen else 0, self.limit)
            rows = page.rows
            self.total = page.total
            if self.seen:
                if not rows or _identity(rows[0]) != last:
                    raise GroundMoved
                rows = rows[1:]
            if not rows:
                break
            yield rows
            self.seen += len(rows)
            last = _identity(rows[-1])
            # Neither a short page nor a full one says whether more follows: the total does.
            if self.total is not None and self.seen >= self.total:
                break
        self.shortfall = self._shortfall()

    def _shortfall(self) -> str:
        if self.total is None:
            return f"It gave {self.seen} and doesn't say how many there are in all, so some may be missing."
        if self.seen < self.total:
            return f"It gave {self.seen} of {self.total}."
        return ""


def _identity(row: object) -> object:
    return str(row.get("id")) if isinstance(row, dict) else row
