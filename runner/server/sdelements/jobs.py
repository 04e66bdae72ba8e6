"""Looking at jobs: ``GET /jobs/…`` in both spellings of the path."""

from functools import partial

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.fields import Query
from runner.server.paging import Item, Source, listing
from runner.server.replies import not_found, reply
from runner.server.sdelements import shapes
from runner.server.sdelements.shapes import JobStyle
from runner.server.unit import reading, systems_of
from runner.store import accounts, approvals, groups, work
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.listing import JobView, Wanted
from runner.store.pages import Cut

FILTERS = ("automatic", "connection", "ready", "succeeded", "user")


async def list_jobs(request: Request) -> Response:
    """Tell the jobs of all kinds whose params the caller may see, or of one kind."""
    query = Query(request)
    found = partial(
        Wanted,
        previews="preview" in query.words("include"),
        connection_id=query.integer("connection"),
        project_id=request.path_params.get("project_id"),
        automatic=query.boolean("automatic"),
        ready=query.boolean("ready"),
        succeeded=query.boolean("succeeded"),
        user=query.text("user"),
    )
    include, expand = query.words("include"), query.words("expand")
    query.done()
    kind = request.path_params.get("kind")
    systems = await systems_of(request)

    def prepare(c: sa.Connection, caller: Caller) -> Source:
        check_project(c, request)
        wanted = found(kinds=(Kind(kind),) if kind else caller.kinds_seen())
        style = JobStyle(systems, caller, include, expand)
        return Source(page=partial(_page, wanted, style), count=lambda c: store.count(c, wanted))

    return await listing(request, prepare, Scope.READ)


def _page(wanted: Wanted, style: JobStyle, c: sa.Connection, part: Cut) -> list[Item]:
    if not wanted.kinds:
        return []
    views = store.page(c, wanted, part)
    style = looked_up(c, style, views)
    return [(view.id, shapes.job(view, style)) for view in views]


def looked_up(c: sa.Connection, style: JobStyle, views: list[JobView]) -> JobStyle:
    """Look up what ``expand=`` and ``include=`` ask for and a job's own row doesn't have."""
    if "allowed_by" in style.include:
        style = style._replace(approvals=approvals.used_by(c, {view.id for view in views}))
    wanted: set[int | None] = set()
    if "user" in style.expand:
        wanted |= {view.user_id for view in views}
    if "triggered_by" in style.expand:
        wanted |= {view.triggered_by_id for view in views}
    known = {ident for ident in wanted if ident is not None}
    if not known:
        return style
    return style._replace(users=accounts.users_by_id(c, known), groups=groups.of_users(c, known))


async def show_job(request: Request) -> Response:
    """Tell one job."""
    query = Query(request)
    include, expand = query.words("include"), query.words("expand")
    systems = await systems_of(request)

    def work(c: sa.Connection, caller: Caller) -> shapes.Shown:
        view = find(c, request, previews="preview" in include)
        style = looked_up(c, JobStyle(systems, caller, include, expand), [view])
        return shapes.job(view, style)

    return reply(await reading(request, work, Scope.READ))


def find(c: sa.Connection, request: Request, *, previews: bool = True) -> JobView:
    """The job that a path names, by kind and id and perhaps project."""
    view = store.one(c, request.path_params["job_id"])
    if view is None or view.kind != request.path_params["kind"] or (view.preview and not previews):
        raise not_found()
    project_id = request.path_params.get("project_id")
    if project_id is not None and view.project_id != project_id:
        raise not_found()
    return view


def check_project(c: sa.Connection, request: Request) -> None:
    """Refuse (404) a path that names a project there isn't."""
    project_id = request.path_params.get("project_id")
    if project_id is not None and work.project(c, project_id) is None:
        raise not_found()
