"""Users and groups of a remote server: read for plans, and changed an account at a time.

Who an account is in a directory, no server tells. That is kept here, with the instant at which
the account was made: a number that a restored server hands out again is another account.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from runner.errors import AccessDenied, Refused
from runner.messages import OutcomeRow
from runner.model import people, protected
from runner.model.changes import ChangeState, Op, StoredChange
from runner.model.jobs import Connection
from runner.sdelements.wire import Json, Wire
from runner.sdelements.writing import NOT_MADE, ident_of, outcome

KINDS = frozenset({"user", "membership"})

_ORDINARY = frozenset({"", "ur1", "ur5", "user", "no role"})  # roles; all others stand above
_SINGLY = 20  # accounts that are read one by one in any case
_ROWS = 25  # of a listing that take as long as one account read by itself
_NOT_FOUND = 404

_NOBODY: Json = {"id": 0, "email": ""}  # an account that is yet to be made


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Who an account is in a directory."""

    user: int
    directory_id: str  # "" = nobody any more
    joined: str  # when the account was made, as the server tells it
    own: bool  # by this connection


Ties = Callable[[], Iterable[Tie]]
"""Gives all that is known of a server's accounts."""


class People:
    """The accounts of one remote server, for one run."""

    def __init__(self, wire: Wire, connection: Connection, ties: Ties) -> None:
        self._wire = wire
        self._connection = connection
        self._load_ties = ties
        self._known_ties: dict[int, Tie] | None = None
        self._holders: dict[str, int] = {}  # accounts by who they are, of those that were read
        self._me: Any = None
        self._groups: frozenset[str] | None = None
        self._rows: Iterator[Json] = iter(())
        self._at = -1  # rows of the listing that were told
        self._size = 0  # accounts in the listing, when it was last read
        self._filters = True  # whether the server finds accounts by their addresses, as far as we know

    # --- reading --------------------------------------------------------------------------

    def accounts(self, *, after: int, limit: int) -> tuple[list[Json], int | None]:
        """Accounts past the first ``after``, as the pipe carries them, and the next cursor or None."""
        if after != self._at:
            self._rows = islice(self._wire.rows("users/"), after, None)
        found = [self._account(row) for row in islice(self._rows, limit)]
        self._at = self._size = after + len(found)
        return found, self._at if len(found) == limit else None

    def groups(self) -> list[Json]:
        """All groups, as the pipe carries them."""
        return [
            {"id": str(row["id"]), "name": str(row.get("name", ""))} for row in self._wire.rows("groups/")
        ]

    def mappings(self) -> list[Json]:
        """The connection's group mappings; older servers have them among its params."""
        path = f"connections/ldap/{self._connection.remote_id}/group-mappings/"
        try:
            rows = list(self._wire.rows(path))
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            return []
        return [
            {"ldap_group": str(row["ldap_group"]), "group_id": str(ident_of(row["sde_group"]))}
            for row in rows
        ]

    def _account(self, row: Json) -> Json:
        tie = self._tie_of(row)
        return {
            "id": int(row["id"]),
            "email": str(row["email"]),
            "first_name": str(row.get("first_name") or ""),
            "last_name": str(row.get("last_name") or ""),
            "is_active": bool(row.get("is_active")),
            "elevated": str(ident_of(row.get("role")) or "").casefold() not in _ORDINARY,
            "protected": self._protected(row),
            "directory_id": "" if tie is None else tie.directory_id,
            "owned": tie is not None and tie.own,
            "groups": [str(ident_of(group)) for group in row.get("groups") or []],
        }

    def _protected(self, row: Json) -> str:
        if row.get("is_superuser"):
            return "is a superuser"
        return "is the account that the run works under" if row["id"] == self._own_id() else ""

    def _own_id(self) -> Any:
        """The number of the account whose token this is; -1 if the server doesn't tell."""
        if self._me is None:
            try:
                self._me = self._wire.get("users/me/").get("id", -1)
            except Refused:
                self._me = -1
        return self._me

    def _tie_of(self, row: Json) -> Tie | None:
        tie = self._ties().get(int(row["id"]))
        if tie is None or tie.joined != _joined(row):
            return None
        self._holders[tie.directory_id] = tie.user
        return tie

    def _ties(self) -> dict[int, Tie]:
        """The ties by account; this connection's own come before those of others."""
        if self._known_ties is None:
            found = sorted(self._load_ties(), key=lambda tie: tie.own)
            self._known_ties = {tie.user: tie for tie in found if tie.directory_id}
        return self._known_ties

    # --- writing --------------------------------------------------------------------------

    def apply(self, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
        """Make a batch; the outcome of each, in the batch's order."""
        if not batch:
            return []
        there = self._standing(batch)
        outcomes: dict[int, OutcomeRow] = {}
        for (kind, _), group in groupby(batch, key=lambda row: (row.kind, _subject(row))):
            rows = list(group)
            free = []
            for row in rows:
                why = there.shielded(row)
                if why is None:
                    free.append(row)
                else:
                    outcomes[row.sequence] = outcome(row, ChangeState.SKIPPED, why)
            if kind == "user":
                outcomes |= {row.sequence: self._user(row, there) for row in free}
            elif free:
                outcomes |= {one.sequence: one for one in self._memberships(free, there)}
        return [outcomes[row.sequence] for row in batch]

    def conflicts(self, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
        """Those of a batch that would be left alone."""
        if not batch:
            return []
        there = self._standing(batch)
        found = [(row, there.shielded(row), self._hindrance(row, there)) for row in batch]
        return [
            outcome(row, ChangeState.SKIPPED, shielded) if shielded is not None else _conflict(row, why)
            for row, shielded, why in found
            if shielded is not None or why
        ]

    def _hindrance(self, row: StoredChange, there: "_Standing") -> str:
        """Why a change can't be made any more; "" if nothing hinders it."""
        if row.kind == "membership":
            account, group = there.member(row), people.member(row)[1]
            if account is None or group not in self._all_groups():
                return people.NO_PLACE
            if row.op is Op.REMOVE_MEMBER:
                return "" if group in account["groups"] else people.NO_MEMBER
            return people.MEMBER if group in account["groups"] else ""
        account = _NOBODY if row.op is Op.CREATE else there.find(row)
        if account is None:
            return people.GONE
        return people.differing(account, row) or there.taken(account["id"], people.wanted(row)) or ""

    def _user(self, row: StoredChange, there: "_Standing") -> OutcomeRow:
        why = self._hindrance(row, there)
        if why:
            return _conflict(row, why)
        found, after = there.find(row) or _NOBODY, people.wanted(row)
        if row.op is Op.CREATE and not after["email"]:
            return outcome(row, ChangeState.FAILED, people.NO_EMAIL)
        body = {name: after[name] for name in people.FIELDS if name in after and name != "directory_id"}
        try:
            if row.op is Op.CREATE:
                told = self._wire.send("POST", "users/", body)
            elif body:
                told = self._wire.send("PATCH", f"users/{found['id']}/", body)
            else:
                told = found["told"]  # only who it is in the directory changes, which is kept here
        except (Refused, AccessDenied) as error:
            return outcome(row, ChangeState.FAILED, error.message)
        return self._done(row, self._note(told, after, there))

    def _done(self, row: StoredChange, account: Json) -> OutcomeRow:
        """A change of an account that was made, with what has to be remembered of it."""
        own = account["directory_id"] if account["owned"] else ""
        told = {"id": account["id"], "directory_id": own, "joined": _joined(account["told"])}
        return outcome(row, ChangeState.DONE, assigned=told)

    def _note(self, told: Json, after: Mapping[str, Any], there: "_Standing") -> Json:
        """Remember what an account is now, and who, if the change says so."""
        if "directory_id" in after:
            tie = Tie(
                user=int(told["id"]),
                directory_id=after["directory_id"] or "",
                joined=_joined(told),
                own=True,
            )
            self._ties()[tie.user] = tie
        account = {**self._account(told), "told": told}
        there.note(account)
        return account

    def _memberships(self, rows: Sequence[StoredChange], there: "_Standing") -> list[OutcomeRow]:
        """Changes of one account's memberships, in one request."""
        account = there.member(rows[0])
        groups = list(account["groups"]) if account is not None else []
        made, outcomes = [], []
        for row in rows:
            group, remove = people.member(row)[1], row.op is Op.REMOVE_MEMBER
            why = self._hindrance(row, there)
            if why:
                outcomes.append(_conflict(row, why))
                continue
            (groups.remove if remove else groups.append)(group)
            made.append(row)
        if account is None or not made:
            return outcomes
        try:
            told = self._wire.send("PATCH", f"users/{account['id']}/", {"groups": groups})
        except (Refused, AccessDenied) as error:
            return outcomes + [outcome(row, ChangeState.FAILED, error.message) for row in made]
        self._note(told, {}, there)
        return outcomes + [outcome(row, ChangeState.DONE) for row in made]

    def _all_groups(self) -> frozenset[str]:
        if self._groups is None:
            self._groups = frozenset(group["id"] for group in self.groups())
        return self._groups

    # --- what is there --------------------------------------------------------------------

    def settle(self, rows: Sequence[StoredChange]) -> list[OutcomeRow]:
        """Find out what became of changes that were sent and never answered."""
        if not rows:
            return []
        there = self._standing(rows)
        return [self._settled(row, there) for row in rows]

    def _settled(self, row: StoredChange, there: "_Standing") -> OutcomeRow:
        if row.kind == "membership":
            account = there.member(row)
            made = account is not None and people.member(row)[1] in account["groups"]
            if account is not None and made is not (row.op is Op.REMOVE_MEMBER):
                return outcome(row, ChangeState.DONE)
            return outcome(row, ChangeState.SKIPPED, NOT_MADE)
        account, after = there.find(row), people.wanted(row)
        names = [name for name in people.FIELDS if name in after and name != "directory_id"]
        if account is None or account["protected"] or any(account[name] != after[name] for name in names):
            return outcome(row, ChangeState.SKIPPED, NOT_MADE)
        return self._done(row, self._note(account["told"], after, there))

    def _standing(self, batch: Sequence[StoredChange]) -> "_Standing":
        """The accounts that a batch is about, and those that would be in their way, as they stand."""
        told = [values for row in batch for values in (row.before, row.after) if values]
        emails = {protected.ACCOUNT_OF[row.kind](row.key) for row in batch}
        emails |= {str(values["email"]) for values in told if values.get("email")}
        numbers = {people.number_of(row) for row in batch if row.kind == "user"}
        numbers |= {values["user"] for values in told if isinstance(values.get("user"), int)}
        there = _Standing(self._holders)
        for row in self._some(emails - {""}, numbers - {0}):
            there.note({**self._account(row), "told": row})
        return there

    def _some(self, emails: set[str], numbers: set[int]) -> Iterable[Json]:
        """The accounts of these, and some others; singly or all that there are, whichever is quicker."""
        few = len(emails) + len(numbers) <= max(_SINGLY, self._size / _ROWS)
        found = self._singly(emails, numbers) if few and self._filters else None
        return self._among_all(emails, numbers) if found is None else found

    def _among_all(self, emails: set[str], numbers: set[int]) -> Iterator[Json]:
        wanted = set(map(people.address_key, emails))
        self._size = 0
        for row in self._wire.rows("users/"):
            self._size += 1
            if people.address_key(str(row["email"])) in wanted or row["id"] in numbers:
                yield row

    def _singly(self, emails: set[str], numbers: set[int]) -> list[Json] | None:
        """The same one by one; None if the server doesn't find accounts by their addresses."""
        found = []
        for email in sorted(emails):
            # Not every server knows the case of all scripts: asked for is what was written.
            for row in self._wire.rows("users/", email=email):
                if people.address_key(str(row["email"])) != people.address_key(email):
                    self._filters = False
                    return None
                found.append(row)
        for number in sorted(numbers):
            try:
                found.append(self._wire.get(f"users/{number}/"))
            except Refused as error:
                if error.status != _NOT_FOUND:
                    raise  # else it is gone, and told as such
        return found


class _Standing:
    """Accounts by all that names them."""

    def __init__(self, holders: Mapping[str, int]) -> None:
        self._by_id: dict[int, Json] = {}
        self._by_email: dict[str, int] = {}
        self._holders = holders

    def note(self, account: Json) -> None:
        """Remember an account as it is now."""
        before = self._by_id.get(account["id"])
        if before is not None:
            self._by_email.pop(people.address_key(before["email"]), None)
        self._by_id[account["id"]] = account
        self._by_email[people.address_key(account["email"])] = account["id"]

    def find(self, change: StoredChange) -> Json | None:
        """The account that a change is about: by its number if that is known, else by its e-mail."""
        number = people.number_of(change) or self._by_email.get(people.address_key(change.key), 0)
        return self._by_id.get(number)

    def member(self, change: StoredChange) -> Json | None:
        """The account that a membership is about."""
        user, _ = people.member(change)
        number = user if isinstance(user, int) else self._by_email.get(user, 0)
        return self._by_id.get(number)

    def shielded(self, change: StoredChange) -> str | None:
        """Why no run may change this account; None if one may."""
        named = self._by_id.get(self._by_email.get(str(protected.account_of(change.kind, change.key)), 0))
        meant = self.member(change) if change.kind == "membership" else self.find(change)
        for account in (named, meant):
            if account is not None and account["protected"]:
                why = protected.SUPERUSER if account["told"].get("is_superuser") else protected.OWN
                return why.format(email=account["email"])
        return None

    def taken(self, number: int, after: Mapping[str, Any]) -> str | None:
        """What of ``after`` belongs to another account, as a sentence; None if nothing does."""
        email = str(after.get("email") or "")
        if self._by_email.get(people.address_key(email), number or 0) != (number or 0):
            return people.has_email(email)
        identity = after.get("directory_id") or ""
        holder = self._holders.get(identity, number) if identity else number
        return people.OTHERS_PERSON if holder != number else None


def _subject(row: StoredChange) -> str:
    """Whom a change is about, for those that go in one request."""
    return str(protected.account_of(row.kind, row.key))


def _joined(row: Json) -> str:
    return str(row.get("date_joined") or "")


def _conflict(row: StoredChange, why: str) -> OutcomeRow:
    return outcome(row, ChangeState.SKIPPED, f"conflict: {why}")
