"""A backup of the state, for the machine's administrator: over the Unix socket only (an extension)."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runner import __version__
from runner.server.fields import Query
from runner.server.local import LOCAL
from runner.server.replies import forbidden
from runner.server.services import services_of
from runner.server.unit import in_thread
from runner.store import backup

TYPE = "application/x-tar"
_CHUNK = 1024 * 1024  # bytes


async def make_backup(request: Request) -> Response:
    """Tell the whole state as an archive; secrets are in it, so the network never sees it."""
    if LOCAL not in request.scope:
        raise forbidden()
    query = Query(request)
    with_key = bool(query.boolean("with_key"))
    query.done()
    services = services_of(request)
    state_dir = services.settings.state_dir
    folder = tempfile.TemporaryDirectory(dir=state_dir, prefix="backup-")
    file = Path(folder.name) / "backup.tar"

    def write() -> None:
        try:
            backup.write(
                services.database,
                file,
                state_dir=state_dir,
                version=__version__,
                now=services.clock(),
                with_key=with_key,
            )
        except BaseException:
            folder.cleanup()
            raise

    await in_thread(write)

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async with await anyio.open_file(file, "rb") as opened:
                while chunk := await opened.read(_CHUNK):
                    yield chunk
        finally:
            folder.cleanup()

    size = str(file.stat().st_size)
    return StreamingResponse(chunks(), media_type=TYPE, headers={"Content-Length": size})
