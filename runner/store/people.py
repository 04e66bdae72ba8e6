"""Users and memberships in a run: what connectors read of them, and a plan's writes.

An account is never deleted by a run: it is deactivated, and its tokens are dead from then on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from runner.messages import OutcomeRow
from runner.model import people, protected
from runner.model.changes import Op, StoredChange
from runner.store import accounts
from runner.store.accounts import Role
from runner.store.prepared import Prepared
from runner.store.rows import among, listed
from runner.store.schema import group_mappings, group_users, groups, users
from runner.store.writing import Writing, conflict, done, failed

_ORDINARY = {Role.NONE.value, Role.USER.value}


def group_name(group_id: int) -> str:
    """A group's id as the API spells it."""
    return f"G{group_id}"


def _number(group: Any) -> int:
    """The id that a name as "G1" stands for; 0 if it stands for none."""
    digits = str(group).removeprefix("G")
    return int(digits) if digits.isdecimal() else 0


# --- reading -----------------------------------------------------------------------------


def untouchable(c: sa.Connection, author: int | None) -> dict[str, str]:
    """Why no run changes an account, as a sentence, by what its e-mail is compared by."""
    found = {}
    for row in [*_shielded.rows(c, {}), *_own.rows(c, {"b_author": author})]:
        why = protected.SUPERUSER if row.is_superuser else protected.OWN
        found[row.email_key] = (protected.SERVICE if row.is_service else why).format(email=row.email)
    return found


_WHO = sa.select(users.c.email, users.c.email_key, users.c.is_superuser, users.c.is_service)
SHIELDED = _WHO.where(sa.text("(is_superuser OR is_service)"))
"""In the words of the partial index, which SQLite takes for no others."""

_shielded = Prepared(SHIELDED)
_own = Prepared(_WHO.where(users.c.id == sa.bindparam("b_author")))


_account_page = Prepared(
    sa.select(
        users.c.id,
        users.c.email,
        users.c.first_name,
        users.c.last_name,
        users.c.is_active,
        users.c.role,
        users.c.is_superuser,
        users.c.is_service,
        users.c.directory_id,
        users.c.directory_connection_id,
    )
    .where(users.c.id > sa.bindparam("b_after"))
    .order_by(users.c.id)
    .limit(sa.bindparam("b_limit"))
)
_member_page = Prepared(
    sa.select(group_users.c.user_id, group_users.c.group_id)
    .where(group_users.c.user_id > sa.bindparam("b_after"), group_users.c.user_id <= sa.bindparam("b_last"))
    .order_by(group_users.c.group_id)
)


