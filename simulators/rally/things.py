"""What is in Rally: things of all types, who may do what, and the recycle bin.

One lock around all of it: the server's own concurrency isn't what is imitated here.
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.rally.schema import Attribute, Form, Type, types

_FIRST_OID = 100_000_001


@dataclass(slots=True, kw_only=True)
class Thing:
    """One object. References are ObjectIDs, collections lists of them."""

    type: Type
    oid: int
    uuid: str
    values: dict[str, Any]
    created: datetime
    updated: datetime
    version: int = 1

    def get(self, attribute: Attribute) -> Any:
        """The value of an attribute, also of those that every thing has."""
        match attribute.name:
            case "ObjectID":
                return self.oid
            case "ObjectUUID":
                return self.uuid
            case "VersionId":
                return str(self.version)
            case "CreationDate":
                return self.created
            case "LastUpdateDate":
                return self.updated
        return self.values.get(attribute.name, [] if attribute.form is Form.COLLECTION else None)

    @property
    def name(self) -> str:
        """What it is called."""
        return str(
            self.values.get("Name") or self.values.get("UserName") or self.values.get("StringValue") or ""
        )


@dataclass(slots=True, kw_only=True)
class User:
    """Somebody who may log in."""

    name: str
    password: str | None = None  # None = by key only
    keys: dict[str, bool] = field(default_factory=dict)  # API key to whether it may write
    read_only: set[int] = field(default_factory=set)  # projects in which nothing may be written
    hidden: set[int] = field(default_factory=set)  # projects that can't be seen
    oid: int = 0


class Refusal(Exception):
    """A write that the server refuses, in its own words."""


class Things:
    """All there is. ``clock`` gives the time of changes."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        schedule: tuple[str, ...] | None = None,
        custom: Mapping[str, Iterable[Attribute]] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.types = types(custom=custom) if schedule is None else types(schedule=schedule, custom=custom)
        self.users: dict[str, User] = {}
        self._clock = clock or (lambda: datetime.now(UTC))
        self._by_type: dict[str, dict[int, Thing]] = {name: {} for name in self.types}
        self._next_oid = _FIRST_OID
        self._numbers: dict[str, int] = {}
        self.subscription = self.add("Subscription", Name="Acme")
        self._describe_types()

    # --- finding -------------------------------------------------------------------------

    def all(self, type_name: str) -> list[Thing]:
        """All things of a type, in the order in which they were made."""
        return list(self._by_type[type_name.lower()].values())

    def find(self, type_name: str, oid: int) -> Thing | None:
        """The thing with this number."""
        return self._by_type.get(type_name.lower(), {}).get(oid)

    def anywhere(self, oid: int) -> Thing | None:
        """The thing with this number, of whatever type."""
        return next((found for things in self._by_type.values() if (found := things.get(oid))), None)

    def by_uuid(self, type_name: str, wanted: str) -> Thing | None:
        """The thing with this universal id."""
        return next((thing for thing in self.all(type_name) if thing.uuid == wanted), None)

    def items(self) -> Iterator[Thing]:
        """All stories, tasks and defects."""
        for name in ("HierarchicalRequirement", "Task", "Defect"):
            yield from self.all(name)

    # --- making --------------------------------------------------------------------------

    def add(self, type_name: str, **values: Any) -> Thing:
        """Make a thing without asking anybody."""
        with self.lock:
            kind = self.types[type_name.lower()]
            now, oid = self.now(), self._next_oid
            self._next_oid += 1
            given = {
                each.name: each.first
                for each in kind.attributes.values()
                if each.first is not None and each.name not in values
            }
            thing = Thing(
                type=kind,
                oid=oid,
                uuid=str(uuid.UUID(int=oid)),
                values={**given, **values},
                created=now,
                updated=now,
            )
            if kind.prefix:
                self._numbers[kind.prefix] = self._numbers.get(kind.prefix, 0) + 1
                thing.values["FormattedID"] = f"{kind.prefix}{self._numbers[kind.prefix]}"
            self._by_type[kind.name.lower()][oid] = thing
            return thing

    def change(self, thing: Thing, **values: Any) -> None:
        """Change a thing; its version and time go on."""
        with self.lock:
            thing.values.update(values)
            if thing.type.name == "Task" and values.get("State") == "Completed":
                thing.values["ToDo"] = 0
            thing.version += 1
            thing.updated = self.now()

    def throw_away(self, thing: Thing) -> None:
        """Move a thing to the recycle bin."""
        with self.lock:
            del self._by_type[thing.type.name.lower()][thing.oid]
            if "FormattedID" in thing.values:
                self.add(
                    "RecycleBinEntry",
                    Name=thing.name,
                    ID=thing.values["FormattedID"],
                    Type=thing.type.name,
                    DeletionDate=self.now(),
                    Project=thing.values.get("Project"),
                    Workspace=thing.values.get("Workspace"),
                    thing=thing,
                )

    def restore(self, formatted_id: str) -> None:
        """Take a thing out of the recycle bin."""
        with self.lock:
            entry = next(each for each in self.all("RecycleBinEntry") if each.values["ID"] == formatted_id)
            thing: Thing = entry.values["thing"]
            self._by_type[thing.type.name.lower()][thing.oid] = thing
            del self._by_type["recyclebinentry"][entry.oid]

    def empty_bin(self) -> None:
        """Delete for good what is in the recycle bin."""
        self._by_type["recyclebinentry"].clear()

    def now(self) -> datetime:
        """The server's time, to the millisecond."""
        now = self._clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    # --- workspaces and people -----------------------------------------------------------

    def add_workspace(self, name: str, *, state: str = "Open") -> Thing:
        """Make a workspace."""
        workspace = self.add("Workspace", Name=name, State=state)
        self.subscription.values.setdefault("Workspaces", []).append(workspace.oid)
        return workspace

    def add_project(
        self, workspace: Thing, name: str, *, parent: Thing | None = None, state: str = "Open"
    ) -> Thing:
        """Make a project."""
        project = self.add(
            "Project",
            Name=name,
            State=state,
            Workspace=workspace.oid,
            Parent=None if parent is None else parent.oid,
        )
        workspace.values.setdefault("Projects", []).append(project.oid)
        return project

    def add_user(self, user: User, *, workspace: Thing, project: Thing) -> User:
        """Let somebody in; the two are where he is when he says nothing."""
        profile = self.add("UserProfile", DefaultWorkspace=workspace.oid, DefaultProject=project.oid)
        shown = self.add(
            "User", UserName=user.name, DisplayName=user.name, Disabled=False, UserProfile=profile.oid
        )
        user.oid = shown.oid
        self.users[user.name] = user
        return user

    # --- type definitions ----------------------------------------------------------------

    def _describe_types(self) -> None:
        for place, kind in enumerate(list(self.types.values())):
            attributes = [self._describe(attribute) for attribute in kind.attributes.values()]
            self.add(
                "TypeDefinition",
                Name=kind.display,
                ElementName=kind.name,
                DisplayName=kind.display,
                TypePath=kind.name,
                IDPrefix=kind.prefix,
                Abstract=False,
                Creatable=kind.creatable,
                Queryable=True,
                ReadOnly=not kind.creatable,
                Deletable=kind.creatable,
                Restorable=bool(kind.prefix),
                Ordinal=place,
                Parent=None,
                Attributes=attributes,
            )

    def _describe(self, attribute: Attribute) -> int:
        values = [
            self.add("AllowedAttributeValue", StringValue=value, ValueIndex=str(place)).oid
            for place, value in enumerate(attribute.allowed)
        ]
        # In the original a name in words, as "Schedule State"; element names have none of its blanks.
        return self.add(
            "AttributeDefinition",
            Name=attribute.name.removeprefix("c_"),
            ElementName=attribute.name,
            AttributeType=attribute.form.value,
            SchemaType=attribute.refers or attribute.form.value.title(),
            Custom=attribute.custom,
            Required=attribute.required,
            ReadOnly=attribute.read_only,
            Filterable=True,
            Hidden=False,
            Constrained=bool(attribute.allowed),
            MaxLength=attribute.max_length,
            MaxFractionalDigits=0,
            AllowedValueType=None,
            AllowedValues=values,
        ).oid
