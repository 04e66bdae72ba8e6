"""What follows from both sides: pure, so that each rule can be tried without a directory.

Who somebody is goes by the directory's identity, and by the mail address only where an
account isn't tied to anybody yet. Where that is doubtful nothing is done, and it is said.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.connectors.ldap_sync.source import Person
from runner.model.changes import Change, Complete, Op, constructive, destructive
from runner.model.people import address_key
from runner.model.platform import Account

_ADDRESS = re.compile(r"^[^@\s\x00-\x1f<>\",;]+@[^@\s\x00-\x1f<>\",;]+$")
_LONGEST_ADDRESS = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the connection wants done, and on what it rests."""

    group_ids: Sequence[frozenset[str]]  # of ours, by the place of the directory's group
    deactivate_stale: bool
    deactivate_groupless: bool
    users: Complete
    members: Complete

    @property
    def managed(self) -> frozenset[str]:
        """All groups of ours whose members the directory decides on."""
        return frozenset(group for ids in self.group_ids for group in ids)


@dataclass
class Decisions:
    """The changes of one run; ``reports`` are the people about whom nothing could be decided."""

    accounts: Sequence[Account]
    people: Mapping[str, Person]
    absent: Mapping[str, bool]  # in the directory still, in no mapped group: may they log in?
    rules: Rules
    considered: Collection[str] | None = None  # e-mails a run is limited to, as they are compared
    reports: list[str] = field(default_factory=list)

    def changes(self) -> Iterator[Change]:
        """All changes, those of accounts before those of memberships."""
        self._by_mail = {address_key(account.email): account for account in self.accounts}
        self._accounts: Mapping[str, int] = {}
        if len(self._by_mail) < len(self.accounts):  # a server that minds the case of an address
            self._accounts = Counter(address_key(account.email) for account in self.accounts)
        self._mails: dict[str, int] = {}
        for person in self.people.values():
            mail = address_key(person.email)
            self._mails[mail] = self._mails.get(mail, 0) + 1
        tied = {account.directory_id: account for account in self.accounts if account.directory_id}
        # Kind after kind: the platform writes what lies together by few statements.
        self._members: list[tuple[Person | None, Account | None, str]] = []
        for person in self.people.values():
            account = tied.get(person.identity)
            yield from self._known(person, account) if account else self._new(person)
        for account in self.accounts:
            if account.directory_id and account.directory_id not in self.people:
                yield from self._gone(account)
        managed = self.rules.managed
        for someone, there, email in self._members:
            yield from self._memberships(someone, there, email, managed)

    # --- those who are there -----------------------------------------------------------------

    def _known(self, person: Person, account: Account) -> Iterator[Change]:
        if not self._concerns(account.email) and not self._concerns(person.email):
            return
        if account.protected:
            return  # what it is in the directory doesn't matter
        email = account.email
        if account.owned:
            email = self._address(person, account)
            yield from self._updates(person, account, email)
        self._members.append((person, account, email))

    def _address(self, person: Person, account: Account) -> str:
        """The address that the account is to have: the directory's, if that can be."""
        wanted, key = person.email, address_key(person.email)
        if not wanted or key == address_key(account.email):
            return account.email
        if not is_address(wanted):
            self._report(f"{account.email}: {wanted!r} is no e-mail address, so the account keeps its own")
        elif self._mails[key] > 1 or key in self._by_mail:
            self._report(f"{account.email}: somebody else has {wanted} as well, so the account keeps its own")
        else:
            return wanted
        return account.email

    def _updates(self, person: Person, account: Account, email: str) -> Iterator[Change]:
        before: dict[str, object] = {}
        after: dict[str, object] = {}
        names = {"email": email, "first_name": person.first_name, "last_name": person.last_name}
        for name, value in names.items():
            if value and value != getattr(account, name):
                before[name], after[name] = getattr(account, name), value
        if after:
            yield self._change(Op.UPDATE, account, before, after)
        if not account.is_active:
            yield self._change(Op.ACTIVATE, account, {"is_active": False}, {"is_active": True}, email=email)

    def _change(
        self,
        op: Op,
        account: Account,
        before: Mapping[str, object],
        after: Mapping[str, object],
        *,
        email: str = "",
    ) -> Change:
        number = {"id": account.id}
        return constructive(
            op,
            kind="user",
            key=email or account.email,
            subject=account.email,
            before={**number, **before},
            after={**number, **after},
        )

    def _new(self, person: Person) -> Iterator[Change]:
        if not self._concerns(person.email):
            return
        if not is_address(person.email):
            self._report(
                f"{person.name}: has no e-mail address"
                if not person.email
                else f"{person.name!r} is no e-mail address"
            )
            return
        key = address_key(person.email)
        if self._mails[key] > 1:
            self._report(f"{person.email}: several people in the directory have this address")
            return
        if self._accounts.get(key, 1) > 1:
            self._report(f"{person.email}: several accounts have this address")
            return
        account = self._by_mail.get(key)
        if account is not None:
            yield from self._tie(person, account)
            return
        after = {
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "is_active": True,
            "directory_id": person.identity,
        }
        yield constructive(Op.CREATE, kind="user", key=person.email, subject=person.email, after=after)
        self._members.append((person, None, person.email))

    def _tie(self, person: Person, account: Account) -> Iterator[Change]:
        """Take over an account by its address alone, where nobody could gain anything by it."""
        why = ""
        if account.protected:
            why = f"the account with this address {account.protected}"
        elif account.directory_id:
            why = "the account with this address belongs to another person of the directory"
        elif account.elevated:
            why = "the account with this address has a role above User; tie them by hand"
        if why:
            self._report(f"{account.email}: {why}")
            return
        before: dict[str, object] = {"directory_id": None}
        after: dict[str, object] = {"directory_id": person.identity}
        for name, value in {"first_name": person.first_name, "last_name": person.last_name}.items():
            if value and value != getattr(account, name):
                before[name], after[name] = getattr(account, name), value
        yield self._change(Op.UPDATE, account, before, after)
        if not account.is_active:
            yield self._change(Op.ACTIVATE, account, {"is_active": False}, {"is_active": True})
        self._members.append((person, account, account.email))

    # --- memberships -------------------------------------------------------------------------

    def _wanted(self, person: Person) -> set[str]:
        return {
            group
            for place, ids in enumerate(self.rules.group_ids)
            if person.groups >> place & 1
            for group in ids
        }

    def _memberships(
        self, person: Person | None, account: Account | None, email: str, managed: frozenset[str]
    ) -> Iterator[Change]:
        wanted: set[str] = set() if person is None else self._wanted(person)
        there: frozenset[str] = frozenset()
        if account is not None:
            there = managed.intersection(account.groups)
        user = email if account is None else account.id  # one just made has no id yet
        for group in sorted(wanted - there):
            yield self._member(Op.ADD_MEMBER, email, group, user)
        for group in sorted(there - wanted):
            yield self._member(Op.REMOVE_MEMBER, email, group, user)

    def _member(self, op: Op, email: str, group: str, user: int | str) -> Change:
        values = {"user": user, "group": group}
        kind, key, subject = "membership", f"{email} {group}", f"{email} in {group}"
        if op is Op.ADD_MEMBER:
            return constructive(op, kind=kind, key=key, subject=subject, after=values)
        proof = self.rules.members
        return destructive(op, kind=kind, key=key, subject=subject, before=values, after=None, proof=proof)

    # --- those who aren't ----------------------------------------------------------------------

    def _gone(self, account: Account) -> Iterator[Change]:
        """Somebody who is in no mapped group: left the groups, or left altogether."""
        if account.protected or not account.is_active or not self._concerns(account.email):
            return
        here = self.absent.get(account.directory_id)
        if here is None and not account.owned:
            return  # of another directory, for all we know
        deactivate = self.rules.deactivate_groupless if here else self.rules.deactivate_stale
        if deactivate and account.owned:
            # Memberships stay with an account that can't log in: should it return, they are compared anew.
            number = {"id": account.id}
            yield destructive(
                Op.DEACTIVATE,
                kind="user",
                key=account.email,
                subject=account.email,
                before={**number, "is_active": True},
                after={**number, "is_active": False},
                proof=self.rules.users,
                why="is in no mapped group" if here else "is gone from the directory, or disabled there",
            )
            return
        self._members.append((None, account, account.email))

    # --- small things --------------------------------------------------------------------------

    def _concerns(self, email: str) -> bool:
        return self.considered is None or address_key(email) in self.considered

    def _report(self, sentence: str) -> None:
        self.reports.append(sentence)


def is_address(text: str) -> bool:
    """Whether this can be an e-mail address."""
    return bool(_ADDRESS.match(text)) and len(text) <= _LONGEST_ADDRESS
