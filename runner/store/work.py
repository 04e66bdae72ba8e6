"""Business units, applications and projects, as the API lists and makes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.pages import Cut, contains, cut
from runner.store.rows import insert
from runner.store.schema import applications, business_units, connections, projects
from runner.store.values import from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Which rows of a listing are wanted; None = no matter."""

    name: str | None = None  # exactly
    slug: str | None = None
    parent_id: int | None = None  # of the business unit or application
    parent_name: str | None = None
    search: str | None = None  # words that all stand in the name


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessUnit:
    """The top of the chain of names."""

    id: int
    name: str
    slug: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What projects belong to."""

    id: int
    name: str
    slug: str
    priority: str
    created: datetime
    business_unit_id: int
    business_unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with the names above it."""

    id: int
    name: str
    slug: str
    description: str
    archived: bool
    created: datetime
    updated: datetime
    application_id: int
    application: str
    business_unit_id: int
    business_unit: str


def slug(name: str) -> str:
    """A name as it may stand in an address."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-") or "unnamed"


def _narrow(
    query: sa.Select[Any], table: sa.Table, found: Found, *, parent: sa.Table | None = None
) -> sa.Select[Any]:
    if found.name is not None:
        query = query.where(table.c.name == found.name)
    if found.slug is not None:
        query = query.where(table.c.slug == found.slug)
    if found.search is not None:
        query = query.where(contains([table.c.name], found.search))
    if parent is not None and found.parent_id is not None:
        query = query.where(parent.c.id == found.parent_id)
    if parent is not None and found.parent_name is not None:
        query = query.where(parent.c.name == found.parent_name)
    return query


def _count(c: sa.Connection, query: sa.Select[Any]) -> int:
    return c.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


# --- business units ----------------------------------------------------------------------


def business_unit_page(c: sa.Connection, found: Found, part: Cut) -> list[BusinessUnit]:
    """Some business units, in the order of their ids."""
    query = _narrow(sa.select(business_units), business_units, found)
    return [_business_unit(row) for row in cut(c, query, business_units.c.id, part)]


def business_unit_count(c: sa.Connection, found: Found) -> int:
    """How many business units are wanted."""
    return _count(c, _narrow(sa.select(business_units.c.id), business_units, found))


def business_unit(c: sa.Connection, business_unit_id: int) -> BusinessUnit | None:
    """The business unit with this id."""
    row = c.execute(sa.select(business_units).where(business_units.c.id == business_unit_id)).one_or_none()
    return None if row is None else _business_unit(row)


def change_business_unit(c: sa.Connection, business_unit_id: int, *, name: str) -> bool:
    """Rename a business unit; False if another has this name."""
    same = sa.and_(business_units.c.name == name, business_units.c.id != business_unit_id)
    if c.scalar(sa.select(business_units.c.id).where(same)) is not None:
        return False
    c.execute(
        sa.update(business_units)
        .where(business_units.c.id == business_unit_id)
        .values(name=name, slug=slug(name))
    )
    return True


def delete_business_unit(c: sa.Connection, business_unit_id: int) -> bool:
    """Remove a business unit; False if an application belongs to it."""
    inside = sa.select(applications.c.id).where(applications.c.business_unit_id == business_unit_id)
    if c.scalar(inside.limit(1)) is not None:
        return False
    c.execute(sa.delete(business_units).where(business_units.c.id == business_unit_id))
    return True


def create_business_unit(c: sa.Connection, *, name: str, now: datetime) -> int | None:
    """Add a business unit; the id, or None if there is one of this name."""
    if c.scalar(sa.select(business_units.c.id).where(business_units.c.name == name)) is not None:
        return None
    return insert(c, business_units, name=name, slug=slug(name), created=to_micros(now))


def _business_unit(row: sa.Row[Any]) -> BusinessUnit:
    return BusinessUnit(id=row.id, name=row.name, slug=row.slug, created=from_micros(row.created))


# --- applications ------------------------------------------------------------------------

_applications = sa.select(applications, business_units.c.name.label("business_unit")).join(
    business_units, business_units.c.id == applications.c.business_unit_id
)


def application_page(c: sa.Connection, found: Found, part: Cut) -> list[Application]:
    """Some applications, in the order of their ids."""
    query = _narrow(_applications, applications, found, parent=business_units)
    return [_application(row) for row in cut(c, query, applications.c.id, part)]


def application_count(c: sa.Connection, found: Found) -> int:
    """How many applications are wanted."""
    query = _applications.with_only_columns(applications.c.id)
    return _count(c, _narrow(query, applications, found, parent=business_units))


def application(c: sa.Connection, application_id: int) -> Application | None:
    """The application with this id."""
    row = c.execute(_applications.where(applications.c.id == application_id)).one_or_none()
    return None if row is None else _application(row)


def create_application(
    c: sa.Connection, *, business_unit_id: int, name: str, priority: str, now: datetime
) -> int | None:
    """Add an application; the id, or None if its business unit has one of this name."""
    same = sa.and_(applications.c.business_unit_id == business_unit_id, applications.c.name == name)
    if c.scalar(sa.select(applications.c.id).where(same)) is not None:
        return None
    return insert(
        c,
        applications,
        business_unit_id=business_unit_id,
        name=name,
        slug=slug(name),
        priority=priority,
        created=to_micros(now),
    )


def change_application(c: sa.Connection, there: Application, values: Mapping[str, Any]) -> bool:
    """Change columns of an application; False if its business unit has one of this name."""
    name = values.get("name", there.name)
    same = sa.and_(
        applications.c.business_unit_id == values.get("business_unit_id", there.business_unit_id),
        applications.c.name == name,
        applications.c.id != there.id,
    )
    if c.scalar(sa.select(applications.c.id).where(same)) is not None:
        return False
    c.execute(sa.update(applications).where(applications.c.id == there.id).values(**values, slug=slug(name)))
    return True


def delete_application(c: sa.Connection, application_id: int) -> bool:
    """Remove an application; False if a project belongs to it."""
    inside = sa.select(projects.c.id).where(projects.c.application_id == application_id)
    if c.scalar(inside.limit(1)) is not None:
        return False
    c.execute(sa.delete(applications).where(applications.c.id == application_id))
    return True


def _application(row: sa.Row[Any]) -> Application:
    return Application(
        id=row.id,
        name=row.name,
        slug=row.slug,
        priority=row.priority,
        created=from_micros(row.created),
        business_unit_id=row.business_unit_id,
        business_unit=row.business_unit,
    )


# --- projects ----------------------------------------------------------------------------

_projects = (
    sa.select(
        projects,
        applications.c.name.label("application"),
        applications.c.business_unit_id,
        business_units.c.name.label("business_unit"),
    )
    .join(applications, applications.c.id == projects.c.application_id)
    .join(business_units, business_units.c.id == applications.c.business_unit_id)
)


def project_page(c: sa.Connection, found: Found, part: Cut) -> list[Project]:
    """Some projects, in the order of their ids."""
    query = _narrow(_projects, projects, found, parent=applications)
    return [_project(row) for row in cut(c, query, projects.c.id, part)]


def project_count(c: sa.Connection, found: Found) -> int:
    """How many projects are wanted."""
    query = _projects.with_only_columns(projects.c.id)
    return _count(c, _narrow(query, projects, found, parent=applications))


def project(c: sa.Connection, project_id: int) -> Project | None:
    """The project with this id."""
    row = c.execute(_projects.where(projects.c.id == project_id)).one_or_none()
    return None if row is None else _project(row)


def create_project(
    c: sa.Connection, *, application_id: int, name: str, description: str, now: datetime
) -> int | None:
    """Add a project; the id, or None if its application has one of this name."""
    same = sa.and_(projects.c.application_id == application_id, projects.c.name == name)
    if c.scalar(sa.select(projects.c.id).where(same)) is not None:
        return None
    micros = to_micros(now)
    return insert(
        c,
        projects,
        application_id=application_id,
        name=name,
        slug=slug(name),
        description=description,
        created=micros,
        updated=micros,
    )


def change_project(c: sa.Connection, there: Project, values: Mapping[str, Any], *, now: datetime) -> bool:
    """Change columns of a project; False if its application has one of this name."""
    name = values.get("name", there.name)
    same = sa.and_(
        projects.c.application_id == values.get("application_id", there.application_id),
        projects.c.name == name,
        projects.c.id != there.id,
    )
    if c.scalar(sa.select(projects.c.id).where(same)) is not None:
        return False
    c.execute(
        sa.update(projects)
        .where(projects.c.id == there.id)
        .values(**values, slug=slug(name), updated=to_micros(now))
    )
    return True


def delete_project(c: sa.Connection, project_id: int) -> bool:
    """Remove a project with its tasks; False if a connection has, or had, to do with it."""
    used = sa.select(connections.c.id).where(connections.c.project_id == project_id)
    if c.scalar(used.limit(1)) is not None:
        return False
    c.execute(sa.delete(projects).where(projects.c.id == project_id))
    return True


def _project(row: sa.Row[Any]) -> Project:
    return Project(
        id=row.id,
        name=row.name,
        slug=row.slug,
        description=row.description,
        archived=row.archived,
        created=from_micros(row.created),
        updated=from_micros(row.updated),
        application_id=row.application_id,
        application=row.application,
        business_unit_id=row.business_unit_id,
        business_unit=row.business_unit,
    )
