"""Users, the service account, and tokens. Of a token only its SHA-256 is kept."""

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from runner.model.people import address_key
from runner.store.pages import Cut, cut
from runner.store.prepared import Prepared
from runner.store.rows import among, insert, listed
from runner.store.schema import tokens, users
from runner.store.values import from_json, from_micros, maybe_from_micros, to_json, to_micros


class Scope(StrEnum):
    """What a token may do."""

    READ = "read"  # look at everything but params
    EDIT_ALM = "edit-alm"  # change issue trackers' connections, and see their params
    EDIT_VERIFICATION = "edit-verification"  # the same for scanners
    EDIT_LDAP = "edit-ldap"  # the same for directories
    RUN = "run"  # start, cancel and retry jobs, and send reports
    VERIFY = "verify"  # set task statuses, write notes
    AGENT = "agent"  # run connections elsewhere and report their results
    ADMIN = "admin"  # everything else; counts only while its user is an administrator


class Role(StrEnum):
    """What a user is, by the ids that the API uses."""

    USER = "UR1"
    ADMINISTRATOR = "UR4"
    NONE = "UR5"


ROLE_NAMES = {Role.USER: "User", Role.ADMINISTRATOR: "Administrator", Role.NONE: "No Role"}

SERVICE_EMAIL = "no-reply+runner@localhost"
"""The account under which scheduled runs, agents and the local administrator act."""

USED_EVERY = timedelta(minutes=1)
"""A token's last use is written at most this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody, or the service account."""

    id: int
    email: str
    first_name: str
    last_name: str
    role: str
    is_active: bool
    is_superuser: bool
    is_service: bool
    date_joined: datetime
    last_login: datetime | None
    directory_id: str | None = None

    @property
    def administers(self) -> bool:
        """Whether tokens of this user may be an administrator's."""
        return self.is_superuser or self.role == Role.ADMINISTRATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a token that was shown, and what it allows."""

    token_id: int
    user_id: int
    email: str
    administers: bool
    is_superuser: bool
    scopes: frozenset[Scope]
    dead: str  # why the token isn't good any more; "" = it is good
    use_is_old: bool  # its last use should be written again
    expires: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it may be shown: without itself."""

    id: int
    user: str
    scopes: list[str]
    created: datetime
    expires: datetime | None
    last_used: datetime | None


def hash_token(token: str) -> str:
    """What is kept of a token. It has 256 random bits, so a plain hash can't be searched."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


_holder = Prepared(
    sa.select(
        tokens.c.id,
        tokens.c.user_id,
        tokens.c.scopes,
        tokens.c.expires,
        tokens.c.last_used,
        users.c.email,
        users.c.role,
        users.c.is_active,
        users.c.is_superuser,
    )
    .join(users, users.c.id == tokens.c.user_id)
    .where(tokens.c.hash == sa.bindparam("hash"))
)


def holder(c: sa.Connection, *, token_hash: str, now: datetime) -> Holder | None:
    """Find who holds the token with this hash; None if there is no such token."""
    rows = _holder.rows(c, {"hash": token_hash})
    if not rows:
        return None
    row = rows[0]
    micros = to_micros(now)
    dead = ""
    if not row.is_active:
        dead = "User inactive or deleted."
    elif row.expires is not None and row.expires <= micros:
        dead = "Token has expired."
    known = {scope.value for scope in Scope}
    return Holder(
        token_id=row.id,
        user_id=row.user_id,
        email=row.email,
        administers=bool(row.is_superuser) or row.role == Role.ADMINISTRATOR,
        is_superuser=bool(row.is_superuser),
        scopes=frozenset(Scope(scope) for scope in from_json(row.scopes) if scope in known),
        dead=dead,
        use_is_old=row.last_used is None or row.last_used <= to_micros(now - USED_EVERY),
        expires=maybe_from_micros(row.expires),
    )


def used(c: sa.Connection, *, token_id: int, now: datetime) -> None:
    """Write that a token was used, unless that was written a moment ago."""
    old = sa.or_(tokens.c.last_used.is_(None), tokens.c.last_used <= to_micros(now - USED_EVERY))
    c.execute(sa.update(tokens).where(tokens.c.id == token_id, old).values(last_used=to_micros(now)))


def create_token(
    c: sa.Connection, *, user_id: int, scopes: Iterable[Scope], expires: datetime | None, now: datetime
) -> tuple[int, str]:
    """Make a token; its id and itself. It can't be had again."""
    token = secrets.token_urlsafe(32)
    made = insert(
        c,
        tokens,
        user_id=user_id,
        hash=hash_token(token),
        scopes=to_json(sorted(scope.value for scope in scopes)),
        created=to_micros(now),
        expires=None if expires is None else to_micros(expires),
    )
    return made, token


