"""How many requests a run makes, by the server's own count."""

from collections.abc import Callable

import pytest

from simulators.rally.faults import CONCURRENT
from tests.servers.rally_stage import Rig, listed

MANY = 1000


@pytest.mark.slow
def test_a_thousand_tasks_cost_few_requests(new_rig: Callable[..., Rig]) -> None:
    """A thousand new items cost 1.2 requests each at the most; in step they cost three in all."""
    rig = new_rig(listed(*range(1, MANY + 1)))
    rig.succeed()
    traffic = rig.simulator.traffic
    assert len(rig.rally.items()) == MANY
    assert traffic.total <= 1.2 * MANY, traffic.counts
    assert traffic.most <= CONCURRENT
    assert traffic.slowed == 0
    rig.requests()
    done = rig.succeed()
    assert done.rows == []
    assert f"{MANY} in step already" in done.message
    assert sum(rig.requests().values()) <= 3


def test_set_up_costs_eight_requests_and_is_remembered(new_rig: Callable[..., Rig]) -> None:
    """Finding the way costs eight requests at the most, with a parent story too; the next run needs none."""
    rig = new_rig(listed(1), rally_card_type="Task", alm_parent_issue="US1")
    rig.rally.add("The parent", tagged=False)
    rig.run(preview=True)
    asked = rig.requests()
    assert sum(asked.values()) - asked["GET task"] <= 8, asked
    rig.succeed()
    rig.requests()
    rig.succeed()
    assert rig.requests() == {"GET task": 1}


def test_two_projects_in_one_rally_project_stay_apart(new_rig: Callable[..., Rig]) -> None:
    """Tasks of the same title in two projects have an item each, and lost references change nothing of it."""
    rig = new_rig(listed(1, 2))
    rig.succeed()
    for item in rig.rally.items():  # as if another project's runs had made them
        text = str(item.values["Description"]).replace("1-T", "9-T").replace("Arena", "Another")
        rig.things.change(item, Description=text)
    rig.forget()
    rig.succeed()
    assert len(rig.rally.items()) == 4
    rig.forget()
    rig.succeed()
    assert len(rig.rally.items()) == 4
