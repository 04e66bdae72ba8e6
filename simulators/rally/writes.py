"""Creating, changing and throwing away, with the server's own refusals.

A refusal comes with status 200 in the envelope; only who may not write at all gets a 401.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.rally.schema import Attribute, Form, Type
from simulators.rally.things import Refusal, Thing, Things, User

_REF = re.compile(r"([A-Za-z]+)/([0-9A-Fa-f-]+)(?:\.js)?$")
_SILENT = frozenset({"ObjectID", "Workspace"})  # clients send them along, and nothing comes of it


@dataclass(slots=True)
class Written:
    """What a write came to."""

    thing: Thing | None
    warnings: list[str] = field(default_factory=list)


def resolve(things: Things, ref: Any) -> Thing | None:
    """What a reference in any of its spellings points to."""
    text = ref.get("_ref") if isinstance(ref, Mapping) else ref
    found = _REF.search(str(text or ""))
    if found is None:
        return None
    kind, ident = found.groups()
    return things.find(kind, int(ident)) if ident.isdecimal() else things.by_uuid(kind, ident)


class Writes:
    """The writes of one user."""

    def __init__(self, things: Things, user: User) -> None:
        self._things = things
        self._user = user

    def create(self, kind: Type, body: Mapping[str, Any]) -> Written:
        """Make a thing from a request's body."""
        if not kind.creatable:
            raise Refusal(f"Create not allowed: {kind.name} is read-only")
        values, warnings = self._values(kind, self._unwrapped(kind, body))
        if "project" in kind.attributes:
            values["Project"] = values.get("Project") or self._default("DefaultProject")
            self._may_write(values["Project"], "create")
            project = self._things.find("Project", values["Project"])
            values["Workspace"] = None if project is None else project.values["Workspace"]
        elif "workspace" in kind.attributes:
            values.setdefault("Workspace", self._default("DefaultWorkspace"))
        for attribute in kind.attributes.values():
            if attribute.required and attribute.first is None and not values.get(attribute.name):
                raise Refusal(f"Validation error: {kind.name}.{attribute.name} should not be null")
        return Written(self._things.add(kind.name, **values), warnings)

    def update(self, kind: Type, thing: Thing | None, oid: int, body: Mapping[str, Any]) -> Written:
        """Change a thing."""
        if thing is None or self._is_hidden(thing):
            raise Refusal(f"Could not read: Could not read {kind.name} {oid} to update.")
        values, warnings = self._values(kind, self._unwrapped(kind, body))
        self._may_write(thing.values.get("Project"), "update")
        self._may_write(values.get("Project"), "update")
        for attribute in kind.attributes.values():
            if attribute.required and attribute.name in values and not values[attribute.name]:
                raise Refusal(f"Validation error: {kind.name}.{attribute.name} should not be null")
        self._things.change(thing, **values)
        return Written(thing, warnings)

    def delete(self, thing: Thing | None) -> None:
        """Throw a thing away."""
        if thing is None or self._is_hidden(thing):
            raise Refusal("Cannot find object to delete")
        self._may_write(thing.values.get("Project"), "delete")
        self._things.throw_away(thing)

    def collect(
        self, thing: Thing, attribute: Attribute, body: Mapping[str, Any], *, add: bool
    ) -> list[Thing]:
        """Put members into a collection, or take them out."""
        self._may_write(thing.values.get("Project"), "update")
        members = [self._member(attribute, each) for each in body.get("CollectionItems") or []]
        there = list(thing.get(attribute))
        for member in members:
            if add and member.oid not in there:
                there.append(member.oid)
            elif not add and member.oid in there:
                there.remove(member.oid)
        self._things.change(thing, **{attribute.name: there})
        return members

    def _member(self, attribute: Attribute, item: Any) -> Thing:
        found = resolve(self._things, item)
        if found is None and isinstance(item, Mapping) and attribute.refers == "Tag" and item.get("Name"):
            name = str(item["Name"])
            found = next((tag for tag in self._things.all("Tag") if tag.name == name), None)
            found = found or self._things.add("Tag", Name=name, Workspace=self._default("DefaultWorkspace"))
        if found is None or found.type.name != attribute.refers:
            raise Refusal(f"Could not convert: Cannot resolve reference {item} to a {attribute.refers}")
        return found

    def _default(self, which: str) -> int:
        user = self._things.find("User", self._user.oid)
        profile = self._things.find("UserProfile", user.values["UserProfile"] if user else 0)
        assert profile is not None  # each user is made with one
        return int(profile.values[which])

    def _may_write(self, project: int | None, deed: str) -> None:
        if project is not None and (project in self._user.read_only or project in self._user.hidden):
            raise Refusal(f"Not authorized to {deed}: the user is no editor of the project")

    def _is_hidden(self, thing: Thing) -> bool:
        return thing.values.get("Project") in self._user.hidden

    def _unwrapped(self, kind: Type, body: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, value in body.items():
            if name.lower() == kind.name.lower() and isinstance(value, Mapping):
                return value
        raise Refusal(f"Could not read: the request has no element {kind.name}")

    def _values(self, kind: Type, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        values: dict[str, Any] = {}
        warnings: list[str] = []
        for name, value in body.items():
            attribute = kind.attributes.get(name.lower())
            if attribute is None:
                warnings.append(
                    f"Ignored JSON element {kind.name.lower()}.{name} during processing of this request."
                )
            elif attribute.name not in _SILENT and not attribute.read_only:
                values[attribute.name] = self._value(kind, attribute, value)
        return values, warnings

    def _value(self, kind: Type, attribute: Attribute, value: Any) -> Any:
        place = f"{kind.name}.{attribute.name}"
        if attribute.form is Form.COLLECTION:
            if not isinstance(value, list):
                raise Refusal(f"Could not convert: {place} is not a collection")
            return [self._member(attribute, each).oid for each in value]
        if value in (None, ""):
            return None
        if attribute.form is Form.OBJECT:
            found = resolve(self._things, value)
            if found is None:
                raise Refusal(f"Could not convert: Cannot resolve reference {value} for {place}")
            return found.oid
        if attribute.allowed and value not in attribute.allowed:
            raise Refusal(f'Validation error: {place} value "{value}" is not one of the allowed values')
        return _plain(place, attribute, value)


def _plain(place: str, attribute: Attribute, value: Any) -> Any:
    if attribute.form in (Form.STRING, Form.TEXT):
        if len(str(value)) > attribute.max_length:
            raise Refusal(f"Validation error: {place} is longer than {attribute.max_length} characters")
        return str(value)
    if attribute.form in (Form.INTEGER, Form.QUANTITY):
        return _number(place, value)
    if attribute.form is Form.DATE:
        return datetime.fromisoformat(str(value))
    return value


def _number(place: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Refusal(f'Could not convert: "{value}" is no number for {place}') from None