def token_page(c: sa.Connection, cut_at: Cut) -> list[Token]:
    """A page of tokens, in the order in which they were made."""
    query = sa.select(tokens, users.c.email).join(users, users.c.id == tokens.c.user_id)
    return [
        Token(
            id=row.id,
            user=row.email,
            scopes=from_json(row.scopes),
            created=from_micros(row.created),
            expires=maybe_from_micros(row.expires),
            last_used=maybe_from_micros(row.last_used),
        )
        for row in cut(c, query, tokens.c.id, cut_at)
    ]


def token_count(c: sa.Connection) -> int:
    """How many tokens there are."""
    return c.scalar(sa.select(sa.func.count()).select_from(tokens)) or 0


def delete_token(c: sa.Connection, token_id: int) -> bool:
    """Revoke a token; False if there is none with this id."""
    return bool(c.execute(sa.delete(tokens).where(tokens.c.id == token_id)).rowcount)


def create_user(
    c: sa.Connection,
    *,
    email: str,
    now: datetime,
    role: Role = Role.NONE,
    is_superuser: bool = False,
    first_name: str = "",
    last_name: str = "",
) -> int:
    """Add a user; the id."""
    return insert(
        c,
        users,
        email=email,
        email_key=address_key(email),
        first_name=first_name,
        last_name=last_name,
        role=role.value,
        is_superuser=is_superuser,
        date_joined=to_micros(now),
    )


def service_account(c: sa.Connection, *, now: datetime) -> int:
    """The id of the service account, which is made if it isn't there. Nobody can log in as it."""
    found = find_service_account(c)
    if found is not None:
        return found
    return insert(
        c,
        users,
        email=SERVICE_EMAIL,
        email_key=address_key(SERVICE_EMAIL),
        first_name="Integration",
        last_name="Runner",
        role=Role.NONE.value,
        is_active=False,
        is_superuser=True,
        is_service=True,
        date_joined=to_micros(now),
    )


def find_service_account(c: sa.Connection) -> int | None:
    """The id of the service account, or None before it is made."""
    return c.scalar(sa.select(users.c.id).where(users.c.is_service).limit(1))


def user_by_email(c: sa.Connection, email: str) -> User | None:
    """Find a user by e-mail, in any case."""
    row = c.execute(sa.select(users).where(users.c.email_key == address_key(email))).one_or_none()
    return None if row is None else user_of(row)


def ids_by_email(c: sa.Connection, emails: Iterable[str]) -> dict[str, int]:
    """The ids of users by what their e-mails are compared by, in whatever case ``emails`` are."""
    wanted = listed({address_key(email) for email in emails})
    return {row.email_key: row.id for row in _ids_by_email.rows(c, {"b_list": wanted})}


_ids_by_email = Prepared(sa.select(users.c.id, users.c.email_key).where(among(users.c.email_key, "b_list")))


def users_by_id(c: sa.Connection, ids: Collection[int]) -> dict[int, User]:
    """Some users by their ids."""
    if not ids:
        return {}
    rows = c.execute(sa.select(users).where(users.c.id.in_(sorted(ids))))
    return {row.id: user_of(row) for row in rows}


def user_of(row: sa.Row[Any]) -> User:
    """The user in a row of their table."""
    return User(
        id=row.id,
        email=row.email,
        first_name=row.first_name,
        last_name=row.last_name,
        role=row.role,
        is_active=row.is_active,
        is_superuser=row.is_superuser,
        is_service=row.is_service,
        date_joined=from_micros(row.date_joined),
        last_login=maybe_from_micros(row.last_login),
        directory_id=row.directory_id,
    )
