"""Writing changes to a directory, each compared with what is there inside its own write."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.connectors.datasync import target
from runner.connectors.datasync.destination import exactly
from runner.connectors.datasync.job import Job, Kind, Objects
from runner.connectors.datasync.passwords import Announcements
from runner.connectors.datasync.planning import MEMBERSHIP, PASSWORD
from runner.connectors.datasync.rules import ACCOUNT_NAME
from runner.connectors.datasync.target import Domain, State
from runner.directory import ad, names
from runner.directory.port import Declined, Directory, Edit, Entry, Modification
from runner.errors import BadInput, Internal
from runner.model.changes import ChangeOutcome, ChangeState, Op, StoredChange

_IN_USE = {"00002071", "00000524", "000021C8"}
_ALREADY_THERE = 68
_CONFLICTS = {16, 20, 32}  # no such value, the value is there, no such entry
_NOT_ATTRIBUTES = {"container", "enabled", PASSWORD}
_ABORTED = "the job aborts on a failure, and an earlier change failed"


class Conflict(Exception):
    """Somebody changed it meanwhile; it is left alone."""


class Writer:
    """One batch's writing."""

    def __init__(self, job: Job, directory: Directory, domain: Domain, announcements: Announcements) -> None:
        self._job = job
        self._directory = directory
        self._domain = domain
        self._announcements = announcements
        self._there: dict[tuple[str, str], Entry] = {}
        self._touched: set[tuple[str, str]] = set()  # what was written since it was looked up

    def apply(self, changes: Sequence[StoredChange]) -> Iterator[ChangeOutcome]:
        """Write them in order; each outcome is told as soon as it is known."""
        self._find(changes)
        for change in changes:
            yield self._one(change)

    def _one(self, change: StoredChange) -> ChangeOutcome:
        state, message = ChangeState.DONE, ""
        try:
            self._write(change)
        except Conflict as conflict:
            state, message = ChangeState.SKIPPED, f"conflict: {conflict}"
        except Declined as refused:
            state, message = ChangeState.FAILED, refused.message
            if change.op is not Op.CREATE and refused.code in _CONFLICTS:
                state, message = ChangeState.SKIPPED, f"conflict: {refused.message}"
        except BadInput as error:
            state, message = ChangeState.FAILED, error.message
        return ChangeOutcome(sequence=change.sequence, state=state, message=message)

    def _find(self, changes: Sequence[StoredChange]) -> None:
        """Look up all objects that are changed, some dozens at a time; what is created isn't there."""
        wanted: dict[str, list[str]] = {}
        for change in changes:
            if change.kind == MEMBERSHIP:
                wanted.setdefault(Kind.GROUP.value, []).append(json.loads(change.key)[0])
            elif change.op is not Op.CREATE:
                wanted.setdefault(change.kind, []).append(change.key)
        for kind, keys in wanted.items():
            objects = objects_of(self._job, kind)
            unique = list(dict.fromkeys(keys))
            for key, entry in target.find(self._directory, self._job.base, unique, objects):
                self._there[kind, key] = entry

    def _entry(self, kind: str, key: str) -> Entry:
        """An object as it is now."""
        found = self._there.get((kind, key))
        if found is not None and (kind, key) not in self._touched:
            return found
        # It may have been made or changed by this very batch.
        objects = objects_of(self._job, kind)
        for _, entry in target.find(self._directory, self._job.base, [key], objects):
            self._there[kind, key] = entry
            self._touched.discard((kind, key))
            return entry
        raise Conflict("it isn't in the directory any more")

    def _write(self, change: StoredChange) -> None:
        if change.kind == MEMBERSHIP:
            self._membership(change)
            return
        match change.op:
            case Op.CREATE:
                self._create(change)
            case Op.UPDATE | Op.BLANK:
                self._update(change)
            case Op.MOVE:
                self._move(change)
            case Op.ACTIVATE | Op.DEACTIVATE:
                self._able(change)
            case Op.DELETE:
                self._delete(change)
            case other:
                msg = f"The plan has a change {other.value!r}, which nothing writes."
                raise Internal(msg)
        self._touched.add((change.kind, change.key))

    # --- creating ------------------------------------------------------------------------

    def _create(self, change: StoredChange) -> None:
        """Make an object. An account is disabled until its password is announced and set."""
        objects, after = objects_of(self._job, change.kind), change.after or {}
        ad_here = self._domain.active_directory
        dn = f"CN={names.escape_value(str(after['cn']))},{after['container']}"
        attributes = {
            name: target.listed(value) for name, value in after.items() if name not in _NOT_ATTRIBUTES
        }
        attributes["objectClass"] = list(target.classes(objects.kind, active_directory=ad_here))
        attributes |= {
            name: values
            for name, values in target.more_for_new(objects.kind, active_directory=ad_here).items()
            if name not in attributes
        }
        try:
            self._directory.add(dn, attributes)
        except Declined as refused:
            if refused.code != _ALREADY_THERE and refused.ad not in _IN_USE:
                raise
            dn = self._half_made(change, objects, dn, refused)
        if objects.kind is Kind.USER and PASSWORD in after:
            self._give_password(objects, dn, after)

    def _half_made(self, change: StoredChange, objects: Objects, dn: str, refused: Declined) -> str:
        """The DN of the account whose making was broken off; if it is another, say which is in the way."""
        ad_here = self._domain.active_directory
        for _, entry in target.find(self._directory, self._job.base, [change.key], objects):
            if target.is_half_made(entry, objects, active_directory=ad_here):
                return entry.dn
        other = self._in_the_way(change, dn)
        raise Declined(
            f"{refused.message.rstrip('.')}: {other} is in the way.", code=refused.code, ad=refused.ad
        )

    def _in_the_way(self, change: StoredChange, dn: str) -> str:
        if self._directory.read(dn, ["objectClass"]) is not None:
            return dn
        for name in (ACCOUNT_NAME, "userPrincipalName"):
            value = (change.after or {}).get(name)
            if value:
                text = f"({name}={exactly(str(value))})"
                for entry in list(self._directory.search(self._domain.root, text, [name])):
                    return entry.dn
        return "an object that we may not see"

    def _give_password(self, objects: Objects, dn: str, after: Mapping[str, Any]) -> None:
        making = objects.password
        if making is None:
            raise Internal("The plan has a password to make, and the job none.")
        password = making.make(self._domain.policy)
        if making.static is None:
            account = str(after.get(ACCOUNT_NAME) or after.get("uid") or after["cn"])
            self._announcements.write(account, dn, password)
        try:
            if self._domain.active_directory:
                # In one step: an account that has a password and is disabled was disabled by somebody.
                steps = [Modification(Edit.REPLACE, "unicodePwd", [ad.password_value(password)])]
                if after.get("enabled"):
                    steps.append(Modification(Edit.DELETE, "userAccountControl", [target.NORMAL_DISABLED]))
                    steps.append(Modification(Edit.ADD, "userAccountControl", [str(ad.NORMAL)]))
                self._directory.modify(dn, steps)
            elif after.get("enabled"):
                self._directory.modify(dn, [Modification(Edit.ADD, "userPassword", [password])])
        except Declined as refused:
            msg = f"{dn} was made, and is left disabled: {refused.message}"
            raise Declined(msg, code=refused.code, ad=refused.ad) from refused

    # --- changing ------------------------------------------------------------------------

    def _check(self, change: StoredChange, entry: Entry) -> None:
        """Refuse to touch what isn't as it was planned for."""
        objects = objects_of(self._job, change.kind)
        there = target.state(entry, objects, active_directory=self._domain.active_directory)
        before = change.before or {}
        for name, value in before.items():
            if name in there and there[name] != value:
                raise Conflict(f"{name} was changed meanwhile")
        if change.op in {Op.DELETE, Op.DEACTIVATE} and "container" in before:
            # It tells the whole object: what it lacks wasn't there. (A domain gives account names itself.)
            given = [
                name
                for name in (*objects.attributes, "member")
                if name not in before and name != ACCOUNT_NAME and there.get(name) is not None
            ]
            if given:
                raise Conflict(f"{given[0]} was given to it meanwhile")

    def _update(self, change: StoredChange) -> None:
        entry = self._entry(change.kind, change.key)
        self._check(change, entry)
        before, after = dict(change.before or {}), dict(change.after or {})
        renamed = after.pop("cn", None)
        steps: list[Modification] = []
        for name, value in after.items():
            old, new = target.listed(before.get(name)), target.listed(value)
            gone = [part for part in old if part not in new]
            come = [part for part in new if part not in old]
            steps += [Modification(Edit.DELETE, name, gone)] if gone else []
            steps += [Modification(Edit.ADD, name, come)] if come else []
        if steps:
            self._directory.modify(entry.dn, steps)
        if renamed:
            self._directory.move(entry.dn, rdn=f"CN={names.escape_value(str(renamed))}")

    def _move(self, change: StoredChange) -> None:
        entry = self._entry(change.kind, change.key)
        self._check(change, entry)
        self._directory.move(entry.dn, rdn=names.rdn(entry.dn), parent=str((change.after or {})["container"]))

    def _able(self, change: StoredChange) -> None:
        """Let an account log in, or not any more. A creation is taken back this way as well."""
        entry = self._entry(change.kind, change.key)
        ad_here = self._domain.active_directory
        if change.op is Op.DEACTIVATE:
            self._check(change, entry)
            if not target.is_enabled(entry, active_directory=ad_here):
                return
            if not ad_here:
                self._directory.modify(entry.dn, [Modification(Edit.DELETE, "userPassword")])
                return
        elif target.is_enabled(entry, active_directory=ad_here):
            return
        elif not target.has_password(entry, active_directory=ad_here):
            raise Declined(f"{entry.dn} has no password, so it stays disabled.", code=0)
        target.set_enabled(self._directory, entry, enabled=change.op is Op.ACTIVATE)

    def _delete(self, change: StoredChange) -> None:
        entry = self._entry(change.kind, change.key)
        self._check(change, entry)
        self._directory.delete(entry.dn)

    def _membership(self, change: StoredChange) -> None:
        key, dn = json.loads(change.key)
        group = Kind.GROUP.value, key
        entry = self._there.get(group) or self._entry(*group)  # all that is wanted is its name
        edit = Edit.ADD if change.op is Op.ADD_MEMBER else Edit.DELETE
        self._directory.modify(entry.dn, [Modification(edit, "member", [dn])])
        self._touched.add(group)


