"""Every cell of task status, item state, policy and who changed last, at real daemons."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.rally_stage import Rig, listed

WHEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = {"task": timedelta(seconds=1), "item": timedelta(seconds=-1), "nobody": timedelta()}
STATUSES = {"todo": "TS2", "done": "TS1", "na": "TS3"}
STATES = ("Defined", "In-Progress", "Completed", "Accepted")

ALM = {
    ("todo", "open"): "as it is",
    ("todo", "done"): "task TS1",
    ("done", "open"): "task TS2",
    ("done", "done"): "as it is",
    ("na", "open"): "as it is",  # an accepted risk is never taken back by an open item
    ("na", "done"): "as it is",
}
SDE = {
    ("todo", "open"): "as it is",
    ("todo", "done"): "item Defined",
    ("done", "open"): "item Completed",
    ("done", "done"): "as it is",
    ("na", "open"): "item Completed",
    ("na", "done"): "as it is",
}
TABLE = {
    ("alm", "task"): ALM,
    ("alm", "item"): ALM,
    ("alm", "nobody"): ALM,
    ("sde", "task"): SDE,
    ("sde", "item"): SDE,
    ("sde", "nobody"): SDE,
    ("timestamp", "task"): SDE,
    ("timestamp", "item"): ALM,
    ("timestamp", "nobody"): ALM,  # a tie is Rally's
}


@pytest.mark.parametrize(("policy", "later"), TABLE)
def test_each_cell_ends_as_the_policy_says(new_rig: Callable[..., Rig], policy: str, later: str) -> None:
    """Twelve pairs of one policy and one order of times end as the table says, and then agree."""
    cells = {
        f"T{number}": (status, state)
        for number, (status, state) in enumerate(
            ((status, state) for status in STATUSES for state in STATES), start=1
        )
    }
    rig = new_rig(listed(*range(1, len(cells) + 1)), conflict_policy=policy)
    for number, (task_id, (status, state)) in enumerate(cells.items(), start=1):
        item = rig.rally.add(f"{task_id}: Do thing {number}", state=state)
        item.updated = WHEN
        rig.set_task(task_id, at=WHEN + LATER[later], status=STATUSES[status])
    rig.succeed()
    for task_id, (status, state) in cells.items():
        done = "done" if state in ("Completed", "Accepted") else "open"
        side, _, value = TABLE[policy, later][status, done].partition(" ")
        expected = (value if side == "task" else STATUSES[status], value if side == "item" else state)
        found = (rig.statuses()[task_id], rig.states()[task_id])
        assert found == expected, f"{status} and {state} by {policy}, changed last: {later}"
    assert rig.succeed().rows == []


def test_an_accepted_risk_is_taken_back_where_that_is_asked_for(new_rig: Callable[..., Rig]) -> None:
    """With alm_overwrite_na an open item reopens a task that isn't applicable."""
    rig = new_rig(listed(1), alm_overwrite_na=True)
    rig.rally.add("T1: Do thing 1")
    rig.set_task("T1", status="TS3")
    rig.succeed()
    assert rig.statuses()["T1"] == "TS2"


def test_an_accepted_risk_that_stays_is_told(new_rig: Callable[..., Rig]) -> None:
    """The message says that an open item and an accepted risk were left as they are."""
    rig = new_rig(listed(1))
    rig.rally.add("T1: Do thing 1")
    rig.set_task("T1", status="TS3")
    assert "1 stay Not Applicable" in rig.succeed().message


@pytest.mark.parametrize("card", ["Task", "Defect"])
def test_other_cards_have_their_own_states(new_rig: Callable[..., Rig], card: str) -> None:
    """Tasks and defects are made, closed and read by the states of their type."""
    more = {"alm_parent_issue": "US1"} if card == "Task" else {}
    rig = new_rig(listed(1, 2), rally_card_type=card, conflict_policy="sde", **more)
    rig.rally.add("The parent", tagged=False)
    rig.succeed()
    rig.set_task("T1", status="TS1")
    rig.succeed()
    assert rig.states()["T1"] == {"Task": "Completed", "Defect": "Closed"}[card]
    assert rig.states()["T2"] == {"Task": "Defined", "Defect": "Submitted"}[card]
    if card == "Defect":
        assert rig.item("T2").values["Priority"] == "High Attention"
    assert rig.succeed().rows == []


def test_creating_only_changes_no_status(new_rig: Callable[..., Rig]) -> None:
    """With alm_standard_workflow off, items are made and statuses stay on both sides."""
    rig = new_rig(listed(1, 2), alm_standard_workflow="false")
    rig.rally.add("T1: Do thing 1", state="Accepted")
    rig.succeed()
    assert (rig.statuses()["T1"], rig.states()) == ("TS2", {"T1": "Accepted", "T2": "Defined"})
