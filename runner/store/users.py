"""Users as the API lists and changes them. Whom runs may not touch is in ``model.protected``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from runner.model.people import address_key
from runner.store.accounts import User, user_of
from runner.store.pages import Cut, contains, cut
from runner.store.schema import approvals, collection_runs, group_users, jobs, notes, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which users a listing is of; None = no matter."""

    email: str | None = None  # in any case
    is_active: bool | None = None
    role: str | None = None
    group_id: int | None = None  # direct members of this group
    search: str | None = None  # words that all stand in the e-mail or the names


def page(c: sa.Connection, wanted: Wanted, part: Cut) -> list[User]:
    """Some of the users wanted, in the order in which they were made."""
    return [user_of(row) for row in cut(c, sa.select(users).where(*_conditions(wanted)), users.c.id, part)]


def count(c: sa.Connection, wanted: Wanted) -> int:
    """How many users are wanted."""
    return c.scalar(sa.select(sa.func.count()).select_from(users).where(*_conditions(wanted))) or 0


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.email is not None:
        found.append(users.c.email_key == address_key(wanted.email))
    if wanted.is_active is not None:
        found.append(users.c.is_active == wanted.is_active)
    if wanted.role is not None:
        found.append(users.c.role == wanted.role)
    if wanted.group_id is not None:
        members = sa.select(group_users.c.user_id).where(group_users.c.group_id == wanted.group_id)
        found.append(users.c.id.in_(members))
    if wanted.search is not None:
        found.append(contains([users.c.email, users.c.first_name, users.c.last_name], wanted.search))
    return found


def get(c: sa.Connection, user_id: int) -> User | None:
    """The user with this id."""
    row = c.execute(sa.select(users).where(users.c.id == user_id)).one_or_none()
    return None if row is None else user_of(row)


def update(c: sa.Connection, user_id: int, values: Mapping[str, Any]) -> None:
    """Change columns of a user."""
    if "email" in values:
        values = {**values, "email_key": address_key(values["email"])}
    if values:
        c.execute(sa.update(users).where(users.c.id == user_id).values(**values))


def in_use(c: sa.Connection, user_id: int) -> bool:
    """Whether the journal tells of this user, who must then be there to be named."""
    columns = (
        jobs.c.user_id,
        jobs.c.triggered_by_id,
        notes.c.user_id,
        approvals.c.user_id,
        collection_runs.c.user_id,
        collection_runs.c.triggered_by_id,
    )
    told = [sa.select(sa.literal(1)).where(column == user_id).limit(1) for column in columns]
    return any(c.execute(query).first() is not None for query in told)


def delete(c: sa.Connection, user_id: int) -> None:
    """Remove a user of whom nothing tells, with memberships and tokens."""
    c.execute(sa.delete(users).where(users.c.id == user_id))


def by_directory_id(c: sa.Connection, directory_id: str) -> int | None:
    """The id of the user whom a directory knows by this."""
    return c.scalar(sa.select(users.c.id).where(users.c.directory_id == directory_id))
