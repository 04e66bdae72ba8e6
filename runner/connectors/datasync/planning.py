"""Comparing a workbook with a directory: rows become changes, or a sentence that names the row."""

import base64
import hashlib
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.connectors.datasync import target, transforms
from runner.connectors.datasync.destination import to_filter
from runner.connectors.datasync.index import Found, Index
from runner.connectors.datasync.job import Job, Kind, Mapped, Objects
from runner.connectors.datasync.rules import ACCOUNT_NAME, check_account_name, check_value, folded
from runner.connectors.datasync.target import Domain, State
from runner.connectors.datasync.transforms import NotResolved, Resolve
from runner.directory import groups, names
from runner.directory.port import Directory, Entry, Scope
from runner.errors import BadInput, ConfigRejected, SkipRecord
from runner.model.changes import (
    Change,
    Complete,
    Generated,
    Op,
    Target,
    constructive,
    destructive,
)
from runner.ports import Context
from runner.reading.workbook.query import Record, Selection

PASSWORD = "password"  # noqa: S105 - the name of a field
MEMBERSHIP = "membership"
_KEYS, _STAMP = "keys", "stamp"  # what is remembered
_TOLD = 10  # rows named in a message
_HASH = 6  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one row says of one object."""

    key: str
    subject: str
    container: str
    values: State  # by attribute; None = blank
    disabled: bool | None
    members: Sequence[str] | None  # DNs


class Planner:
    """One run's planning."""

    def __init__(self, ctx: Context, job: Job, *, source: Selection, directory: Directory) -> None:
        self._ctx = ctx
        self._job = job
        self._source = source
        self._directory = directory
        self._at = {name: source.find(name) for name in job.columns}
        self._used = {name.casefold() for name in job.columns}
        self._domain: Domain = target.domain(directory, job.base)
        self._variables = {"NOW": ctx.now.strftime("%Y-%m-%d %H:%M:%S"), "COMPUTERNAME": socket.gethostname()}
        self._resolved: dict[tuple[str, str], list[str]] = {}
        self._coming: dict[tuple[str, str], str] = {}  # DNs of what this run makes, by attribute and value
        self._own = names.key(ctx.params.destination.bind_dn)
        self._troubles: list[str] = []
        self._bare: list[str] = []  # DNs of accounts that should be enabled, and have no password
        self._whole = True  # whether all rows were understood as far as their key
        self._later: list[Change] = []  # what refers to objects that this run makes first
        self._destroying: list[Callable[[Complete], Change]] = []
        self._newest = ""

    def plan(self) -> Iterator[Change]:
        """All changes, those that take something away at the end."""
        for objects in self._job.objects:
            if objects.password is not None:
                objects.password.check(self._domain.policy)
            yield from self._plan(objects)
        if self._troubles and self._job.abort:
            raise BadInput(f"{self._listed()} The job aborts on a failure, so nothing was written.")
        yield from self._later
        yield from self._destroy()
        if self._bare:
            self._ctx.say(
                f"{_count(self._bare, 'account')} that should be enabled can't be, for want of a password: "
                f"the job makes none. {_some(self._bare)}."
            )
        if self._troubles:
            self._ctx.say(self._listed())
        elif self._newest:  # rows that were left out have to come again
            self._ctx.remember(_STAMP, self._newest)

    def _listed(self) -> str:
        were = "was" if len(self._troubles) == 1 else "were"
        return f"{_count(self._troubles, 'row')} {were} left out: {_some(self._troubles)}."

    # --- one sort of objects ------------------------------------------------------------

    def _plan(self, objects: Objects) -> Iterator[Change]:
        index = Index()
        try:
            self._load(objects, index)
            self._look_ahead(objects)
            twice = self._twice(objects)
            seen: set[bytes] = set()
            made = 0
            for record in self._records():
                try:
                    wanted = self._wanted(objects, record)
                    seen.add(_hash(wanted.key))
                    self._refuse_twins(objects, wanted, index, twice)
                    for change in self._compare(objects, wanted, index):
                        made += change.op is Op.CREATE
                        yield change
                except SkipRecord as trouble:
                    where = "a combined row" if record.number is None else f"row {record.number}"
                    self._troubles.append(f"{where}: {trouble.message.rstrip('.')}")
            self._after(objects, index, seen, made)
        finally:
            index.close()

    def _after(self, objects: Objects, index: Index, seen: set[bytes], made: int) -> None:
        if made > 1 and objects.password is not None and objects.password.static is not None:
            self._ctx.say(
                f"{made} accounts share one password, which everybody who knows one of them knows: let the "
                "runner make one for each (passwordType 1).",
                first=True,
            )
        if self._job.stamp is None and self._ctx.job.only is None:
            self._tell_lost(objects, index, seen)
            if objects.delete:
                self._delete(objects, index, seen)
        self._ctx.count(f"{objects.kind.value}s in the directory", index.size)

    def _load(self, objects: Objects, index: Index) -> None:
        """Read the directory's objects: one search, to its proven end."""
        ad = self._domain.active_directory
        query = self._job.destination_query if objects.kind is Kind.USER else ""
        text = to_filter(query, active_directory=ad)
        if not query.strip():
            text = f"(objectClass={target.classes(objects.kind, active_directory=ad)[-1]})"
        scope = Scope.SUBTREE if self._job.subtree else Scope.ONE
        if isinstance(objects.container, str):
            self._check_container(objects.container)
        large = []
        for entry in self._directory.search(
            self._job.base, text, target.attributes_to_read(objects), scope=scope
        ):
            if groups.is_portion(entry, "member"):
                large.append(entry)  # the rest is asked for when this search is at its end
            else:
                self._take_in(objects, index, entry)
        for entry in large:
            self._take_in(objects, index, groups.whole(self._directory, entry, "member"))

    def _take_in(self, objects: Objects, index: Index, entry: Entry) -> None:
        key = target.key_of_entry(entry, objects)
        if key is None:
            return
        ad = self._domain.active_directory
        found = Found(
            dn=entry.dn,
            state=target.state(entry, objects, active_directory=ad),
            bare=target.is_bare(entry, objects, active_directory=ad),
            protected=entry.text("adminCount") == "1"
            or entry.text("isCriticalSystemObject") == "TRUE"
            or names.key(entry.dn) == self._own,
        )
        index.add(key, found, entry.text(ACCOUNT_NAME))

    def _check_container(self, container: str) -> None:
        below = names.is_below(container, self._job.base)
        if not below or (not self._job.subtree and not names.same(container, self._job.base)):
            msg = (
                f"New objects would go to {container!r}, where the job doesn't look for them again: its "
                f"Destination.Container is {self._job.base!r}. Make the two fit."
            )
            raise ConfigRejected(msg)
        if self._directory.read(container, ["objectClass"]) is None:
            msg = f"The container {container!r} isn't in the directory. Make it there, or correct its name."
            raise ConfigRejected(msg)

    # --- rows ----------------------------------------------------------------------------

    def _records(self) -> Iterator[Record]:
        """The rows of the source; of a job with a time stamp only the new ones."""
        stamp, last = self._job.stamp, str(self._ctx.memory.get(_STAMP) or "")
        for number, record in enumerate(self._source.records):
            self._ctx.progress("row", done=number)
            if stamp is not None:
                found = record.values[self._at[stamp]] or ""
                if found <= last:
                    continue
                self._newest = max(self._newest, found)
            yield record

    def _row(self, record: Record) -> transforms.Row:
        return lambda name: record.values[self._at[name]]

    def _look_ahead(self, objects: Objects) -> None:
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

    def _lookup(self, attribute: str, value: str) -> str | None:
        found = self._resolved.get((attribute, value.casefold()), [])
        if len(found) > 1:
            msg = f"{attribute} {value!r} names {len(found)} objects, {found[0]} and {found[1]} among them"
            raise SkipRecord(msg)
        return found[0] if found else self._coming.get((attribute, value.casefold()))

    def _twice(self, objects: Objects) -> dict[str, int]:
        """Keys and account names that stand in more than one row, with the first row's number."""
        first: dict[bytes, int] = {}
        twice: dict[str, int] = {}
        account = next((each for each in objects.fields if each.attribute == ACCOUNT_NAME), None)
        for record in self._records():
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
                before = first.setdefault(_hash(each), number)
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

    def _wanted(self, objects: Objects, record: Record) -> Wanted:
        row = self._row(record)
        try:
            try:
                self._refuse_flaws(record)
                key = self._key(objects, row)
            except (SkipRecord, NotResolved):
                self._whole = False  # nobody knows whose row it is
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
        parts = _parts(value, each.delimiter)
        for part in parts:
            check_value(each.attribute, part)
            if each.attribute == ACCOUNT_NAME:
                check_account_name(part, user=objects.kind is Kind.USER)
        return target.told(parts, several=bool(each.delimiter))

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

    def _refuse_twins(self, objects: Objects, wanted: Wanted, index: Index, twice: dict[str, int]) -> None:
        account = wanted.values.get(ACCOUNT_NAME)
        for each in (wanted.key, f"{ACCOUNT_NAME}:{folded(str(account))}" if account else ""):
            if each in twice:
                msg = f"its key stands in row {twice[each]} as well, and which is right isn't ours to say"
                raise SkipRecord(msg)
        twins = index.twins(wanted.key)
        if twins is not None:
            msg = f"its key names two objects of the directory, {twins[0]} and {twins[1]}"
            raise SkipRecord(msg)

    # --- comparing -----------------------------------------------------------------------

    def _compare(self, objects: Objects, wanted: Wanted, index: Index) -> Iterator[Change]:
        only = self._ctx.job.only
        if only is not None and only.casefold() not in {
            wanted.subject.casefold(),
            str(wanted.values.get(ACCOUNT_NAME)).casefold(),
        }:
            return
        found = index.get(wanted.key)
        if found is None or self._is_half_made(objects, wanted, found):
            if objects.create:
                yield from self._create(objects, wanted, index)
            else:
                self._ctx.count("not in the directory")
            return
        yield from self._update(objects, wanted, found)

    def _is_half_made(self, objects: Objects, wanted: Wanted, found: Found) -> bool:
        """Whether an account's making was broken off; elsewhere than in AD a disabled one looks the same."""
        as_wanted = wanted.disabled is True and not self._domain.active_directory
        return found.bare and objects.password is not None and not as_wanted

    def _create(self, objects: Objects, wanted: Wanted, index: Index) -> Iterator[Change]:
        account = wanted.values.get(ACCOUNT_NAME)
        other = index.has_account(str(account), besides=wanted.key) if account else None
        if other is not None:
            msg = f"Windows takes its {ACCOUNT_NAME} {account!r} for that of {other}"
            raise SkipRecord(msg)
        if not wanted.values.get("cn"):
            raise SkipRecord("its cn is blank")
        values = {name: value for name, value in wanted.values.items() if value is not None}
        coming = set(self._coming.values())
        late = {name: value for name, value in values.items() if isinstance(value, str) and value in coming}
        after: dict[str, Any] = {name: value for name, value in values.items() if name not in late}
        after["container"] = wanted.container
        if objects.kind is Kind.USER:
            after["enabled"] = objects.password is not None and wanted.disabled is not True
            if objects.password is not None:
                after[PASSWORD] = Generated(PASSWORD)
        if wanted.members and not self._domain.active_directory:
            after["member"] = list(wanted.members)  # a groupOfNames has one from its beginning
        yield self._constructive(Op.CREATE, objects, wanted, before=None, after=after)
        for name, value in late.items():
            self._later.append(
                self._constructive(Op.UPDATE, objects, wanted, before={name: None}, after={name: value})
            )
        if self._domain.active_directory:
            self._later += [self._member(wanted, dn) for dn in wanted.members or ()]

    def _update(self, objects: Objects, wanted: Wanted, found: Found) -> Iterator[Change]:
        before: State = {}
        after: State = {}
        for each in objects.updatable:
            old, new = found.state.get(each.attribute), wanted.values[each.attribute]
            if old == new or _same_names(old, new, each):
                continue
            if new is None:
                self._destruct(Op.BLANK, objects, wanted, {each.attribute: old}, {each.attribute: None})
            else:
                before[each.attribute], after[each.attribute] = old, new
        if after:
            change = self._constructive(Op.UPDATE, objects, wanted, before=before, after=after)
            if any(value in self._coming.values() for value in after.values() if isinstance(value, str)):
                self._later.append(change)
            else:
                yield change
        yield from self._able(objects, wanted, found)
        if not isinstance(objects.container, str) and found.state["container"] != wanted.container:
            old_place, new_place = {"container": found.state["container"]}, {"container": wanted.container}
            self._destruct(Op.MOVE, objects, wanted, old_place, new_place)
        if wanted.members is not None:
            self._compare_members(wanted, found)

    def _able(self, objects: Objects, wanted: Wanted, found: Found) -> Iterator[Change]:
        if wanted.disabled is None or found.state.get("enabled") is not wanted.disabled:
            return
        if found.bare:  # and the job makes no passwords
            self._bare.append(found.dn)
            return
        before, after = {"enabled": wanted.disabled}, {"enabled": not wanted.disabled}
        if wanted.disabled:
            self._destruct(Op.DEACTIVATE, objects, wanted, before, after)
        else:
            yield self._constructive(Op.ACTIVATE, objects, wanted, before=before, after=after)

    def _compare_members(self, wanted: Wanted, found: Found) -> None:
        there = {names.normal(dn): dn for dn in target.listed(found.state.get("member"))}
        here = {names.normal(dn): dn for dn in wanted.members or ()}
        self._later += [self._member(wanted, here[dn]) for dn in sorted(here.keys() - there.keys())]
        for gone in sorted(there.keys() - here.keys()):
            dn = there[gone]
            self._destroying.append(
                lambda proof, dn=dn: destructive(  # type: ignore[misc]  # bound early
                    Op.REMOVE_MEMBER,
                    target=Target.OUTSIDE,
                    kind=MEMBERSHIP,
                    key=json.dumps([wanted.key, dn]),
                    subject=f"{names.value(names.rdn(dn))} in {wanted.subject}",
                    before={"member": dn},
                    after=None,
                    proof=proof,
                )
            )

    def _member(self, wanted: Wanted, dn: str) -> Change:
        return constructive(
            Op.ADD_MEMBER,
            target=Target.OUTSIDE,
            kind=MEMBERSHIP,
            key=json.dumps([wanted.key, dn]),
            subject=f"{names.value(names.rdn(dn))} in {wanted.subject}",
            before=None,
            after={"member": dn},
        )

    def _constructive(
        self, op: Op, objects: Objects, wanted: Wanted, *, before: State | None, after: State
    ) -> Change:
        return constructive(
            op,
            target=Target.OUTSIDE,
            kind=objects.kind.value,
            key=wanted.key,
            subject=wanted.subject,
            before=before,
            after=after,
        )

    # --- what takes something away --------------------------------------------------------

    def _destruct(self, op: Op, objects: Objects, wanted: Wanted, before: State, after: State) -> None:
        self._destroying.append(
            lambda proof: destructive(
                op,
                target=Target.OUTSIDE,
                kind=objects.kind.value,
                key=wanted.key,
                subject=wanted.subject,
                before=before,
                after=after,
                proof=proof,
            )
        )

    def _delete(self, objects: Objects, index: Index, seen: set[bytes]) -> None:
        for key, found in index.all():
            if _hash(key) in seen:
                continue
            if found.protected:
                self._ctx.count("protected")
                continue
            self._destroying.append(
                lambda proof, key=key, found=found: destructive(  # type: ignore[misc]  # bound early
                    Op.DELETE,
                    target=Target.OUTSIDE,
                    kind=objects.kind.value,
                    key=key,
                    subject=names.value(names.rdn(found.dn)),
                    before=found.state,
                    after=None,
                    proof=proof,
                )
            )

    def _destroy(self) -> Iterator[Change]:
        size = sum(1 for _ in self._source.records)
        reading = self._ctx.reading("the workbook", target_size=max(len(self._destroying), size))
        if not self._whole:
            why = "rows whose key can't be read may be those of objects that seem to lack one"
            reading.incomplete(why, additions_hold=True)
            return
        proof = reading.complete(size)
        for make in self._destroying:
            yield make(proof)

    def _tell_lost(self, objects: Objects, index: Index, seen: set[bytes]) -> None:
        """Say which objects had a row in the last run and have none now; remember the rows of this one."""
        name = f"{_KEYS}:{objects.kind.value}"
        known = base64.b64decode(str(self._ctx.memory.get(name) or ""))
        lost = {known[at : at + _HASH] for at in range(0, len(known), _HASH)} - seen
        if lost and not objects.delete:
            gone = [found.dn for key, found in index.all() if _hash(key) in lost]
            if gone:
                whose = (
                    "its row, and stays as it is" if len(gone) == 1 else "their rows, and stay as they are"
                )
                self._ctx.say(f"{_count(gone, 'account')} lost {whose}: {_some(gone)}.")
        self._ctx.remember(name, base64.b64encode(b"".join(sorted(seen))).decode())


def _count(found: Sequence[str], what: str) -> str:
    return f"{len(found)} {what}" if len(found) == 1 else f"{len(found)} {what}s"


def _some(found: Sequence[str]) -> str:
    """Some of them, and how many there are besides."""
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return f"{'; '.join(found[:_TOLD])}{more}"


def _nobody(_attribute: str, _value: str) -> str | None:
    return ""


def _parts(value: str | None, delimiter: str) -> list[str]:
    if value is None:
        return []
    if not delimiter:
        return [value]
    return list(dict.fromkeys(part.strip() for part in value.split(delimiter) if part.strip()))


def _same_names(old: Any, new: Any, each: Mapped) -> bool:
    """Whether two DNs are the same one, spelled twice."""
    resolved = any(isinstance(part, Resolve) for part in transforms.parts(each.made_of))
    return resolved and isinstance(old, str) and isinstance(new, str) and names.same(old, new)


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_HASH).digest()
