"""A scanner connection's own mapping, as CSV, and what its runs found."""

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.errors import Refused
from runner.findings.mapping_table import LARGEST, read_mapping, write_rows
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, not_found
from runner.server.sdelements import jobs
from runner.server.services import services_of
from runner.server.unit import in_thread, reading, writing
from runner.store import connections, findings
from runner.store import mappings as store
from runner.store.accounts import Scope
from runner.store.pages import Cut

CSV = "text/csv"


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of mappings and findings below ``root``."""
    path = f"{root}/connections/analysis/{{connection_id:number}}/mapping/"
    add(router, "GET", path, show_mapping, Op(summary="Show a connection's mapping", produces=CSV))
    put = Op(
        summary="Replace a connection's mapping; nothing takes it away",
        body="Mapping",
        media=CSV,
        produces=CSV,
        also=(413,),
    )
    add(router, "PUT", path, put_mapping, put)
    found = Op(
        summary="List what a run found, by sort",
        answer="Finding",
        listing=True,
        query=("mapped",),
        extension=True,
    )
    add(router, "GET", f"{root}/jobs/analysis/{{job_id:number}}/findings/", list_findings, found)


def _connection(c: sa.Connection, request: Request) -> int:
    entry = connections.get(c, request.path_params["connection_id"])
    if entry is None or entry.connection.kind is not Kind.ANALYSIS:
        raise not_found()
    return entry.connection.id


def _told(text: str, name: str) -> Response:
    told = text or "".join(write_rows([]))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(told, media_type=CSV, headers=headers)


async def show_mapping(request: Request) -> Response:
    """Tell a connection's mapping; without one, the line with the columns' names."""
    text = await reading(request, lambda c, _caller: store.read(c, _connection(c, request)), Scope.READ)
    return _told(text, "mapping.csv")


async def put_mapping(request: Request) -> Response:
    """Put a mapping in place, if each of its lines can be used."""
    now = services_of(request).clock()
    await reading(request, lambda c, _caller: _connection(c, request), Scope.EDIT_VERIFICATION)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST:
            text = f"The mapping is larger than {LARGEST} bytes."
            raise Refused(text, status=413)
    text = await in_thread(lambda: _checked(bytes(raw)))

    def put(c: sa.Connection, _caller: Caller) -> None:
        store.replace(c, _connection(c, request), text, now=now)

    await writing(request, put, Scope.EDIT_VERIFICATION)
    return _told(text, "mapping.csv")


def _checked(raw: bytes) -> str:
    """The text of a mapping that can be used; "" for one that says nothing."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        texts = [f"It isn't UTF-8 (byte {error.start}); save it as CSV in UTF-8."]
        raise Invalid({"mapping": texts}) from None
    if "\x00" in text:
        raise Invalid({"mapping": ["Null characters are not allowed."]})
    if not text.strip():
        return ""
    try:
        rules = read_mapping(text)
    except Refused as error:
        raise Invalid({"mapping": [error.message]}) from error
    return text if rules or len(text.splitlines()) > 1 else ""


async def list_findings(request: Request) -> Response:
    """Tell the findings of a run by sort, the worst first; ``mapped`` = whether a task answers to it."""
    query = Query(request)
    mapped = query.boolean("mapped")
    query.done()
    request.path_params["kind"] = Kind.ANALYSIS.value

    def prepare(c: sa.Connection, _caller: Caller) -> Source:
        job_id = jobs.find(c, request).id

        def page(c: sa.Connection, part: Cut) -> list[Item]:
            rows = findings.page(c, job_id, part, mapped=mapped)
            return [(number, {"id": number, **row._asdict()}) for number, row in rows]

        return Source(page=page, count=lambda c: findings.count(c, job_id, mapped=mapped))

    return await listing(request, prepare, Scope.READ)
