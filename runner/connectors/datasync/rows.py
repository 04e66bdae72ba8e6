"""What a workbook's rows say of objects: read, resolved and checked, row by row."""

import hashlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.connectors.datasync import target, transforms
from runner.connectors.datasync.job import Job, Kind, Mapped, Objects
from runner.connectors.datasync.rules import ACCOUNT_NAME, check_account_name, check_value, folded
from runner.connectors.datasync.target import Domain, State
from runner.connectors.datasync.transforms import NotResolved, Resolve
from runner.directory import names
from runner.directory.port import Directory
from runner.errors import BadInput, SkipRecord
from runner.ports import Context
from runner.reading.workbook.query import Record, Selection

STAMP = "stamp"
"""Under what name the newest row's time stamp is remembered."""

HASH = 6
"""Bytes of a key as it is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one row says of one object."""

    key: str
    subject: str
    container: str
    values: State  # by attribute; None = blank
    disabled: bool | None
    members: Sequence[str] | None  # DNs


class Rows:
    """The rows of one run."""

    def __init__(
        self, ctx: Context, job: Job, *, source: Selection, directory: Directory, domain: Domain
    ) -> None:
        self._ctx = ctx
        self._job = job
        self._source = source
        self._directory = directory
        self._domain = domain
        self._at = {name: source.find(name) for name in job.columns}
        self._used = {name.casefold() for name in job.columns}
        self._variables = {"NOW": ctx.now.strftime("%Y-%m-%d %H:%M:%S"), "COMPUTERNAME": socket.gethostname()}
        self._resolved: dict[tuple[str, str], list[str]] = {}
        self._coming: dict[tuple[str, str], str] = {}  # DNs of what this run makes, by attribute and value
        self._coming_dns: set[str] = set()
        self.whole = True  # whether all rows were understood as far as their key
        self.number = 0  # of rows, with those that a time stamp leaves out
        self.newest = ""  # time stamp of the newest row that was looked at

    def is_coming(self, value: Any) -> bool:
        """Whether a value is the DN of an object that this run makes."""
        return isinstance(value, str) and value in self._coming_dns

    def records(self) -> Iterator[Record]:
        """The rows of the source; of a job with a time stamp only the new ones."""
        stamp, last = self._job.stamp, str(self._ctx.memory.get(STAMP) or "")
        for number, record in enumerate(self._source.records):
            self._ctx.progress("row", done=number)
            self.number = max(self.number, number + 1)
            if stamp is not None:
                found = record.values[self._at[stamp]] or ""
                if found <= last:
                    continue
                self.newest = max(self.newest, found)
            yield record

    def _row(self, record: Record) -> transforms.Row:
        return lambda name: record.values[self._at[name]]

    def look_ahead(self, objects: Objects) -> None:
        """Find all DNs that rows refer to, by some searches instead of one for each row."""
        wanted: dict[str, dict[str, None]] = {}
        resolves = [part for part in objects.transforms() if isinstance(part, Resolve)]
        if objects.members is not None and not resolves:
            resolves.append(Resolve(objects.members.made_of, self._member_attribute()))
        if not resolves:
            return
        named = {each.attribute for each in resolves}
        for record in self._source.records:
            row = self._row(record)
            for each in resolves:
                value = transforms.value_of(each.of, row, _nobody, self._variables)
                for part in _parts(value, self._delimiter(objects, each)):
                    wanted.setdefault(each.attribute, {})[part] = None
            if objects.kind is Kind.USER and objects.create:
                self._announce(objects, row, named)
        for attribute, values in wanted.items():
            found = target.resolve(self._directory, self._domain.root, attribute, values)
            for value, dns in found.items():
                self._resolved[attribute, value] = dns

    def _delimiter(self, objects: Objects, resolve: Resolve) -> str:
        if objects.members is not None and objects.members.made_of in {resolve, resolve.of}:
            return objects.members.delimiter or ","
        return ""

    def _member_attribute(self) -> str:
        return ACCOUNT_NAME if self._domain.active_directory else "uid"

    def _announce(self, objects: Objects, row: transforms.Row, attributes: set[str]) -> None:
        """Note the DN that a row's object will have, for rows that refer to it."""
        try:
            values = {
                each.attribute.lower(): transforms.value_of(each.made_of, row, _nobody, self._variables)
                for each in objects.fields
                if each.attribute in attributes or each.attribute.lower() == "cn"
            }
            cn = values.get("cn")
            if cn is None:
                return
            dn = f"CN={names.escape_value(cn)},{self._container(objects, row)}"
        except (NotResolved, SkipRecord, BadInput):
            return  # the row itself says why, in its turn
        for attribute in attributes:
            value = values.get(attribute.lower())
            if value:
                self._coming[attribute, value.casefold()] = dn
                self._coming_dns.add(dn)

    def _lookup(self, attribute: str, value: str) -> str | None:
        found = self._resolved.get((attribute, value.casefold()), [])
        if len(found) > 1:
            msg = f"{attribute} {value!r} names {len(found)} objects, {found[0]} and {found[1]} among them"
            raise SkipRecord(msg)
        return found[0] if found else self._coming.get((attribute, value.casefold()))

    def twice(self, objects: Objects) -> dict[str, int]:
        """Keys and account names that stand in more than one row, with the first row's number."""
        first: dict[bytes, int] = {}
        twice: dict[str, int] = {}
        account = next((each for each in objects.fields if each.attribute == ACCOUNT_NAME), None)
        for record in self.records():
            row, number = self._row(record), record.number or 0
            try:
                key = self._key(objects, row)
            except (SkipRecord, NotResolved):
                continue  # told in its turn
            found = [key]
            if account is not None:
                name = transforms.value_of(account.made_of, row, _nobody, self._variables)
                found += [f"{ACCOUNT_NAME}:{folded(name)}"] if name else []
            for each in found:
                before = first.setdefault(short(each), number)
                if before != number:
                    twice[each] = before
        return twice

    def _key(self, objects: Objects, row: transforms.Row) -> str:
        values = []
        for each in objects.keys:
            value = transforms.value_of(each.made_of, row, self._lookup, self._variables)
            if value is None:
                msg = f"the key {each.attribute} is blank"
                raise SkipRecord(msg)
            values.append((each.attribute, value))
        return target.key_of(values)

    def wanted(self, objects: Objects, record: Record) -> Wanted:
        row = self._row(record)
        try:
            try:
                self._refuse_flaws(record)
                key = self._key(objects, row)
            except (SkipRecord, NotResolved):
                self.whole = False  # nobody knows whose row it is
                raise
            values = {each.attribute: self._value(objects, each, row) for each in objects.fields}
            container = names.normal(self._container(objects, row))
            disabled = self._flag(objects, row)
            members = self._members(objects, row)
        except NotResolved as error:
            attribute, value = error.args
            msg = f"nobody in the directory has the {attribute} {value!r}"
            raise SkipRecord(msg) from None
        except BadInput as error:
            raise SkipRecord(error.message) from None
        subject = str(values.get("cn") or values.get(ACCOUNT_NAME) or key)
        return Wanted(
            key=key, subject=subject, container=container, values=values, disabled=disabled, members=members
        )

    def _refuse_flaws(self, record: Record) -> None:
        for header, clause in record.flaws:
            if header.casefold() in self._used:
                raise SkipRecord(clause)

    def _value(self, objects: Objects, each: Mapped, row: transforms.Row) -> Any:
        value = transforms.value_of(each.made_of, row, self._lookup, self._variables)
        if value is None:
            return None
        parts = _parts(value, each.delimiter) if each.delimiter else (value,)
        for part in parts:
            check_value(each.attribute, part)
            if each.attribute == ACCOUNT_NAME:
                check_account_name(part, user=objects.kind is Kind.USER)
        return target.told(parts, several=True) if each.delimiter else value

    def _container(self, objects: Objects, row: transforms.Row) -> str:
        if isinstance(objects.container, str):
            return objects.container
        found = transforms.value_of(objects.container, row, self._lookup, self._variables)
        if not found:
            raise SkipRecord("the column with its container is blank")
        if not names.is_below(found, self._job.base):
            msg = f"its container {found!r} isn't below {self._job.base!r}"
            raise SkipRecord(msg)
        return found

    def _flag(self, objects: Objects, row: transforms.Row) -> bool | None:
        if objects.disable is None:
            return None
        value = transforms.value_of(objects.disable, row, self._lookup, self._variables)
        if value is None:
            return None
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in known:
            msg = f"whether it is disabled is said by {value!r}, which is neither TRUE nor FALSE"
            raise SkipRecord(msg)
        return known[value.lower()]

    def _members(self, objects: Objects, row: transforms.Row) -> Sequence[str] | None:
        if objects.members is None:
            return None
        made_of = objects.members.made_of
        operand, attribute = (
            (made_of.of, made_of.attribute)
            if isinstance(made_of, Resolve)
            else (made_of, self._member_attribute())
        )
        text = transforms.value_of(operand, row, self._lookup, self._variables)
        found = []
        for part in _parts(text, objects.members.delimiter or ","):
            dn = self._lookup(attribute, part)
            if dn is None:
                raise NotResolved(attribute, part)
            found.append(dn)
        return sorted(found)


def _nobody(_attribute: str, _value: str) -> str | None:
    return ""


def _parts(value: str | None, delimiter: str) -> list[str]:
    if value is None:
        return []
    if not delimiter:
        return [value]
    return list(dict.fromkeys(part.strip() for part in value.split(delimiter) if part.strip()))


def short(key: str) -> bytes:
    """A key in few bytes, to be remembered."""
    return hashlib.blake2b(key.encode(), digest_size=HASH).digest()
