"""The types of a workspace and their attributes, as type definitions tell them.

Source: WSAPI 2.0's documentation of TypeDefinition and AttributeDefinition. What the runner
and pyral touch is here, the rest of Rally's hundred types is not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NAME_LENGTH = 256
TEXT_LENGTH = 32_768  # characters of HTML; of custom text fields 2,048


class Form(StrEnum):
    """What an attribute's value is."""

    STRING = "STRING"
    TEXT = "TEXT"  # HTML
    STATE = "STATE"
    RATING = "RATING"
    OBJECT = "OBJECT"
    COLLECTION = "COLLECTION"
    DATE = "DATE"
    INTEGER = "INTEGER"
    QUANTITY = "QUANTITY"
    BOOLEAN = "BOOLEAN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of a type."""

    name: str
    form: Form = Form.STRING
    refers: str = ""  # type of what an OBJECT or COLLECTION holds
    required: bool = False
    read_only: bool = False
    allowed: tuple[str, ...] = ()  # in order; empty = anything
    first: str | None = None  # what a new thing gets
    max_length: int = 255
    custom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """One type; ``attributes`` by name in lower case."""

    name: str
    display: str
    prefix: str = ""  # of formatted ids
    creatable: bool = False
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name; queries may leave out the ``c_`` of custom ones."""
        lowered = name.lower().replace(" ", "")
        return self.attributes.get(lowered) or self.attributes.get(f"c_{lowered}")


def _made(attributes: Iterable[Attribute]) -> dict[str, Attribute]:
    return {attribute.name.lower(): attribute for attribute in attributes}


def _ref(name: str, refers: str, *, required: bool = False, read_only: bool = False) -> Attribute:
    return Attribute(name=name, form=Form.OBJECT, refers=refers, required=required, read_only=read_only)


def _many(name: str, refers: str) -> Attribute:
    return Attribute(name=name, form=Form.COLLECTION, refers=refers)


def _text(name: str) -> Attribute:
    return Attribute(name=name, form=Form.TEXT, max_length=TEXT_LENGTH)


_COMMON = (
    Attribute(name="ObjectID", form=Form.INTEGER, read_only=True),
    Attribute(name="ObjectUUID", read_only=True),
    Attribute(name="VersionId", read_only=True),
    Attribute(name="CreationDate", form=Form.DATE, read_only=True),
)
_ARTIFACT = (
    *_COMMON,
    Attribute(name="FormattedID", read_only=True),
    Attribute(name="LastUpdateDate", form=Form.DATE, read_only=True),
    Attribute(name="Name", required=True, max_length=NAME_LENGTH),
    _text("Description"),
    _text("Notes"),
    _ref("Owner", "User"),
    _ref("Workspace", "Workspace", read_only=True),
    _ref("Project", "Project"),
    _many("Tags", "Tag"),
    _many("Discussion", "ConversationPost"),
    Attribute(name="Blocked", form=Form.BOOLEAN),
    Attribute(name="Ready", form=Form.BOOLEAN),
)
_BASE_SCHEDULE = ("Defined", "In-Progress", "Completed", "Accepted")


def types(
    *, schedule: tuple[str, ...] = _BASE_SCHEDULE, custom: Mapping[str, Iterable[Attribute]] | None = None
) -> dict[str, Type]:
    """All types by name in lower case; ``custom`` adds attributes to a type by its name."""
    schedule_state = Attribute(
        name="ScheduleState", form=Form.STATE, required=True, allowed=schedule, first="Defined"
    )
    found = [
        Type(
            name="HierarchicalRequirement",
            display="User Story",
            prefix="US",
            creatable=True,
            attributes=_made(
                (
                    *_ARTIFACT,
                    schedule_state,
                    _ref("Parent", "HierarchicalRequirement"),
                    Attribute(name="PlanEstimate", form=Form.QUANTITY),
                    _many("Tasks", "Task"),
                    _many("Defects", "Defect"),
                )
            ),
        ),
        Type(
            name="Task",
            display="Task",
            prefix="TA",
            creatable=True,
            attributes=_made(
                (
                    *_ARTIFACT,
                    Attribute(
                        name="State",
                        form=Form.STATE,
                        required=True,
                        allowed=("Defined", "In-Progress", "Completed"),
                        first="Defined",
                    ),
                    _ref("WorkProduct", "HierarchicalRequirement", required=True),
                    Attribute(name="Estimate", form=Form.QUANTITY),
                    Attribute(name="ToDo", form=Form.QUANTITY),
                    Attribute(name="Actuals", form=Form.QUANTITY),
                )
            ),
        ),
        Type(
            name="Defect",
            display="Defect",
            prefix="DE",
            creatable=True,
            attributes=_made(
                (
                    *_ARTIFACT,
                    schedule_state,
                    Attribute(
                        name="State",
                        form=Form.STATE,
                        required=True,
                        allowed=("Submitted", "Open", "Fixed", "Closed"),
                        first="Submitted",
                    ),
                    Attribute(
                        name="Priority",
                        form=Form.RATING,
                        allowed=("None", "Resolve Immediately", "High Attention", "Normal", "Low"),
                        first="None",
                    ),
                    Attribute(
                        name="Severity",
                        form=Form.RATING,
                        allowed=("None", "Crash/Data Loss", "Major Problem", "Minor Problem", "Cosmetic"),
                        first="None",
                    ),
                    _ref("Requirement", "HierarchicalRequirement"),
                )
            ),
        ),
        Type(
            name="TestCase",
            display="Test Case",
            prefix="TC",
            creatable=True,
            attributes=_made(
                (
                    *_ARTIFACT,
                    Attribute(
                        name="Method", form=Form.RATING, allowed=("Manual", "Automated"), first="Manual"
                    ),
                    _ref("WorkProduct", "HierarchicalRequirement"),
                )
            ),
        ),
        *_OTHERS,
    ]
    for name, attributes in (custom or {}).items():
        found = [
            Type(
                name=each.name,
                display=each.display,
                prefix=each.prefix,
                creatable=each.creatable,
                attributes={**each.attributes, **_made(attributes)},
            )
            if each.name == name
            else each
            for each in found
        ]
    return {each.name.lower(): each for each in found}


def _other(name: str, *attributes: Attribute, creatable: bool = False) -> Type:
    return Type(name=name, display=name, creatable=creatable, attributes=_made((*_COMMON, *attributes)))


_NAME = Attribute(name="Name", required=True, max_length=NAME_LENGTH)
_STATE = Attribute(name="State", allowed=("Open", "Closed"), first="Open")

_OTHERS = (
    _other("Subscription", _NAME, _many("Workspaces", "Workspace")),
    _other("Workspace", _NAME, _STATE, _many("Projects", "Project")),
    _other("Project", _NAME, _STATE, _ref("Workspace", "Workspace"), _ref("Parent", "Project")),
    _other(
        "User",
        Attribute(name="UserName"),
        Attribute(name="DisplayName"),
        Attribute(name="FirstName"),
        Attribute(name="LastName"),
        Attribute(name="Disabled", form=Form.BOOLEAN),
        _ref("UserProfile", "UserProfile"),
    ),
    _other("UserProfile", _ref("DefaultWorkspace", "Workspace"), _ref("DefaultProject", "Project")),
    _other("Tag", _NAME, _ref("Workspace", "Workspace"), creatable=True),
    _other(
        "ConversationPost",
        _ref("Artifact", "HierarchicalRequirement", required=True),
        _text("Text"),
        creatable=True,
    ),
    _other(
        "RecycleBinEntry",
        _NAME,
        Attribute(name="ID"),
        Attribute(name="Type"),
        Attribute(name="DeletionDate", form=Form.DATE),
        _ref("Project", "Project"),
        _ref("Workspace", "Workspace"),
    ),
    _other(
        "TypeDefinition",
        _NAME,
        Attribute(name="ElementName"),
        Attribute(name="DisplayName"),
        Attribute(name="TypePath"),
        Attribute(name="IDPrefix"),
        Attribute(name="Abstract", form=Form.BOOLEAN),
        Attribute(name="Creatable", form=Form.BOOLEAN),
        Attribute(name="Queryable", form=Form.BOOLEAN),
        Attribute(name="ReadOnly", form=Form.BOOLEAN),
        Attribute(name="Deletable", form=Form.BOOLEAN),
        Attribute(name="Restorable", form=Form.BOOLEAN),
        Attribute(name="Ordinal", form=Form.INTEGER),
        _ref("Parent", "TypeDefinition"),
        _many("Attributes", "AttributeDefinition"),
    ),
    _other(
        "AttributeDefinition",
        _NAME,
        Attribute(name="ElementName"),
        Attribute(name="AttributeType"),
        Attribute(name="SchemaType"),
        Attribute(name="Custom", form=Form.BOOLEAN),
        Attribute(name="Required", form=Form.BOOLEAN),
        Attribute(name="ReadOnly", form=Form.BOOLEAN),
        Attribute(name="Filterable", form=Form.BOOLEAN),
        Attribute(name="Hidden", form=Form.BOOLEAN),
        Attribute(name="Constrained", form=Form.BOOLEAN),
        Attribute(name="MaxLength", form=Form.INTEGER),
        Attribute(name="MaxFractionalDigits", form=Form.INTEGER),
        _ref("AllowedValueType", "TypeDefinition"),
        _many("AllowedValues", "AllowedAttributeValue"),
    ),
    _other("AllowedAttributeValue", Attribute(name="StringValue"), Attribute(name="ValueIndex")),
)
