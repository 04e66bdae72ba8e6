"""Finding the way: workspace, project, the type's states, the parent story, tags.

Found once and remembered between runs: eight requests at the most, and none while what is
remembered still fits the connection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.connectors.rally.client import Rally, Rejected, chunks, equals, joined, tail
from runner.connectors.rally.params import RallyParams
from runner.errors import ConfigRejected

KEY = "places"
"""The name under which they are remembered."""

_PATH = " // "
_TAGS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a connection's items are."""

    asked: str  # what of the connection they were found for
    workspace: str  # references: "/workspace/1"
    project: str
    project_name: str
    parent: str  # of new tasks; "" = none
    has_priority: bool
    attributes: tuple[str, ...]  # of the type, lower case
    tags: dict[str, str] = field(default_factory=dict)  # name to reference; grows as more are looked up

    @property
    def project_id(self) -> str:
        """The project's number, as addresses of pages have it."""
        return self.project.rpartition("/")[2]


def recall(memory: Mapping[str, Any], params: RallyParams) -> Places | None:
    """What was remembered, if it is about the same places."""
    known = memory.get(KEY)
    if not isinstance(known, dict) or known.get("asked") != _asked(params):
        return None
    try:
        return Places(**{**known, "attributes": tuple(known["attributes"]), "tags": dict(known["tags"])})
    except (TypeError, KeyError, ValueError):
        return None  # written by another version: found again


def to_memory(places: Places) -> dict[str, Any]:
    """As a context remembers it."""
    return {**asdict(places), "attributes": list(places.attributes)}


def _asked(params: RallyParams) -> str:
    states = params.states
    return "\n".join(
        (
            params.alm_method,
            params.alm_server,
            params.alm_context_root,
            params.rally_workspace,
            params.alm_project,
            params.rally_card_type,
            params.alm_parent_issue,
            states.new,
            ",".join(states.done),
            ",".join(sorted(params.alm_custom_fields)),
            ",".join(sorted(params.alm_custom_lookup_fields)),
        )
    )


def find(rally: Rally, params: RallyParams) -> Places:
    """Find all of it; ``ConfigRejected`` names what isn't there."""
    workspace = find_workspace(rally, params)
    project, name = find_project(rally, params, workspace)
    attributes = _attributes(rally, params, workspace)
    _check_states(rally, params, attributes)
    for setting in (*params.alm_custom_fields, *params.alm_custom_lookup_fields):
        if setting.lower() not in attributes:
            raise ConfigRejected(
                f"Rally's {params.rally_card_type} has no field {setting}. Correct alm_custom_fields; "
                "a custom field is called c_ and its name without blanks."
            )
    return Places(
        asked=_asked(params),
        workspace=workspace,
        project=project,
        project_name=name,
        parent=_parent(rally, params, workspace) if params.alm_parent_issue else "",
        has_priority="priority" in attributes,
        attributes=tuple(attributes),
    )


def find_workspace(rally: Rally, params: RallyParams) -> str:
    """The workspace's reference. Names are found through the subscription only."""
    if not params.rally_workspace:
        raise ConfigRejected("The connection names no workspace. Set rally_workspace.")
    subscription = rally.read("/subscription", fetch="Workspaces,Name")
    rows = rally.query(
        f"/subscription/{tail(subscription.get('_ref')).rpartition('/')[2]}/Workspaces",
        query=joined([equals("Name", params.rally_workspace), equals("State", "Open")], "AND"),
        fetch="Name,ObjectID,State",
    )
    return tail(_only(rows, "workspace", params.rally_workspace, "rally_workspace"))


def find_project(rally: Rally, params: RallyParams, workspace: str) -> tuple[str, str]:
    """The project's reference and name; where names repeat, a path tells which is meant."""
    if not params.alm_project:
        raise ConfigRejected("The connection names no Rally project. Set alm_project.")
    *above, name = params.alm_project.split(_PATH)
    rows = rally.query(
        "/project",
        query=joined([equals("Name", name), equals("State", "Open")], "AND"),
        fetch="Name,ObjectID,Parent",
        workspace=workspace,
        project="null",
    )
    if above:
        rows = [row for row in rows if (row.get("Parent") or {}).get("_refObjectName") == above[-1]]
    found = _only(rows, "project", name, "alm_project")
    return tail(found), name


def _only(rows: list[dict[str, Any]], what: str, name: str, setting: str) -> dict[str, Any]:
    exact = [row for row in rows if row.get("Name", row.get("_refObjectName")) == name]
    if not exact:
        raise ConfigRejected(
            f"Rally has no open {what} {name} that this user may see. Correct {setting}, or give the "
            "user access."
        )
    if len(exact) > 1:
        hint = ' Tell it apart by its path: "Base // Child // Leaf".' if what == "project" else ""
        raise ConfigRejected(f"Rally has {len(exact)} open {what}s called {name}.{hint} Correct {setting}.")
    return exact[0]


def _attributes(rally: Rally, params: RallyParams, workspace: str) -> dict[str, dict[str, Any]]:
    rows = rally.query(
        "/typedefinition",
        query=equals("TypePath", params.states.type_name),
        fetch="ObjectID,TypePath",
        workspace=workspace,
    )
    definition = next((row for row in rows if row.get("TypePath") == params.states.type_name), None)
    if definition is None:
        raise ConfigRejected(f"Rally's workspace has no type {params.states.type_name}.")
    found = rally.query(
        f"{tail(definition)}/Attributes", fetch="ElementName,AttributeType,AllowedValues,Constrained"
    )
    return {str(row.get("ElementName")).lower(): row for row in found}


def _check_states(rally: Rally, params: RallyParams, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    states = params.states
    attribute = attributes.get(states.attribute.lower()) or {}
    values = attribute.get("AllowedValues")
    rows = rally.query(tail(values), fetch="StringValue") if isinstance(values, dict) else []
    allowed = [str(row.get("StringValue")) for row in rows]
    for setting, wanted in (("rally_new_status", [states.new]), ("rally_done_statuses", states.done)):
        for state in wanted:
            if state not in allowed:
                raise ConfigRejected(
                    f"{state} is no state of Rally's {params.rally_card_type}: {', '.join(allowed)} are. "
                    f"Correct {setting}."
                )
    if states.new in states.done:
        raise ConfigRejected(f"{states.new} can't mean both open and done. Correct rally_done_statuses.")


def _parent(rally: Rally, params: RallyParams, workspace: str) -> str:
    rows = rally.query(
        "/hierarchicalrequirement",
        query=equals("FormattedID", params.alm_parent_issue),
        fetch="FormattedID",
        workspace=workspace,
        project="null",
    )
    exact = [row for row in rows if row.get("FormattedID") == params.alm_parent_issue]
    if not exact:
        raise ConfigRejected(
            f"Rally has no story {params.alm_parent_issue} that this user may see. Correct alm_parent_issue."
        )
    return tail(exact[0])


def find_tags(rally: Rally, workspace: str, names: Iterable[str]) -> dict[str, str]:
    """References of the tags that are there. Where a name is there twice, the older one counts."""
    found: dict[str, str] = {}
    for some in chunks(sorted(set(names)), _TAGS_AT_ONCE):
        try:
            rows = rally.query(
                "/tag",
                query=joined([equals("Name", name) for name in some], "OR"),
                fetch="Name,ObjectID",
                workspace=workspace,
            )
        except Rejected as error:
            raise ConfigRejected(f"Rally can't look up tags: {error}.") from error
        for row in rows:  # in the order of their ObjectIDs
            if row.get("Name") in some:
                found.setdefault(str(row["Name"]), tail(row))
    return found
