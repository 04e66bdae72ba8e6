"""A walk over pages that proves itself.

Offsets count from the start of what there is when a page is asked for. Where a record goes
away meanwhile, all that follow move up and one is never seen, though the count is right. So
each page begins with the record that ended the one before; if it doesn't, the ground has
moved and the walk begins again.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        """The records, page by page; ``GroundMoved`` if they moved.

        While one page is in use the next is on its way.
        """
        last: object = None
        with ThreadPoolExecutor(1, thread_name_prefix="walk") as ahead:
            following = ahead.submit(self.fetch, 0, self.limit)
            while True:
                page = following.result()
                rows = page.rows
                self.total = page.total
                if self.seen:
                    if not rows or _identity(rows[0]) != last:
                        raise GroundMoved
                    rows = rows[1:]
                if not rows:
                    break
                seen, last = self.seen + len(rows), _identity(rows[-1])
                # Neither a short page nor a full one says whether more follows: the total does.
                more = self.total is None or seen < self.total
                if more:
                    following = ahead.submit(self.fetch, seen - 1, self.limit)
                yield rows
                self.seen = seen
                if not more:
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
