"""Listings: whole and streamed, or a page at a time if ``page_size`` is given."""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.replies import TYPE, Invalid, reply, to_bytes
from runner.server.services import services_of
from runner.server.unit import Work, in_thread, reading
from runner.store.accounts import Scope
from runner.store.pages import Cut

CHUNK = 500
"""Rows read at once for a listing that is told whole."""

LARGEST_PAGE = 10_000

Item = tuple[int, dict[str, Any]]
"""The id by which a listing goes on, and what is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a listing is told from. Both are called in threads, each time on a new transaction."""

    page: Callable[[sa.Connection, Cut], list[Item]]
    count: Callable[[sa.Connection], int]


class _Asked(NamedTuple):
    """Which page a client wants."""

    size: int
    number: int  # as ``page=``, from 1
    cursor: int | None  # go on past this id; negative = what stands before it


def _asked(request: Request) -> _Asked | None:
    query = Query(request)
    size = query.integer("page_size", least=1, most=LARGEST_PAGE)
    number = query.integer("page", least=1, most=2**40)
    cursor = query.integer("cursor", least=-(2**62))
    query.done()
    if size is None and number is not None:
        raise Invalid({"page": ["It wants a page_size."]})
    return None if size is None else _Asked(size, number or 1, cursor)


async def listing(request: Request, prepare: Work[Source], *need: Scope) -> Response:
    """Tell a listing. ``prepare`` looks up what it needs once, and refuses what it must."""
    asked = _asked(request)
    if asked is not None:
        return await _page(request, prepare, need, asked)

    def begin(c: sa.Connection, caller: Caller) -> tuple[Source, list[Item]]:
        source = prepare(c, caller)
        return source, source.page(c, Cut(limit=CHUNK))

    source, items = await reading(request, begin, *need)
    if len(items) < CHUNK:
        return reply({"results": [shown for _, shown in items]})
    return StreamingResponse(_stream(request, source, items), media_type=TYPE)


async def export(
    request: Request,
    prepare: Work[Source],
    *need: Scope,
    encode: Callable[[Sequence[Item]], bytes],
    head: bytes,
    media: str,
    name: str,
) -> Response:
    """Tell a listing whole as a file called ``name``: ``head``, then all rows as ``encode`` writes them."""

    def begin(c: sa.Connection, caller: Caller) -> tuple[Source, list[Item]]:
        source = prepare(c, caller)
        return source, source.page(c, Cut(limit=CHUNK))

    source, items = await reading(request, begin, *need)

    async def told() -> AsyncIterator[bytes]:
        yield head + encode(items)
        async for chunk in _further(request, source, items, encode):
            yield chunk

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(told(), media_type=media, headers=headers)


async def _stream(request: Request, source: Source, items: list[Item]) -> AsyncIterator[bytes]:
    yield b'{"results":[' + _joined(items)
    async for told in _further(request, source, items, _joined):
        yield b"," + told
    yield b"]}"


async def _further(
    request: Request, source: Source, items: list[Item], encode: Callable[[Sequence[Item]], bytes]
) -> AsyncIterator[bytes]:
    """What follows the first ``items`` of a listing, some hundred rows at a time."""
    database = services_of(request).database
    while len(items) == CHUNK:
        part = Cut(limit=CHUNK, key=items[-1][0])

        def read(part: Cut = part) -> tuple[list[Item], bytes]:
            with database.read() as c:
                found = source.page(c, part)
            return found, encode(found)

        items, told = await in_thread(read)
        if items:
            yield told


def _joined(items: Sequence[Item]) -> bytes:
    return b",".join(to_bytes(shown) for _, shown in items)


async def _page(request: Request, prepare: Work[Source], need: tuple[Scope, ...], asked: _Asked) -> Response:
    back = asked.cursor is not None and asked.cursor < 0
    counts: Counts = request.app.state.counts

    def read(c: sa.Connection, caller: Caller) -> tuple[int, list[Item]]:
        source = prepare(c, caller)
        part = Cut(
            limit=asked.size + 1,
            key=None if asked.cursor is None else abs(asked.cursor),
            offset=0 if asked.cursor is not None else (asked.number - 1) * asked.size,
            backwards=back,
        )
        return counts.tell(c, _counted(request, caller), source.count), source.page(c, part)

    count, items = await reading(request, read, *need)
    more = len(items) > asked.size
    shown = items[1:] if more and back else items[: asked.size]
    has_next = more or back
    has_previous = more if back else asked.cursor is not None or asked.number > 1
    return reply(
        {
            "count": count,
            "next": _link(request, shown[-1][0]) if shown and has_next else None,
            "previous": _link(request, -shown[0][0]) if shown and has_previous else None,
            "results": [entry for _, entry in shown],
        }
    )


def _counted(request: Request, caller: Caller) -> Hashable:
    """What a count is of: the listing, its filters, and what the caller may see."""
    filters = sorted(
        (name, value) for name, value in request.query_params.multi_items() if name not in _PAGE_OF
    )
    return request.url.path, tuple(filters), caller.scopes, caller.superuser


_PAGE_OF = {"page", "page_size", "cursor", "include", "expand"}


class Counts:
    """Counts of long listings, which are told again for a while: to count takes longer than a page.

    A count that was had at once is never kept. One that took long is kept for a hundred times
    as long, so that counting costs a hundredth of the time at the most. Safe between threads.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, tuple[float, int]] = {}

    def tell(self, c: sa.Connection, what: Hashable, count: Callable[[sa.Connection], int]) -> int:
        """How many there are, or were a moment ago."""
        began = self._clock()
        kept = self._kept.get(what)
        if kept is not None and kept[0] > began:
            return kept[1]
        number = count(c)
        took = self._clock() - began
        if took > _LONG:
            if len(self._kept) >= _MOST_COUNTS:
                self._kept.clear()
            self._kept[what] = (began + min(100 * took, _OLDEST), number)
        return number


_LONG = 0.02  # seconds
_OLDEST = 60.0  # seconds
_MOST_COUNTS = 1_000


def _link(request: Request, cursor: int) -> str:
    return str(request.url.remove_query_params("page").include_query_params(cursor=cursor))
