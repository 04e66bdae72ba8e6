"""The writes of a batch, and what is there after one whose end isn't known.

A create that got no answer is looked for by its name and owner before it is sent again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.connectors.rally import text
from runner.connectors.rally.client import Rally, Rejected, tail
from runner.connectors.rally.items import Item, Items
from runner.connectors.rally.params import RallyParams
from runner.connectors.rally.places import Places, find_tags
from runner.connectors.rally.plan import item_url
from runner.connectors.rally.scope import in_scope
from runner.errors import OutcomeUnknown
from runner.model.changes import ASSIGNED, ChangeOutcome, ChangeState, Op, StoredChange, Values
from runner.ports import Context

_SENDINGS = 3
"""How often a create is sent at the most, each time after a look whether the last one was made."""

_SHOWN = 60  # characters of a value in a conflict's sentence
_COMPARED = ("name", "description", "state", "tags", "priority", "fields", "project")


class Writer:
    """Writes for one connection."""

    def __init__(self, ctx: Context, rally: Rally, places: Places) -> None:
        self._ctx = ctx
        self._params: RallyParams = ctx.params
        self._rally = rally
        self._places = places
        self._items = Items(rally, self._params, places)
        self._states = self._params.states
        self._tags = places.tags

    def write(self, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """One change after another; what Rally refuses fails alone."""
        there = self._there(changes)
        for change in changes:
            try:
                outcome = self._one(change, there)
            except Rejected as error:
                outcome = _outcome(change, ChangeState.FAILED, str(error))
            yield outcome

    def _there(self, changes: Sequence[StoredChange]) -> dict[str, Values]:
        """The items that a batch is about as they are now, in one question, by reference."""
        refs = {str(change.before["ref"]) for change in changes if change.before and change.before.get("ref")}
        rows = self._items.details(refs) if refs else {}
        return {ref: self._values(row) for ref, row in rows.items()}

    def _one(self, change: StoredChange, there: dict[str, Values]) -> ChangeOutcome:
        if change.kind == "tag":
            self._make_tag(change.key)
            return _outcome(change, ChangeState.DONE)
        if change.op is Op.CREATE:
            return self._create(change)
        before, after = change.before or {}, change.after or {}
        ref = str(before.get("ref"))
        now = there.get(ref)
        if now is None:
            return _outcome(change, ChangeState.SKIPPED, "conflict: its item is deleted or out of sight")
        for name in _COMPARED:
            if name in before and before[name] != now.get(name):
                was, found = _short(before[name]), _short(now.get(name))
                why = f"conflict: {now['id']} was changed, its {name} is {found} now and not {was}"
                return _outcome(change, ChangeState.SKIPPED, why)
        if change.op is Op.DELETE:
            self._rally.delete(ref)
            return _outcome(change, ChangeState.DONE)
        return self._change(change, ref, now, after)

    def _change(self, change: StoredChange, ref: str, now: Values, after: Values) -> ChangeOutcome:
        if "linked" in after:
            link = {**self._link(now), "fresh": after.get("fresh", True)} if after["linked"] else {}
            return _outcome(change, ChangeState.DONE, assigned=link)
        if after.get("state") != now.get("state"):
            values = {self._states.attribute: after.get("state")}
            self._rally.update(ref, self._states.type_name, values, fetch="ObjectID")
        assigned = None
        if change.op in (Op.CLOSE, Op.REOPEN):
            assigned = {**self._link(now), "fresh": False, "closed": change.op is Op.CLOSE}
        return _outcome(change, ChangeState.DONE, assigned=assigned)

    # --- creating ------------------------------------------------------------------------

    def _create(self, change: StoredChange) -> ChangeOutcome:
        after = change.after or {}
        body = self._body(after)
        for sending in range(1, _SENDINGS + 1):
            try:
                made = self._rally.create(self._states.type_name, body, fetch="FormattedID,ObjectID")
            except OutcomeUnknown:
                found = self._find_again(after)
                if found is not None:
                    return _outcome(change, ChangeState.DONE, assigned=self._link(_link_of(found)))
                if sending == _SENDINGS:
                    raise
            else:
                told = {"ref": tail(made), "id": made.get("FormattedID")}
                return _outcome(change, ChangeState.DONE, assigned=self._link(told))
        raise AssertionError  # the last sending returns or raises

    def _body(self, after: Values) -> dict[str, Any]:
        body: dict[str, Any] = {
            "Name": after["name"],
            "Description": after["description"],
            self._states.attribute: after["state"],
            "Project": after["project"],
            "Tags": [{"_ref": self._tag(name)} for name in after["tags"]],
            **(after.get("fields") or {}),
        }
        if after.get("priority"):
            body["Priority"] = after["priority"]
        if self._places.parent:
            body["WorkProduct"] = self._places.parent
        return body

    def _find_again(self, after: Values) -> Item | None:
        """The item that a create without an answer may have made."""
        owner = text.owner_in(str(after["description"]))
        for item in self._items.named([str(after["name"])]).get(str(after["name"]), []):
            if owner is not None and item.owner == owner:
                return item
        return None

    def _tag(self, name: str) -> str:
        if name not in self._tags:
            self._tags |= find_tags(self._rally, self._places.workspace, [name])
        found = self._tags.get(name)
        if found is None:
            raise Rejected(f"the tag {name} is not there")
        return found

    def _make_tag(self, name: str) -> None:
        """Make a tag unless it is there. Where two were made at once, the older one is taken."""
        for _ in range(_SENDINGS):
            self._tags |= find_tags(self._rally, self._places.workspace, [name])
            if name in self._tags:
                return
            try:
                self._rally.create(
                    "Tag", {"Name": name, "Workspace": self._places.workspace}, fetch="Name,ObjectID"
                )
            except OutcomeUnknown:
                continue  # looked for again
        self._tags |= find_tags(self._rally, self._places.workspace, [name])
        if name not in self._tags:
            raise Rejected(f"the tag {name} could not be made")

    # --- what is there -------------------------------------------------------------------

    def _link(self, values: Values) -> dict[str, Any]:
        """What is kept of an item: where it is, and the note that tells a task of it."""
        ref, ident = str(values["ref"]), str(values["id"])
        where = item_url(self._rally, self._places, self._params, ref)
        card = self._params.rally_card_type.value
        return {
            "ref": ref,
            "id": ident,
            "at": self._rally.url,
            "home": self._places.project,
            "note": f"Rally {self._places.project_name}, {card}: {ident} {where}",
            "fresh": True,
        }

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """An item in the words of ``before`` and ``after``."""
        tags = (row.get("Tags") or {}).get("_tagsNameArray") or []
        return {
            "ref": tail(row),
            "id": row.get("FormattedID"),
            "name": row.get("Name"),
            "description": row.get("Description"),
            "state": row.get(self._states.attribute),
            "priority": row.get("Priority"),
            "tags": sorted(str(tag.get("Name")) for tag in tags),
            "project": tail(row.get("Project")),
            "fields": {name: row.get(name) for name in self._params.alm_custom_fields},
        }

    def current(self, kind: str, keys: Sequence[str]) -> dict[str, Values | None]:
        """What is there now: by link, else by name and owner."""
        if kind == "tag":
            tags = find_tags(self._rally, self._places.workspace, keys)
            return {key: {"name": key} if key in tags else None for key in keys}
        links = {link.key: str(link.values.get("ref")) for link in self._ctx.links("item") if link.values}
        wanted = {text.task_of(key) for key in keys}
        tasks = {text.item_key(task.id): task for task in self._ctx.platform.tasks() if task.id in wanted}
        project = self._ctx.platform.project()
        unknown = [task for key, task in tasks.items() if key not in links]
        names = {text.item_key(task.id): text.name_of(task, self._params, project) for task in unknown}
        named = self._items.named(list(names.values())) if names else {}
        refs = {key: links[key] for key in keys if key in links}
        for key, name in names.items():
            own = text.owner_of(tasks[key], project)
            mine = next((item.ref for item in named.get(name, []) if item.owner == own), None)
            if mine is not None:
                refs[key] = mine
        rows = self._items.details(set(refs.values())) if refs else {}
        found: dict[str, Values | None] = {}
        for key in keys:
            row = rows.get(refs.get(key, ""))
            found[key] = None if row is None else self._current(row, linked=key in links, task=tasks.get(key))
        return found

    def _current(self, row: Mapping[str, Any], *, linked: bool, task: Any) -> Values:
        values = self._values(row)
        left = task is None or not in_scope(task, self._params)
        closed = left and values["state"] in self._states.done
        link = {**self._link(values), "fresh": not linked, "closed": closed}
        return {**values, "linked": linked, ASSIGNED: link}


def _link_of(item: Item) -> dict[str, Any]:
    return {"ref": item.ref, "id": item.id}


def _short(value: Any) -> str:
    shown = str(value)
    return repr(shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…")


def _outcome(
    change: StoredChange, state: ChangeState, message: str = "", *, assigned: Values | None = None
) -> ChangeOutcome:
    return ChangeOutcome(sequence=change.sequence, state=state, message=message, assigned=assigned)
