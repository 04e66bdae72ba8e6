"""Comparing a workbook with a directory: rows become changes, or a sentence that names the row."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.connectors.datasync import target, transforms
from runner.connectors.datasync.destination import to_filter
from runner.connectors.datasync.index import Found, Index
from runner.connectors.datasync.job import Job, Kind, Mapped, Objects
from runner.connectors.datasync.rows import HASH, STAMP, Rows, Wanted, short
from runner.connectors.datasync.rules import ACCOUNT_NAME, folded
from runner.connectors.datasync.target import Domain, State
from runner.connectors.datasync.transforms import Resolve
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
from runner.reading.workbook.query import Selection

PASSWORD = "password"  # noqa: S105 - the name of a field
MEMBERSHIP = "membership"
_KEYS = "keys"  # what is remembered
_TOLD = 10  # rows named in a message


class Planner:
    """One run's planning."""

    def __init__(self, ctx: Context, job: Job, *, source: Selection, directory: Directory) -> None:
        self._ctx = ctx
        self._job = job
        self._directory = directory
        self._domain: Domain = target.domain(directory, job.base)
        self._rows = Rows(ctx, job, source=source, directory=directory, domain=self._domain)
        self._own = names.key(ctx.params.destination.bind_dn)
        self._troubles: list[str] = []
        self._bare: list[str] = []  # DNs of accounts that should be enabled, and have no password
        self._later: list[Change] = []  # what refers to objects that this run makes first
        self._destroying: list[Callable[[Complete], Change]] = []

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
        elif self._rows.newest:  # rows that were left out have to come again
            self._ctx.remember(STAMP, self._rows.newest)

    def _listed(self) -> str:
        were = "was" if len(self._troubles) == 1 else "were"
        return f"{_count(self._troubles, 'row')} {were} left out: {_some(self._troubles)}."

    # --- one sort of objects ------------------------------------------------------------

    def _plan(self, objects: Objects) -> Iterator[Change]:
        index = Index()
        try:
            self._load(objects, index)
            self._rows.look_ahead(objects)
            twice = self._rows.twice(objects)
            seen: set[bytes] = set()
            made = 0
            for record in self._rows.records():
                try:
                    wanted = self._rows.wanted(objects, record)
                    seen.add(short(wanted.key))
                    found = index.get(wanted.key)
                    self._refuse_twins(wanted, found, twice)
                    for change in self._compare(objects, wanted, index, found):
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
            protected=entry.text("adminCount") == "1" or entry.text("isCriticalSystemObject") == "TRUE",
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

    def _refuse_twins(self, wanted: Wanted, found: Found | None, twice: dict[str, int]) -> None:
        account = wanted.values.get(ACCOUNT_NAME)
        for each in (wanted.key, f"{ACCOUNT_NAME}:{folded(str(account))}" if account and twice else ""):
            if each in twice:
                msg = f"its key stands in row {twice[each]} as well, and which is right isn't ours to say"
                raise SkipRecord(msg)
        if found is not None and found.twin is not None:
            msg = f"its key names two objects of the directory, {found.dn} and {found.twin}"
            raise SkipRecord(msg)

    # --- comparing -----------------------------------------------------------------------

    def _compare(
        self, objects: Objects, wanted: Wanted, index: Index, found: Found | None
    ) -> Iterator[Change]:
        only = self._ctx.job.only
        if only is not None and only.casefold() not in {
            wanted.subject.casefold(),
            str(wanted.values.get(ACCOUNT_NAME)).casefold(),
        }:
            return
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
        late = {name: value for name, value in values.items() if self._rows.is_coming(value)}
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
            if any(map(self._rows.is_coming, after.values())):
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
            if short(key) in seen:
                continue
            if found.protected or names.key(found.dn) == self._own:
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
        size = self._rows.number
        reading = self._ctx.reading("the workbook", target_size=max(len(self._destroying), size))
        if not self._rows.whole:
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
        lost = {known[at : at + HASH] for at in range(0, len(known), HASH)} - seen
        if lost and not objects.delete:
            gone = [found.dn for key, found in index.all() if short(key) in lost]
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


def _same_names(old: Any, new: Any, each: Mapped) -> bool:
    """Whether two DNs are the same one, spelled twice."""
    resolved = any(isinstance(part, Resolve) for part in transforms.parts(each.made_of))
    return resolved and isinstance(old, str) and isinstance(new, str) and names.same(old, new)
