"""Both sides are driven at random for twenty rounds, while everything goes wrong that can."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest

from runner.model.jobs import Outcome
from simulators.rally.faults import Fault
from simulators.rally.things import Thing
from tests.servers.rally_stage import Rig, listed

ROUNDS = 20
TRIES = 6
STATES = ("Defined", "In-Progress", "Completed", "Accepted")
DONE = ("Completed", "Accepted")


class Drive:
    """One rig, its random people, and what they are owed."""

    def __init__(self, rig: Rig, policy: str, seed: int) -> None:
        self.rig = rig
        self.policy = policy
        self.rng = Random(seed)  # noqa: S311 - it guards nothing, it repeats itself
        self.next_task = 6
        self.changed: dict[str, datetime] = {}  # when a task's status was changed last
        self.owed: dict[str, int] = {}  # notes of statuses that Rally decided

    def people_at_work(self) -> None:
        """Some of everything, on both sides."""
        rng, rig = self.rng, self.rig
        if rng.random() < 0.6:
            rig.add_tasks(listed(self.next_task))
            self.next_task += 1
        for task_id, status in rig.statuses().items():
            if rng.random() < 0.25:
                at = rig.things.now() + timedelta(seconds=rng.choice((-30, 30)))
                other = rng.choice([each for each in ("TS1", "TS2", "TS3") if each != status])
                rig.set_task(task_id, at=at, status=other)
                self.changed[task_id] = at
        for item in rig.rally.items():
            self.somebody_edits(item)

    def somebody_edits(self, item: Thing) -> None:
        """A person at Rally: a state, a title, a tag, another project."""
        rng, things = self.rng, self.rig.things
        if rng.random() < 0.25:
            things.change(item, ScheduleState=rng.choice(STATES))
        if rng.random() < 0.1:
            things.change(item, Name=f"{item.name} ({rng.randrange(100)})")
        if rng.random() < 0.1:
            things.change(item, Tags=[])
        if rng.random() < 0.05:
            things.change(item, Project=self.rig.rally.elsewhere.oid)

    def expect(self) -> dict[str, tuple[str, bool]]:
        """What each linked pair has to come to: the task's status, and whether the item is done."""
        found: dict[str, tuple[str, bool]] = {}
        for task_id, status in self.rig.statuses().items():
            if f"1-{task_id}" not in self.rig.links():
                continue
            item = self.rig.item(task_id)
            done = item.values["ScheduleState"] in DONE
            found[task_id] = (status, done)
            if (status != "TS2") is done:
                continue
            if self.task_wins(task_id, item):
                found[task_id] = (status, status != "TS2")
            elif status != "TS3" or done:
                found[task_id] = ("TS1" if done else "TS2", done)
                self.owed[task_id] = self.owed.get(task_id, 0) + 1
                self.changed[task_id] = self.rig.things.now()  # that is what the run makes of it
        return found

    def task_wins(self, task_id: str, item: Thing) -> bool:
        """Whether the platform decides a difference."""
        if self.policy != "timestamp":
            return self.policy == "sde"
        changed = self.changed.get(task_id)
        return changed is not None and changed > item.updated

    def sync(self) -> None:
        """Runs under faults, then as many as it takes without; at most one."""
        faults = self.rig.faults
        faults.kinds, faults.rng, faults.rate = tuple(Fault), self.rng, 0.12
        self.rig.run()
        faults.clear()
        messages = []
        for _ in range(TRIES):
            done = self.rig.run()
            if done.outcome is Outcome.SUCCEEDED:
                return
            messages.append(done.message)
        pytest.fail(f"it never recovers: {messages}")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["alm", "sde", "timestamp"])
def test_twenty_rounds_end_in_agreement(new_rig: Callable[..., Rig], policy: str) -> None:
    """After each round both sides agree by policy; no item is there twice, and no note is lost."""
    rig = new_rig(listed(1, 2, 3, 4, 5), conflict_policy=policy, alm_timeout=1)
    drive = Drive(rig, policy, seed=sum(policy.encode()))
    rig.succeed()
    for number in range(ROUNDS):
        drive.people_at_work()
        expected = drive.expect()
        drive.sync()
        for task_id, (status, done) in expected.items():
            found = (rig.statuses()[task_id], rig.item(task_id).values["ScheduleState"] in DONE)
            assert found == (status, done), f"round {number}: {task_id}"
        rig.rally.by_key()  # fails where a task has two items
        assert len(rig.rally.items()) == len(rig.links())
        for key in rig.links():
            task_id = key.partition("-")[2]
            notes = rig.notes(task_id)
            made = [text for text in notes if text.startswith("Rally Rally Project")]
            assert [rig.item(task_id).values["FormattedID"] in text for text in made] == [True]
            assert len(notes) - len(made) == drive.owed.get(task_id, 0), f"round {number}: {notes}"
    assert rig.succeed().rows == []
