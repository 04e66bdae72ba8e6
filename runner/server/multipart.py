"""Receiving forms: from the wire, through the parser, in threads, with a limit."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from runner.errors import Refused
from runner.server.form import Form, bad, too_large
from runner.server.unit import in_thread

_GATHER = 512 * 1024
"""Bytes gathered before a thread parses and writes them: it costs less than a switch each."""

_SLACK = 2**20 + 64 * 1024
"""What a form may be larger than its file: the other fields and what stands between."""

_LINGER = 64 * 2**20
"""Bytes still read of a form that is too large: a sender that writes on would see a broken
connection instead of the answer."""

_LINGER_SECONDS = 10


def boundary_of(request: Request) -> bytes:
    """What stands between the parts of a request's form; ``Refused`` if it isn't a form."""
    header = request.headers.get("content-type", "")
    content_type, options = parse_options_header(header)
    if content_type != b"multipart/form-data":
        named = content_type.decode("latin-1")
        raise Refused(f'Unsupported media type "{named}" in request.', status=415)
    boundary = options.get(b"boundary")
    if not boundary:
        bad("Invalid boundary in multipart: None")
    return boundary


async def receive(request: Request, form: Form, *, largest: int) -> None:
    """Read a form from the wire to its end; on any error nothing of it is left."""
    try:
        _check_declared(request, largest)
        await _pump(request, form.feed)
        await in_thread(form.finish)
    except Refused as refused:
        await in_thread(form.drop)
        if refused.status == 413:  # noqa: PLR2004 - the HTTP status
            await _linger(request)
        raise
    except BaseException:
        form.drop()
        raise


def _check_declared(request: Request, largest: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > largest + _SLACK:
        raise Refused(too_large(largest), status=413)


async def _pump(request: Request, feed: Callable[[bytes], None]) -> None:
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) >= _GATHER:
            data = bytes(gathered)
            gathered.clear()
            await in_thread(partial(feed, data))
    if gathered:
        await in_thread(partial(feed, bytes(gathered)))


async def _linger(request: Request) -> None:
    left = _LINGER
    # RuntimeError: the form was read to its end already.
    with contextlib.suppress(ClientDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
