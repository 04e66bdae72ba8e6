"""Promises about plans: what is shown is what is done, once, and never too much."""

from typing import Any

from runner.conformance.held import Held, NewWorld
from runner.conformance.world import STRICT, Finished, utc_now
from runner.errors import Reason
from runner.model.changes import ChangeState
from runner.model.jobs import Outcome
from runner.store import approvals, changes

ROUNDS = 3
"""How often the source changes in tests that follow it for a while."""


def plan_of(job: Finished) -> list[dict[str, Any]]:
    """A job's plan, in the words that a preview and a run have in common."""
    return [
        {
            "target": row.target.value,
            "op": row.op.value,
            "kind": row.kind,
            "key": row.key,
            "subject": row.subject,
            "before": row.before,
            "after": row.after,
        }
        for row in job.rows
    ]


class Planning(Held):
    """What a plan promises."""

    def test_preview_is_what_a_run_does(self, new_world: NewWorld) -> None:
        """A preview shows the very changes that the run after it makes, in their order."""
        world = new_world()
        for _ in range(ROUNDS):
            shown, made = world.run(preview=True), world.run()
            assert shown.outcome is Outcome.SUCCEEDED, shown.message
            assert made.outcome is Outcome.SUCCEEDED, made.message
            assert plan_of(shown) == plan_of(made)
            world.arena.change_source()

    def test_second_run_plans_nothing(self, new_world: NewWorld) -> None:
        """A run after one that succeeded has nothing left to do."""
        world = new_world()
        assert world.run().done(), "the arena's build() leaves nothing to do, so nothing was proven"
        for _ in range(ROUNDS):
            assert plan_of(world.run()) == []
            world.arena.change_source()
            world.run()

    def test_planning_writes_nothing(self, new_world: NewWorld) -> None:
        """As long as a run only plans, the target stays as it is."""
        world = new_world()
        before = world.state()
        world.run(preview=True)
        assert world.state() == before

    def test_ceiling_stops_a_run_until_a_person_allows_it(self, new_world: NewWorld) -> None:
        """A run that would destroy too much writes nothing, says how to allow it, and goes once then."""
        world = new_world()
        world.run()
        world.arena.wipe_source()
        before = world.state()
        stopped = world.run(safety=STRICT)
        if not self.arena.destroys:
            assert stopped.destructive() == [], "it destroys, though its arena says it never does"
            return
        assert (stopped.outcome, stopped.reason) == (Outcome.FAILED, Reason.CEILING), stopped.message
        assert stopped.keys(ChangeState.DONE, ChangeState.INTENDED) == set()
        assert world.state() == before
        number = len(stopped.destructive())
        assert f"`runner jobs retry {stopped.id} --allow-destructive {number}`" in stopped.message
        world.approve(number)
        allowed = world.run(safety=STRICT, retry_of=stopped.id)
        assert allowed.outcome is Outcome.SUCCEEDED, allowed.message
        assert len(allowed.destroyed()) == number
        left = world.read(
            lambda c: approvals.in_force(c, connection_id=world.connection_id, job_id=0, now=utc_now())
        )
        assert left == 0, "the approval holds for another run"

    def test_incomplete_read_destroys_nothing(self, new_world: NewWorld) -> None:
        """What a source that was cut short doesn't mention stays where it is."""
        world = new_world()
        world.run()
        world.arena.wipe_source()
        assert world.run(preview=True).rows, (
            "the arena's wipe_source() changes nothing, so nothing was proven"
        )
        world.arena.cut_source()
        before = world.state()
        cut = world.run()
        assert cut.destroyed() == []
        assert before.keys() <= world.state().keys()
        proven = all(read.complete for read in world.read(lambda c: changes.reads_of(c, cut.id)))
        assert cut.outcome is Outcome.FAILED or not proven, f"nobody is told of it: {cut.message}"
