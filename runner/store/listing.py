"""Jobs as the API shows them: one query joins each with its connection, users and upload."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.model.jobs import Kind, Outcome
from runner.model.people import address_key
from runner.store.pages import Cut
from runner.store.prepared import Prepared
from runner.store.schema import applications, connections, connectors, jobs, projects, uploads, users
from runner.store.values import to_micros


class JobView(NamedTuple):
    """A job with what is shown of its surroundings. Instants in µs since 1970, JSON as text."""

    id: int
    uuid: str
    kind: str
    state: str
    outcome: str | None
    reason: str | None
    result_message: str
    automatic: bool
    preview: bool
    only: str | None
    attempt: int
    cancel_requested: bool
    retry_of: int | None
    revert_of: int | None
    totals: str
    progress: str
    created: int
    started: int | None
    finished: int | None
    last_run: int
    user_id: int | None
    triggered_by_id: int | None
    upload_id: int | None
    user: str | None  # e-mail
    triggered_by: str | None
    attachment: str | None
    upload_removed: int | None
    connection_id: int
    system: str
    alias: str
    command: str
    frequency: str
    params: str
    project_id: int | None
    is_file_upload: bool
    debug_mode: bool
    inaccessible: bool
    application_id: int | None
    business_unit_id: int | None
    inherited: str | None  # params of the connection's connector


_runner = users.alias("runner")
_asker = users.alias("asker")
_ELSEWHERE = {
    "user": _runner.c.email,
    "triggered_by": _asker.c.email,
    "attachment": uploads.c.name,
    "upload_removed": uploads.c.removed,
    "application_id": projects.c.application_id,
    "business_unit_id": applications.c.business_unit_id,
    "inherited": connectors.c.params,
}
_OF_CONNECTION = frozenset(JobView._fields[JobView._fields.index("system") : -3])
"""The fields from ``system`` on, which come from the connection's row."""


def _column(name: str) -> sa.ColumnElement[Any]:
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    return connections.c[name] if name in _OF_CONNECTION else jobs.c[name]


