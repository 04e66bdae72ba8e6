"""Things as the server shows them: reference objects, collections, what ``fetch`` asks for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simulators.rally.schema import Attribute, Form
from simulators.rally.things import Thing, Things

_API = {"_rallyAPIMajor": "2", "_rallyAPIMinor": "0"}


class Shapes:
    """Draws things for one address of the server."""

    def __init__(self, things: Things, base: str) -> None:
        self._things = things
        self._base = base  # https://host/slm/webservice/v2.0

    def ref(self, thing: Thing) -> str:
        """The absolute reference of a thing; type names are lower case in it."""
        return f"{self._base}/{thing.type.name.lower()}/{thing.oid}"

    def shell(self, thing: Thing) -> dict[str, Any]:
        """A thing as others refer to it."""
        return {
            **_API,
            "_ref": self.ref(thing),
            "_refObjectUUID": thing.uuid,
            "_refObjectName": thing.name,
            "_type": thing.type.name,
        }

    def whole(self, thing: Thing, fetch: str, *, depth: int = 1) -> dict[str, Any]:
        """A thing with what ``fetch`` names: "true" = all, a list with commas, "" = the shell."""
        shown = self.shell(thing) | {"_objectVersion": str(thing.version), "_CreatedAt": "just now"}
        if fetch.lower() in ("", "false"):
            return shown
        for attribute in self._wanted(thing, fetch):
            shown[attribute.name] = self._value(thing, attribute, fetch, depth)
        return shown

    def _wanted(self, thing: Thing, fetch: str) -> list[Attribute]:
        if fetch.lower() == "true":
            return list(thing.type.attributes.values())
        names = [name.split("[")[0].strip() for name in fetch.split(",")]
        return [found for name in dict.fromkeys(names) if name and (found := thing.type.attribute(name))]

    def _value(self, thing: Thing, attribute: Attribute, fetch: str, depth: int) -> Any:
        value = thing.get(attribute)
        if attribute.form is Form.COLLECTION:
            return self._collection(thing, attribute, value)
        if attribute.form is Form.OBJECT:
            there = None if value is None else self._things.anywhere(value)
            if there is None:
                return None
            # A list of names also fills in what is referred to; "true" doesn't.
            named = fetch if depth and fetch.lower() != "true" else ""
            shown = self.whole(there, named, depth=0)
            return {
                name: each for name, each in shown.items() if name not in ("_objectVersion", "_CreatedAt")
            }
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
        return value

    def _collection(self, thing: Thing, attribute: Attribute, oids: list[int]) -> Mapping[str, Any]:
        shown: dict[str, Any] = {
            **_API,
            "_ref": f"{self._base}/{thing.type.name}/{thing.oid}/{attribute.name}",
            "_type": attribute.refers,
            "Count": len(oids),
        }
        if attribute.name == "Tags":
            members = [found for oid in oids if (found := self._things.anywhere(oid))]
            shown["_tagsNameArray"] = [{"Name": each.name, "_ref": f"/tag/{each.oid}"} for each in members]
        return shown

    def schema(self) -> list[dict[str, Any]]:
        """All type definitions with their attributes, as the schema service gives them."""
        found = []
        for definition in self._things.all("TypeDefinition"):
            shown = self.whole(definition, "true") | {"RevisionHistory": None}
            shown["Attributes"] = [
                self.whole(attribute, "true") | self._constrained(attribute)
                for oid in definition.values["Attributes"]
                if (attribute := self._things.find("AttributeDefinition", oid))
            ]
            found.append(shown)
        return found

    def _constrained(self, attribute: Thing) -> dict[str, Any]:
        if attribute.values["AllowedValues"]:
            return {}
        return {"AllowedValues": [], "AllowedValueType": None}


def envelope(name: str, **fields: Any) -> dict[str, Any]:
    """An answer in its envelope."""
    return {name: {**_API, "Errors": [], "Warnings": [], **fields}}


def failed(name: str, *errors: str) -> dict[str, Any]:
    """An answer that is an error, for which the status is 200 all the same."""
    return envelope(name, Errors=list(errors))
