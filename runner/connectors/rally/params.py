"""What a Rally connection can be told. Names are those of the SD Elements API, old and new."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from runner.model.platform import Meaning, Verification
from runner.params import Folded, Names, ProjectParams, Scheme, names, without_password


class AuthMode(StrEnum):
    """What gets us in."""

    BASIC = "basic"  # user and password
    TOKEN = "token"  # noqa: S105 - an API key


class CardType(StrEnum):
    """What sort of work item a task becomes."""

    STORY = "Story"
    TASK = "Task"
    DEFECT = "Defect"


class Policy(StrEnum):
    """Who is right where the two sides differ."""

    ALM = "alm"
    SDE = "sde"
    TIMESTAMP = "timestamp"  # whoever changed last; a tie is Rally's


def _titled(value: object) -> object:
    return value.strip().title() if isinstance(value, str) else value


def _object(value: object) -> object:
    """Read a JSON object, or the text of one; empty text is an empty object."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('must be a JSON object, as {"c_Team": "Security"}') from None


def _parsed_map(value: object) -> object:
    """Read a map of priorities: numbers or ranges ("6-8") to Rally's words, each of 1 to 10 once."""
    found = _object(value)
    if not isinstance(found, Mapping) or not found:
        return found
    words: dict[int, str] = {}
    for key, word in found.items():
        low, _, high = str(key).partition("-")
        if not low.strip().isdigit() or (high and not high.strip().isdigit()):
            raise ValueError(f'has {key!r} where a number or a range, as "6-8", should be')
        for number in range(int(low), int(high or low) + 1):
            if number in words:
                raise ValueError(f"names priority {number} twice")
            words[number] = str(word)
    if sorted(words) != list(range(1, 11)):
        raise ValueError("must name each priority from 1 to 10 once")
    return words


Fields = Annotated[dict[str, str | list[str]], BeforeValidator(_object)]

_PRIORITIES = {
    **dict.fromkeys(range(1, 4), "Low"),
    **dict.fromkeys(range(4, 6), "Normal"),
    **dict.fromkeys(range(6, 9), "High Attention"),
    **dict.fromkeys(range(9, 11), "Resolve Immediately"),
}