_views = (
    sa.select(*(_column(name).label(name) for name in JobView._fields))
    .select_from(jobs)
    .join(connections, connections.c.id == jobs.c.connection_id)
    .outerjoin(connectors, connectors.c.id == connections.c.connector_id)
    .outerjoin(projects, projects.c.id == connections.c.project_id)
    .outerjoin(applications, applications.c.id == projects.c.application_id)
    .outerjoin(uploads, uploads.c.id == jobs.c.upload_id)
    .outerjoin(_runner, _runner.c.id == jobs.c.user_id)
    .outerjoin(_asker, _asker.c.id == jobs.c.triggered_by_id)
)
_one = _views.where(jobs.c.id == sa.bindparam("job_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs a listing is of; None = no matter."""

    kinds: tuple[Kind, ...]
    previews: bool = False
    connection_id: int | None = None
    project_id: int | None = None
    automatic: bool | None = None
    ready: bool | None = None
    succeeded: bool | None = None
    user: str | None = None  # e-mail, in any case


def one(c: sa.Connection, job_id: int) -> JobView | None:
    """The job with this id."""
    row = c.execute(_one, {"job_id": job_id}).one_or_none()
    return None if row is None else JobView._make(row)


def page(c: sa.Connection, wanted: Wanted, part: Cut) -> list[JobView]:
    """Some of the jobs wanted, the newest first."""
    if wanted.project_id is not None:
        places = _places(c, wanted)
        if len(places) <= _MOST_MERGED:
            return _merged_page(c, wanted, part, places)
    query = _page_query(_sort(wanted), part.key is not None, part.backwards)
    cut = {"b_key": part.key, "b_limit": part.limit, "b_offset": part.offset}
    rows = query.rows(c, {**cut, **_values(wanted)})
    found = [_view(row) for row in rows]
    return found[::-1] if part.backwards else found


def _places(c: sa.Connection, wanted: Wanted) -> list[int]:
    """The connections of the project that is wanted."""
    query = sa.select(connections.c.id).where(connections.c.project_id == wanted.project_id)
    if wanted.connection_id is not None:
        query = query.where(connections.c.id == wanted.connection_id)
    return list(c.scalars(query.order_by(connections.c.id).limit(_MOST_MERGED + 1)))


def _merged_page(c: sa.Connection, wanted: Wanted, part: Cut, places: list[int]) -> list[JobView]:
    """A page of a few connections: each has its jobs in order, so that they need only be merged."""
    if not places:
        return []
    parts = []
    for place in places:
        of_place = replace(wanted, project_id=None, connection_id=place)
        query = sa.select(jobs.c.id).where(*_conditions(of_place, connection=place))
        if part.key is not None:
            query = query.where(jobs.c.id > part.key if part.backwards else jobs.c.id < part.key)
        # As many of each as the page could have: only so PostgreSQL reads them in their order.
        nearest = _by_id(query, jobs.c.id, part).limit(part.limit + part.offset)
        parts.append(sa.select(nearest.subquery().c.id))
    merged = sa.union_all(*parts).subquery()
    ordered = _by_id(sa.select(merged.c.id), merged.c.id, part)
    found = list(c.scalars(ordered.limit(part.limit).offset(part.offset), _values(wanted)))
    rows = c.execute(_views.where(jobs.c.id.in_(found)).order_by(jobs.c.id.desc()))
    return [_view(tuple(row)) for row in rows]


def _by_id(query: sa.Select[Any], number: sa.ColumnElement[int], part: Cut) -> sa.Select[Any]:
    return query.order_by(number.asc() if part.backwards else number.desc())


@lru_cache(maxsize=128)
def _page_query(wanted: Wanted, goes_on: bool, backwards: bool) -> Prepared:
    """The statement of a page, built once for each sort: to build it costs as much as to run it."""
    query = _views.where(*_conditions(wanted))
    if goes_on:
        key = sa.bindparam("b_key", type_=sa.BigInteger)
        query = query.where(jobs.c.id > key if backwards else jobs.c.id < key)
    query = query.order_by(jobs.c.id.asc() if backwards else jobs.c.id.desc())
    return Prepared(query.limit(sa.bindparam("b_limit")).offset(sa.bindparam("b_offset")))


_CONNECTION = sa.bindparam("b_connection", type_=sa.BigInteger)
_PROJECT = sa.bindparam("b_project", type_=sa.BigInteger)
_USER = sa.bindparam("b_user", type_=sa.Text)


def _sort(wanted: Wanted) -> Wanted:
    """What listings have in common that differ only in whose jobs they are of: one statement serves them."""
    return replace(
        wanted,
        connection_id=None if wanted.connection_id is None else 0,
        project_id=None if wanted.project_id is None else 0,
        user=None if wanted.user is None else "",
    )


def _values(wanted: Wanted) -> dict[str, Any]:
    """Whose jobs they are of."""
    return {
        "b_connection": wanted.connection_id,
        "b_project": wanted.project_id,
        "b_user": None if wanted.user is None else address_key(wanted.user),
    }


_MOST_MERGED = 100  # connections of a project; of one with more, its jobs are looked for among all

_BOOLEANS = ("automatic", "preview", "cancel_requested", "is_file_upload", "debug_mode", "inaccessible")
_BOOLEAN_AT = tuple(JobView._fields.index(name) for name in _BOOLEANS)


def _view(row: Sequence[Any]) -> JobView:
    """A row of the driver's: SQLite tells Booleans as numbers."""
    values = list(row)
    for place in _BOOLEAN_AT:
        values[place] = bool(values[place])
    return JobView._make(values)


def count(c: sa.Connection, wanted: Wanted) -> int:
    """How many jobs are wanted."""
    [row] = _count_query(_sort(wanted)).rows(c, _values(wanted))
    number: int = row.number
    return number


@lru_cache(maxsize=128)
def _count_query(wanted: Wanted) -> Prepared:
    """The statement of a count, built once for each sort."""
    query = sa.select(sa.func.count()).select_from(jobs)
    # A join that no condition needs would be made for each row all the same.
    if wanted.project_id is not None:
        query = query.join(connections, connections.c.id == jobs.c.connection_id)
    if wanted.previews or (wanted.automatic and len(wanted.kinds) == len(Kind)):
        # What was started by itself has an index that knows the previews.
        return Prepared(sa.select(query.where(*_conditions(wanted)).scalar_subquery().label("number")))
    # All without the previews, which are few: so two indexes alone answer the common question.
    wanted = replace(wanted, previews=True)
    every = query.where(*_conditions(wanted)).scalar_subquery()
    previews = query.where(sa.text("preview"), *_conditions(wanted, hide=True)).scalar_subquery()
    return Prepared(sa.select((every - previews).label("number")))


_UNSUCCESSFUL: sa.ColumnElement[bool] = sa.literal_column(
    "(jobs.outcome IS NULL OR jobs.outcome != 'succeeded')"
)
"""As the index of these jobs says it: only so is it taken, and a few failures among many jobs are at hand."""


_BY_ITSELF: Mapping[bool, sa.ColumnElement[bool]] = {
    True: sa.literal_column("(jobs.automatic)"),
    False: sa.literal_column("NOT jobs.automatic"),
}
"""In brackets, for a name alone is compared with 1, and its index not taken."""


def _open() -> sa.Select[Any]:
    """The ids of unfinished jobs, from the small indexes made for them."""
    states = ("behind", "pending", "running")
    parts = [sa.select(jobs.c.id).where(jobs.c.state == sa.literal_column(f"'{s}'")) for s in states]
    return sa.select(sa.union_all(*parts).subquery().c.id)


def _conditions(
    wanted: Wanted, *, hide: bool = False, connection: int | sa.BindParameter[int] = _CONNECTION
) -> list[sa.ColumnElement[bool]]:
    """What is asked of a job; ``hide`` what would lead the planner to a larger index."""
    narrow = (wanted.connection_id, wanted.project_id, wanted.user) != (None, None, None)
    hide_kind = (
        hide
        or len(wanted.kinds) != 1
        or wanted.connection_id is not None
        or wanted.project_id is not None
        or wanted.succeeded is False
    )
    found = [_of_kind(wanted, hide=hide_kind)] if len(wanted.kinds) < len(Kind) else []
    if not wanted.previews:
        found.append(~jobs.c.preview)
    if wanted.connection_id is not None:
        found.append(jobs.c.connection_id == connection)
    if wanted.project_id is not None:
        found.append(connections.c.project_id == _PROJECT)
    if wanted.automatic is not None:
        # As the indexes of these jobs say it; those of users and connections know it themselves.
        found.append(jobs.c.automatic == wanted.automatic if narrow else _BY_ITSELF[wanted.automatic])
    if wanted.ready is not None:
        found.append(jobs.c.state == "finished" if wanted.ready else jobs.c.id.in_(_open()))
    if wanted.succeeded is not None:
        # Within a connection its own index is the shorter way, and so the other is hidden.
        other = sa.func.coalesce(jobs.c.outcome, "") != "succeeded"
        unsuccessful = _UNSUCCESSFUL if wanted.connection_id is None else other
        found.append(jobs.c.outcome == "succeeded" if wanted.succeeded else unsuccessful)
    if wanted.user is not None:
        # Looked up first: so the jobs are a range of their index, and those of nobody are none at once.
        email = users.c.email_key == _USER
        user = sa.func.coalesce(jobs.c.user_id, 0) if hide else jobs.c.user_id
        found.append(user == sa.select(users.c.id).where(email).scalar_subquery())
    return found


def _of_kind(wanted: Wanted, *, hide: bool) -> sa.ColumnElement[bool]:
    kinds = [kind.value for kind in wanted.kinds]
    if not hide:
        return jobs.c.kind == kinds[0]
    # Hidden from the planner: with its index on several kinds it would sort the whole table.
    hidden = sa.func.coalesce(jobs.c.kind, "")
    return sa.or_(sa.false(), *(hidden == kind for kind in kinds))


def last_failures(c: sa.Connection, limit: int) -> list[JobView]:
    """The newest jobs that failed."""
    failed = (jobs.c.outcome != sa.literal_column("'succeeded'"), jobs.c.outcome == "failed", ~jobs.c.preview)
    rows = c.execute(_views.where(*failed).order_by(jobs.c.id.desc()).limit(limit))
    return [JobView._make(row) for row in rows]


def totals(c: sa.Connection) -> dict[str, int]:
    """How many jobs there are in all, and how many of them didn't succeed."""
    every = c.scalar(sa.select(sa.func.count()).select_from(jobs)) or 0
    bad = sa.select(sa.func.count()).where(jobs.c.outcome != sa.literal_column("'succeeded'"))
    return {"all": every, "unsuccessful": c.scalar(bad) or 0}


def finished_since(c: sa.Connection, instant: datetime) -> list[tuple[int, Outcome]]:
    """Jobs that ended since ``instant``, by id, with how they ended; previews are left out."""
    query = (
        sa.select(jobs.c.id, jobs.c.outcome)
        .where(jobs.c.finished >= to_micros(instant), sa.not_(jobs.c.preview))
        .order_by(jobs.c.id)
    )
    return [(row.id, Outcome(row.outcome)) for row in c.execute(query)]
