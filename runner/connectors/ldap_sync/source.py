"""The directory's side: who is in which mapped group, read whole or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runner.connectors.ldap_sync.params import LdapParams
from runner.directory import ad, groups, names
from runner.directory.groups import Group
from runner.directory.port import Directory, Entry, Scope
from runner.errors import ConfigRejected

PERSON = "(|(objectClass=person)(objectClass=inetOrgPerson)(objectClass=user))"
_AD_PERSON = "(objectCategory=person)(objectClass=user)"
_FEW = 200
"""Members up to this number are read one by one instead of looking through all people."""

_AT_ONCE = 50
"""Identities in one filter."""


@dataclass(slots=True)
class Person:
    """Somebody in a mapped group."""

    identity: str
    name: str  # for messages: e-mail, or DN
    email: str  # "" = has none
    first_name: str
    last_name: str
    groups: int  # a bit for each mapped group, by its place in the list


class Source:
    """The directory, seen through a connection's parameters."""

    def __init__(self, directory: Directory, params: LdapParams) -> None:
        self._directory = directory
        self._params = params
        self.is_ad = ad.is_active_directory(directory)
        schema = params.user_schema
        wanted = [schema.first_name, schema.last_name, schema.email, schema.full_name, "uid", *ad.IDENTITY]
        self._attributes = list(dict.fromkeys([*wanted, "userAccountControl"] if self.is_ad else wanted))
        if directory.read(params.base_dn, ["objectClass"]) is None:
            msg = f"There is nothing at {params.base_dn!r}, where people are to be. Correct base_dn."
            raise ConfigRejected(msg)
        if ad.IN_CHAIN in params.group_member_query and not self.is_ad:
            msg = (
                f"group_member_query uses the rule {ad.IN_CHAIN}, which this server doesn't know: it would "
                "find nobody and say nothing. Leave group_member_query empty."
            )
            raise ConfigRejected(msg)

    def find_groups(self, wanted: Iterable[str]) -> list[Group]:
        """The mapped groups, in the order of their names given; all have to be there."""
        base = self._params.group_base_dn
        return [groups.find(self._directory, base, name, active_directory=self.is_ad) for name in wanted]

    def people(self, mapped: Sequence[Group], *, extra: str = "") -> dict[str, Person]:
        """All who are in one of the groups and may log in, by identity. ``extra`` is one more condition."""
        found: dict[str, Person] = {}
        for entry, bits in self._entries(mapped, extra):
            if ad.is_disabled(entry):
                continue
            identity = ad.identity(entry)
            if not identity:
                msg = (
                    f"{entry.dn} shows neither objectGUID nor entryUUID. Let the account of bind_dn read it."
                )
                raise ConfigRejected(msg)
            known = found.get(identity)
            if known is None:
                found[identity] = self._person(entry, identity, bits)
            else:
                known.groups |= bits
        return found

    def states(self, identities: Sequence[str]) -> dict[str, bool]:
        """Those of the identities that are in the directory, and whether they may log in there."""
        found: dict[str, bool] = {}
        for start in range(0, len(identities), _AT_ONCE):
            some = "".join(map(ad.identity_filter, identities[start : start + _AT_ONCE]))
            wanted = [*ad.IDENTITY, "userAccountControl"]
            for entry in self._directory.search(self._params.base_dn, f"(|{some})", wanted):
                found[ad.identity(entry)] = not ad.is_disabled(entry)
        return found

    def _person(self, entry: Entry, identity: str, bits: int) -> Person:
        schema = self._params.user_schema
        # Values of an attribute have no order: the choice has to be the same each time.
        email = min(entry.texts(schema.email), default="").strip()
        first, last = entry.text(schema.first_name).strip(), entry.text(schema.last_name).strip()
        if not first or not last:
            whole = entry.text(schema.full_name).split()
            first, last = first or " ".join(whole[:-1]), last or " ".join(whole[-1:])
        return Person(identity, email or entry.dn, email, first, last, bits)

    # --- three ways to find members --------------------------------------------------------

    def _entries(self, mapped: Sequence[Group], extra: str) -> Iterator[tuple[Entry, int]]:
        if self._params.group_member_query:
            for place, group in enumerate(mapped):
                dn = names.escape_filter(group.dn)
                query = self._params.group_member_query.replace("%s", dn)
                query = query if query.startswith("(") else f"({query})"
                yield from self._search(f"(&{query}{extra})" if extra else query, 1 << place)
        elif self.is_ad:
            for place, group in enumerate(mapped):
                yield from self._search(f"(&{_AD_PERSON}{self._in_chain(group)}{extra})", 1 << place)
        else:
            yield from self._through_members(mapped, extra)

    def _search(self, query: str, bits: int) -> Iterator[tuple[Entry, int]]:
        for entry in self._directory.search(self._params.base_dn, query, self._attributes):
            yield entry, bits

    def _in_chain(self, group: Group) -> str:
        """A condition for members of members, and for those whose primary group is among the groups.

        A primary group's members are in no list of members; they name it by its number.
        """
        dn = names.escape_filter(group.dn)
        chain = f"(memberOf:{ad.IN_CHAIN}:={dn})"
        inner = self._directory.search(
            self._params.group_base_dn, f"(&(objectClass=group){chain})", ["primaryGroupToken"]
        )
        tokens = {entry.text("primaryGroupToken") for entry in inner}
        own = self._directory.read(group.dn, ["primaryGroupToken"])
        tokens.add("" if own is None else own.text("primaryGroupToken"))
        primary = "".join(f"(primaryGroupID={token})" for token in sorted(tokens) if token.isdecimal())
        return f"(|{chain}{primary})"

    def _through_members(self, mapped: Sequence[Group], extra: str) -> Iterator[tuple[Entry, int]]:
        nest = groups.Nest(self._directory, [self._params.group_base_dn])
        by_dn: dict[str, int] = {}
        by_login: dict[str, int] = {}
        for place, group in enumerate(mapped):
            dns, logins = nest.everybody(group)
            for bits, found in ((by_dn, dns), (by_login, logins)):
                for name in found:
                    bits[name] = bits.get(name, 0) | 1 << place
        if by_login or extra or len(by_dn) > _FEW:
            yield from self._among_all(by_dn, by_login, extra)
            return
        for dn, bits_of_dn in sorted(by_dn.items()):  # the same order in a preview and its run
            if names.is_below(dn, self._params.base_dn):
                for entry in self._directory.search(dn, PERSON, self._attributes, scope=Scope.BASE):
                    yield entry, bits_of_dn

    def _among_all(
        self, by_dn: dict[str, int], by_login: dict[str, int], extra: str
    ) -> Iterator[tuple[Entry, int]]:
        query = f"(&{PERSON}{extra})" if extra else PERSON
        for entry in self._directory.search(self._params.base_dn, query, self._attributes):
            bits = by_dn.get(names.key(entry.dn), 0)
            if by_login:
                bits |= by_login.get(entry.text("uid"), 0)
            if bits:
                yield entry, bits