class RallyParams(ProjectParams):
    """Settings of a connection."""

    # --- where Rally is ------------------------------------------------------------------
    alm_server: Annotated[str, AfterValidator(without_password)] = Field(
        "", description="Host of Rally, as rally1.rallydev.com; host|proxy goes through one."
    )
    alm_method: Annotated[Scheme, Folded] = Field(
        Scheme.HTTPS, description="https, or http within one machine."
    )
    alm_context_root: str = Field(
        "", description="Path before /slm, where Rally isn't at the root of its host."
    )
    alm_validate_cert: bool = Field(True, description="Whether Rally's certificate is verified.")
    ca_bundle: str = Field(
        "", description="Authorities to trust besides the public ones: a file, or PEM text."
    )
    alm_timeout: float = Field(
        60.0, gt=0, description="Seconds without a byte after which Rally counts as out of reach."
    )
    alm_auth_mode: Annotated[AuthMode, Folded] = Field(
        AuthMode.BASIC, description="basic (alm_user and alm_pass) or token (alm_api_token)."
    )
    alm_user: str = Field("", description="User for basic.")
    alm_pass: SecretStr = Field(SecretStr(""), description="Password for basic.")
    alm_api_token: SecretStr = Field(
        SecretStr(""),
        description="API key; it begins with an underscore. Where it is set, it is what is used.",
    )
    rally_workspace: str = Field(
        "",
        validation_alias=AliasChoices("rally_workspace", "alm_workspace"),
        description="Workspace, by name.",
    )
    alm_project: str = Field(
        "",
        validation_alias=AliasChoices("alm_project", "rally_project"),
        description='Rally project, by name; where names repeat, by path: "Base // Child // Leaf".',
    )

    # --- what an item is -----------------------------------------------------------------
    rally_card_type: Annotated[CardType, BeforeValidator(_titled)] = Field(
        CardType.STORY, description="Story, Task or Defect."
    )
    alm_parent_issue: str = Field("", description="Formatted id of the story that new Tasks belong to.")
    rally_new_status: str = Field(
        "", description="State of an open item. Unset: Defined; Submitted for a Defect."
    )
    rally_done_statuses: Names = Field(
        (),
        description="States that mean done; the first is the one that is written. Unset: Completed,Accepted; "
        "Completed for a Task; Closed,Fixed for a Defect.",
    )
    alm_issue_label: str = Field("SD-Elements", description="Tag that every item gets, and is found by.")
    alm_title_format: str = Field(
        "$task_id $title",
        validation_alias=AliasChoices("alm_title_format", "title_format"),
        description="Name of an item; it may use $task_id, $title (both are needed), $context, $application "
        "and $project.",
    )
    alm_context: str = Field("", description="What $context stands for.")
    alm_priority_map: Annotated[dict[int, str], BeforeValidator(_parsed_map)] = Field(
        _PRIORITIES,
        description='JSON: priorities or ranges of them to Rally\'s words, as {"1-3": "Low", …}. '
        "Written to new items whose type has a Priority.",
    )
    alm_custom_fields: Fields = Field(
        {}, description="JSON: further fields of new items, by their Rally name."
    )
    alm_custom_lookup_fields: Fields = Field(
        {}, description="JSON: fields that an item must have to be ours."
    )

    # --- which tasks ---------------------------------------------------------------------
    alm_phases: Names = Field(
        ("requirements", "architecture-design", "development"), description="Phases whose tasks are in scope."
    )
    sde_min_priority: int = Field(7, ge=1, le=10, description="Lowest priority in scope.")
    sde_statuses_in_scope: Annotated[tuple[Meaning, ...], BeforeValidator(names)] = Field(
        (Meaning.TODO,), description="Meanings of task statuses for which items are created: TODO, DONE, NA."
    )
    sde_tags_filter: Names = Field((), description="Tags that a task in scope must all have.")
    sde_verification_filter: Annotated[tuple[Verification, ...], BeforeValidator(names)] = Field(
        (), description="Verifications in scope: none, partial, pass, fail. Unset: all."
    )
    selected_tasks: Names = Field((), description="Task ids, as T12,CT3; they replace all other filters.")

    # --- what a run does -----------------------------------------------------------------
    conflict_policy: Annotated[Policy, Folded] = Field(
        Policy.ALM, description="Who is right where the two differ: alm, sde or timestamp (a tie is Rally's)."
    )
    alm_standard_workflow: bool = Field(True, description="false creates items and never changes a status.")
    alm_overwrite_na: bool = Field(
        False, description="Whether an open item may reopen a task that is Not Applicable, an accepted risk."
    )
    alm_close_removed: bool = Field(
        False, description="Whether the items of tasks that leave the scope are closed."
    )
    rally_recreate_deleted: bool = Field(
        False, description="Whether a task whose item was deleted in Rally gets a new one."
    )

    # --- kept as it came -----------------------------------------------------------------
    start_fresh: bool = Field(False, description="Only false is accepted: no run deletes all items first.")

    @field_validator("sde_statuses_in_scope", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        found = names(value)
        return [str(name).upper() for name in found] if isinstance(found, list | tuple) else found

    @field_validator("alm_title_format")
    @classmethod
    def _tells_apart(cls, value: str) -> str:
        for name in ("task_id", "title"):
            if f"${name}" not in value and f"${{{name}}}" not in value:
                raise ValueError(f"must contain ${name}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "RallyParams":
        if self.start_fresh:
            raise ValueError("start_fresh is not offered: delete the items in Rally if you want them gone")
        if self.rally_card_type is CardType.TASK and not self.alm_parent_issue:
            raise ValueError("alm_parent_issue is required where rally_card_type is Task")
        if self.rally_card_type is not CardType.TASK and self.alm_parent_issue:
            raise ValueError("alm_parent_issue is for rally_card_type Task only")
        if not self.alm_issue_label:
            raise ValueError("alm_issue_label is required: items are found by it")
        if not self.alm_phases and not self.selected_tasks:
            raise ValueError("alm_phases must name a phase")
        if "context" in self.alm_title_format and not self.alm_context:
            raise ValueError("alm_context is required where alm_title_format has $context")
        return self

    @property
    def by_key(self) -> bool:
        """Whether the API key is what gets us in."""
        return self.alm_auth_mode is AuthMode.TOKEN or bool(self.alm_api_token.get_secret_value())

    @property
    def states(self) -> "States":
        """How the card type tells open from done."""
        return _STATES[self.rally_card_type].set_to(self.rally_new_status, self.rally_done_statuses)


class States:
    """The states of a card type: the attribute, the open one that is written, those that are done."""

    def __init__(self, type_name: str, attribute: str, new: str, done: tuple[str, ...]) -> None:
        self.type_name = type_name  # as the API calls it
        self.attribute = attribute
        self.new = new
        self.done = done

    def set_to(self, new: str, done: tuple[str, ...]) -> "States":
        """The same with what the connection sets."""
        if self.type_name == "Task" and done == ("Completed", "Accepted"):
            done = ()  # the default of stories, which servers write out for all card types
        return States(self.type_name, self.attribute, new or self.new, done or self.done)


_STATES: Mapping[CardType, States] = {
    CardType.STORY: States("HierarchicalRequirement", "ScheduleState", "Defined", ("Completed", "Accepted")),
    CardType.TASK: States("Task", "State", "Defined", ("Completed",)),
    CardType.DEFECT: States("Defect", "State", "Submitted", ("Closed", "Fixed")),
}


def filled(fields: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Custom fields with $application, $project and $context filled in."""
    from string import Template

    return {
        name: Template(value).safe_substitute(words) if isinstance(value, str) else value
        for name, value in fields.items()
    }