def account_page(
    c: sa.Connection, *, connection_id: int, author: int | None, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Users past the id ``after``, as the pipe carries them; the next cursor or None."""
    rows = _account_page.rows(c, {"b_after": after, "b_limit": limit})
    if not rows:
        return [], None
    last = rows[-1].id
    members: dict[int, list[str]] = {}
    for user_id, group_id in _member_page.rows(c, {"b_after": after, "b_last": last}):
        members.setdefault(user_id, []).append(group_name(group_id))
    page = [
        {
            "id": row.id,
            "email": row.email,
            "first_name": row.first_name,
            "last_name": row.last_name,
            "is_active": bool(row.is_active),
            "elevated": row.role not in _ORDINARY,
            "protected": _protected(row, author),
            "directory_id": row.directory_id or "",
            "owned": row.directory_connection_id == connection_id,
            "groups": members.get(row.id, []),
        }
        for row in rows
    ]
    return page, last if len(rows) == limit else None


def _protected(row: Any, author: int | None) -> str:
    if row.is_service:
        return "is the service account"
    if row.is_superuser:
        return "is a superuser"
    return "is the account that the run works under" if row.id == author else ""


def all_groups(c: sa.Connection) -> list[dict[str, Any]]:
    """All groups, as the pipe carries them."""
    rows = c.execute(sa.select(groups.c.id, groups.c.name).order_by(groups.c.id))
    return [{"id": group_name(row.id), "name": row.name} for row in rows]


def mappings_of(c: sa.Connection, connection_id: int) -> list[dict[str, Any]]:
    """A connection's group mappings, as the pipe carries them."""
    rows = c.execute(
        sa.select(group_mappings)
        .where(group_mappings.c.connection_id == connection_id)
        .order_by(group_mappings.c.id)
    )
    return [{"ldap_group": row.ldap_group, "group_id": group_name(row.group_id)} for row in rows]


# --- users -------------------------------------------------------------------------------

_WRITTEN = (*people.FIELDS, "email_key", "directory_connection_id")
_COLUMNS = ("id", *_WRITTEN)
_ACCOUNTS = sa.select(*(users.c[name] for name in _COLUMNS))
# A statement each: of three conditions in one, neither database would use three indexes.
_by_email = Prepared(_ACCOUNTS.where(among(users.c.email_key, "b_list")))
_by_id = Prepared(_ACCOUNTS.where(among(users.c.id, "b_list")))
_by_identity = Prepared(_ACCOUNTS.where(among(users.c.directory_id, "b_list")))


def _users(w: Writing, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
    there = _People(w, batch)
    outcomes: list[OutcomeRow] = []
    made: list[dict[str, Any]] = []
    changed: dict[int, dict[str, Any]] = {}
    for change in batch:
        row: dict[str, Any] | None = {"id": 0, "email": ""}
        if change.op is not Op.CREATE:
            row = there.find(change)
        after = people.wanted(change)
        why = people.GONE if row is None else people.differing(row, change) or there.taken(row["id"], after)
        if row is None or why is not None:
            outcomes.append(conflict(change, why or people.GONE))
        elif change.op is Op.CREATE and not after["email"]:
            outcomes.append(failed(change, people.NO_EMAIL))
        else:
            row |= {name: after[name] for name in people.FIELDS if name in after}
            row["email_key"] = people.address_key(row["email"])
            if "directory_id" in after:
                row["directory_connection_id"] = w.connection_id if after["directory_id"] else None
            there.note(row)
            if row["id"]:
                changed[row["id"]] = row
            else:
                made.append({"b_date_joined": w.micros, **_bound(row)})
            outcomes.append(done(change))
    _insert_user.each(w.c, made)
    _update_user.each(w.c, [{"b_id": number, **_bound(row)} for number, row in changed.items()])
    return outcomes


def _bound(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"b_{name}": row[name] for name in _WRITTEN}


class _People:
    """The accounts that a batch is about, and those that would be in their way."""

    def __init__(self, w: Writing, batch: Sequence[StoredChange]) -> None:
        told = [values for change in batch for values in (change.before, change.after) if values]
        emails = {people.address_key(change.key) for change in batch}
        emails |= {people.address_key(str(values.get("email") or "")) for values in told}
        ids = {int(values.get("id") or 0) for values in told}
        identities = {str(values.get("directory_id") or "") for values in told}
        self._by_id: dict[int, dict[str, Any]] = {}
        self._by_email: dict[str, int] = {}
        self._email: dict[int, str] = {}
        self._by_identity: dict[str, int] = {}
        for query, wanted in (
            (_by_email, emails - {""}),
            (_by_id, ids - {0}),
            (_by_identity, identities - {""}),
        ):
            for row in query.rows(w.c, {"b_list": listed(wanted)}) if wanted else ():
                if row.id not in self._by_id:
                    self.note({**row._asdict(), "is_active": bool(row.is_active)})

    def note(self, row: dict[str, Any]) -> None:
        """Remember an account as it is now; one that is yet to be made has the id 0."""
        number = row["id"]
        if number:
            self._by_id[number] = row
            self._by_email.pop(self._email.get(number, ""), None)
            self._email[number] = row["email_key"]
        self._by_email[row["email_key"]] = number
        if row["directory_id"]:
            self._by_identity[row["directory_id"]] = number

    def find(self, change: StoredChange) -> dict[str, Any] | None:
        """The account that a change is about: by its id if that is known, else by its e-mail."""
        number = people.number_of(change)
        if number:
            return self._by_id.get(number)
        return self._by_id.get(self._by_email.get(people.address_key(change.key), 0))

    def taken(self, number: int, after: Mapping[str, Any]) -> str | None:
        """What of ``after`` belongs to another account, as a sentence; None if nothing does."""
        email = people.address_key(str(after.get("email") or ""))
        if email in self._by_email and (self._by_email[email] != number or not number):
            return people.has_email(after["email"])
        identity = after.get("directory_id") or ""
        if identity in self._by_identity and (self._by_identity[identity] != number or not number):
            return people.OTHERS_PERSON
        return None


_update_user = Prepared(
    sa.update(users)
    .where(users.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in _WRITTEN})
)
_insert_user = Prepared(
    sa.insert(users).values({name: sa.bindparam(f"b_{name}") for name in (*_WRITTEN, "date_joined")})
)


# --- memberships -------------------------------------------------------------------------


def _memberships(w: Writing, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
    """Memberships by account and group; ``user`` is an id, or the e-mail of an account just made."""
    wanted = [_wanted(change) for change in batch]
    numbers = _numbers(w, {user for user, _ in wanted})
    pairs = [(numbers.get(user, 0), group) for user, group in wanted]
    exist = set(w.c.scalars(sa.select(groups.c.id).where(groups.c.id.in_({group for _, group in pairs}))))
    there = {
        (row.user_id, row.group_id) for row in _groups_of.rows(w.c, {"b_list": listed(numbers.values())})
    }
    outcomes: list[OutcomeRow] = []
    added: list[dict[str, Any]] = []
    removed: list[dict[str, Any]] = []
    for change, pair in zip(batch, pairs, strict=True):
        remove = change.op is Op.REMOVE_MEMBER
        if not pair[0] or pair[1] not in exist:
            outcomes.append(conflict(change, people.NO_PLACE))
        elif remove and pair not in there:
            outcomes.append(conflict(change, people.NO_MEMBER))
        elif not remove and pair in there:
            outcomes.append(conflict(change, people.MEMBER))
        else:
            (removed if remove else added).append({"b_user": pair[0], "b_group": pair[1]})
            (there.discard if remove else there.add)(pair)
            outcomes.append(done(change))
    # A batch adds or removes, never both: what is destructive comes after all else.
    _add_member.each(w.c, added)
    _remove_member.each(w.c, removed)
    return outcomes


def _wanted(change: StoredChange) -> tuple[int | str, int]:
    user, group = people.member(change)
    return user, _number(group)


def _numbers(w: Writing, named: set[int | str]) -> dict[int | str, int]:
    """Ids of the accounts that are there, by what names them: an id, or what an e-mail is compared by."""
    ids = listed(name for name in named if isinstance(name, int))
    emails = (name for name in named if isinstance(name, str))
    found: dict[int | str, int] = {row.id: row.id for row in _ids.rows(w.c, {"b_list": ids})}
    return found | accounts.ids_by_email(w.c, emails)


_ids = Prepared(sa.select(users.c.id).where(among(users.c.id, "b_list")))
_groups_of = Prepared(sa.select(group_users).where(among(group_users.c.user_id, "b_list")))
_add_member = Prepared(
    sa.insert(group_users).values(user_id=sa.bindparam("b_user"), group_id=sa.bindparam("b_group"))
)
_remove_member = Prepared(
    sa.delete(group_users).where(
        group_users.c.user_id == sa.bindparam("b_user"), group_users.c.group_id == sa.bindparam("b_group")
    )
)


HANDLERS: Mapping[str, Callable[[Writing, Sequence[StoredChange]], list[OutcomeRow]]] = {
    "user": _users,
    "membership": _memberships,
}
"""Who writes which kind of change."""
