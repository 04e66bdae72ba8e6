"""The journal: what jobs planned and wrote, of one job or of all, on the screen or as a file."""

import csv
import io
import json
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.model.changes import ChangeState, Op, StoredChange
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.paging import Item, Source, export, listing
from runner.server.replies import Invalid, forbidden, reply, to_bytes
from runner.server.sdelements import jobs, shapes
from runner.server.unit import reading
from runner.store import changes
from runner.store import journal as store
from runner.store.accounts import Scope
from runner.store.journal import Entry, Wanted
from runner.store.pages import Cut

CHANGES = 500
"""A job's changes told at once, if nothing else is asked for."""

FILTERS = (
    "subject",
    "subject__contains",
    "connection",
    "job",
    "state",
    "op",
    "change.kind",
    "since",
    "until",
)

FORMATS = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}
"""What ``format=`` takes, and what stands for it in ``Accept``."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings that make a spreadsheet take a cell for a formula, or drop what comes before one."""


async def list_changes(request: Request) -> Response:
    """Tell a job's changes from a sequence number on: its plan, progress and journal."""
    query = Query(request)
    after = query.integer("after") or 0
    size = query.integer("page_size", least=1, most=10 * CHANGES) or CHANGES
    query.done()

    def work(c: sa.Connection, caller: Caller) -> list[StoredChange]:
        view = jobs.find(c, request)
        if not caller.sees(Kind(view.kind)):
            raise forbidden()
        return changes.journal(c, view.id, after=after, limit=size + 1)

    found = await reading(request, work, Scope.READ)
    more = len(found) > size
    link = request.url.include_query_params(after=found[size - 1].sequence) if more else None
    return reply(
        {"next": None if link is None else str(link), "results": [_change(row) for row in found[:size]]}
    )


def _change(row: StoredChange) -> shapes.Shown:
    return {
        "sequence": row.sequence,
        "target": row.target.value,
        "op": row.op.value,
        "kind": row.kind,
        "key": row.key,
        "subject": row.subject,
        "before": row.before,
        "after": row.after,
        "state": row.state.value,
        "error": row.error,
        "why": row.why,
        "assigned": row.assigned,
    }


async def list_all_changes(request: Request) -> Response:
    """Tell the changes of all jobs, the newest job's first, as JSON or as a file."""
    query = Query(request)
    found = partial(
        Wanted,
        previews="preview" in query.words("include"),
        subject=query.text("subject"),
        subject_contains=query.text("subject__contains"),
        connection_id=query.integer("connection"),
        job_id=query.integer("job"),
        state=query.choice("state", ChangeState),
        op=query.choice("op", Op),
        kind=query.text("kind"),
        since=query.instant("since"),
        until=query.instant("until"),
    )
    format_ = _format(request, query)
    query.done()

    def prepare(_c: sa.Connection, caller: Caller) -> Source:
        wanted = found(kinds=caller.kinds_seen())
        return Source(page=partial(_page, wanted), count=lambda c: store.count(c, wanted))

    if format_ == "json":
        return await listing(request, prepare, Scope.READ)
    if not {"page_size", "page", "cursor"}.isdisjoint(request.query_params):
        raise Invalid({"format": ["A file holds all there is; leave page_size, page and cursor out."]})
    return await export(
        request,
        prepare,
        Scope.READ,
        encode=_as_csv if format_ == "csv" else _as_lines,
        head=_csv([list(Entry._fields)]) if format_ == "csv" else b"",
        media=FORMATS[format_],
        name=f"changes.{format_}",
    )


def _format(request: Request, query: Query) -> str:
    """What the answer is to be: ``format=`` says it, else ``Accept``, else it is JSON."""
    named = query.text("format")
    if named is not None:
        if named not in FORMATS:
            query.wrong("format", f'"{named}" is not a valid choice.')
        return named
    accepted = request.headers.get("accept", "")
    return next((name for name in ("csv", "jsonl") if FORMATS[name] in accepted), "json")


def _page(wanted: Wanted, c: sa.Connection, part: Cut) -> list[Item]:
    if not wanted.kinds:
        return []
    return [(entry.number, _entry(entry)) for entry in store.page(c, wanted, part)]


def _entry(entry: Entry) -> shapes.Shown:
    return {
        **entry._asdict(),
        "when": shapes.micros(entry.when),
        "before": None if entry.before is None else json.loads(entry.before),
        "after": None if entry.after is None else json.loads(entry.after),
    }


def _as_lines(items: Sequence[Item]) -> bytes:
    return b"".join(to_bytes(shown) + b"\n" for _, shown in items)


def _as_csv(items: Sequence[Item]) -> bytes:
    return _csv([[_cell(value) for value in shown.values()] for _, shown in items])


def _cell(value: object) -> str:
    """A value as a cell. One that a spreadsheet would calculate gets an apostrophe in front."""
    if value is None:
        return ""
    text = to_bytes(value).decode() if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