def objects_of(job: Job, kind: str) -> Objects:
    """The job's objects of a kind."""
    for objects in job.objects:
        if objects.kind.value == kind:
            return objects
    msg = f"The job keeps no {kind}s any more, and a change of one was planned."
    raise BadInput(msg)


def current(
    job: Job, directory: Directory, domain: Domain, kind: str, keys: Sequence[str]
) -> Mapping[str, State | None]:
    """What is there now; an account whose making was broken off is absent."""
    if kind == MEMBERSHIP:
        return _current_members(job, directory, keys)
    objects = objects_of(job, kind)
    found: dict[str, State | None] = {}
    for key, entry in target.find(directory, job.base, list(dict.fromkeys(keys)), objects):
        half = target.is_half_made(entry, objects, active_directory=domain.active_directory)
        found[key] = None if half else target.state(entry, objects, active_directory=domain.active_directory)
    return found


def _current_members(job: Job, directory: Directory, keys: Sequence[str]) -> Mapping[str, State | None]:
    objects = objects_of(job, Kind.GROUP.value)
    pairs = {key: json.loads(key) for key in keys}
    groups = dict(target.find(directory, job.base, sorted({group for group, _ in pairs.values()}), objects))
    found: dict[str, State | None] = {}
    for key, (group, dn) in pairs.items():
        entry = groups.get(group)
        members = [] if entry is None else entry.texts("member")
        found[key] = {"member": dn} if any(names.same(dn, each) for each in members) else None
    return found


def aborted(change: StoredChange) -> ChangeOutcome:
    """The outcome of a change that isn't made because an earlier one failed."""
    return ChangeOutcome(sequence=change.sequence, state=ChangeState.SKIPPED, message=_ABORTED)
