"""What a Rally connection can be told, in all its spellings."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from runner.connectors.rally import text
from runner.connectors.rally.client import equals, joined, tail
from runner.connectors.rally.params import CardType, Policy, RallyParams
from runner.model.platform import Meaning, Verification
from simulators.rally.query import parse

SEED = {
    "sde_project": "Demo Project",
    "alm_auth_mode": "basic",
    "alm_user": "rally_user",
    "sde_verification_filter": "none,partial,pass,fail",
    "rally_workspace": "Rally Workspace",
    "alm_method": "https",
    "alm_title_format": "$task_id $title",
    "alm_server": "rally1.rallydev.com",
    "sde_businessunit": "General",
    "sde_application": "Demo Application",
    "alm_project": "Rally Project",
    "alm_pass": "rally_password",
    "alm_phases": "requirements,architecture-design,development",
    "sde_statuses_in_scope": "TODO",
    "conflict_policy": "alm",
    "sde_min_priority": "7",
}


def test_the_documented_connection_is_read() -> None:
    """All parameters of the API's own pages mean what they say."""
    params = RallyParams.model_validate(SEED)
    assert params.sde_statuses_in_scope == (Meaning.TODO,)
    assert set(params.sde_verification_filter) == set(Verification)
    assert params.alm_phases == ("requirements", "architecture-design", "development")
    assert (params.conflict_policy, params.sde_min_priority) == (Policy.ALM, 7)


def test_other_spellings_are_read() -> None:
    """Names and values that servers write otherwise are the same."""
    params = RallyParams.model_validate(
        {
            "title_format": "${task_id} ${title}",
            "alm_workspace": "W",
            "rally_project": "P",
            "rally_card_type": "defect",
            "sde_statuses_in_scope": ["todo", "NA"],
            "conflict_policy": "Timestamp",
            "alm_standard_workflow": "False",
        }
    )
    assert (params.alm_title_format, params.rally_workspace, params.alm_project) == (
        "${task_id} ${title}",
        "W",
        "P",
    )
    assert params.rally_card_type is CardType.DEFECT
    assert params.sde_statuses_in_scope == (Meaning.TODO, Meaning.NA)
    assert params.conflict_policy is Policy.TIMESTAMP
    assert params.alm_standard_workflow is False


def test_priorities_are_mapped_by_number_and_range() -> None:
    """A map in the old form covers each priority once."""
    params = RallyParams.model_validate(
        {"alm_priority_map": '{"1-5": "Low", "6": "Normal", "7-10": "High Attention"}'}
    )
    assert [params.alm_priority_map[n] for n in (1, 5, 6, 10)] == ["Low", "Low", "Normal", "High Attention"]


WRONG: dict[str, dict[str, object]] = {
    "title without id": {"alm_title_format": "$title"},
    "task without parent": {"rally_card_type": "Task"},
    "parent of a story": {"alm_parent_issue": "US1"},
    "unknown policy": {"conflict_policy": "whoever"},
    "priority twice": {"alm_priority_map": '{"1-6": "Low", "6-10": "Normal"}'},
    "priority missing": {"alm_priority_map": '{"1-6": "Low"}'},
    "no JSON": {"alm_custom_fields": "c_Team=Security"},
    "unknown status": {"sde_statuses_in_scope": "TODO,LATER"},
    "start fresh": {"start_fresh": True},
    "no label": {"alm_issue_label": ""},
    "no phase": {"alm_phases": ""},
    "context without value": {"alm_title_format": "$task_id $title $context"},
    "gopher": {"alm_method": "gopher"},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_meant_is_refused(what: str) -> None:
    """Settings that contradict themselves are refused before a run, by name."""
    with pytest.raises(ValidationError) as refused:
        RallyParams.model_validate(WRONG[what])
    (setting, *_) = WRONG[what]
    assert setting in str(refused.value)


def test_passwords_are_not_shown() -> None:
    """A secret isn't in what is printed of the parameters."""
    params = RallyParams.model_validate({**SEED, "alm_api_token": "_key"})
    assert "rally_password" not in repr(params)
    assert "_key" not in repr(params)


def test_each_parameter_is_documented() -> None:
    """The readme names all of them, and none that isn't there."""
    readme = Path(text.__file__).with_name("README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)) == set(RallyParams.model_fields)


@pytest.mark.parametrize("number", [1, 2, 3, 7, 200, 1000])
def test_questions_are_pairs_in_parentheses(number: int) -> None:
    """However many conditions, the server's grammar takes them, and they don't nest deep."""
    query = joined([equals("Name", f"T{n}: (odd) & more") for n in range(number)], "OR")
    parse(query)
    depth = deepest = 0
    for char in query.replace("(odd)", ""):
        depth += {"(": 1, ")": -1}.get(char, 0)
        deepest = max(deepest, depth)
    assert deepest <= number.bit_length() + 1


@pytest.mark.parametrize(
    "ref",
    [
        "https://rally1.rallydev.com/slm/webservice/v2.0/task/7",
        "http://other.example/slm/webservice/v2.0/task/7.js",
        "/task/7",
        {"_ref": "https://rally1.rallydev.com/slm/webservice/v2.0/task/7"},
    ],
)
def test_references_are_the_same_in_all_spellings(ref: object) -> None:
    """A host or a suffix makes no other reference."""
    assert tail(ref) == "/task/7"
