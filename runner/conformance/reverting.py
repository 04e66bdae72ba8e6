"""Promises about taking a run back."""

from collections.abc import Mapping
from typing import Any

from runner.conformance.held import Held, NewWorld
from runner.conformance.planning import plan_of
from runner.conformance.world import Finished, differing
from runner.model.changes import ChangeState, Target
from runner.model.jobs import Outcome


class Reverting(Held):
    """What a revert promises."""

    def test_revert_restores_the_target(self, new_world: NewWorld) -> None:
        """Taken back, a run leaves what was there before it, but for what its connector says it can't."""
        world = new_world()
        before = world.state()
        run = world.run()
        after = world.state()
        shown, revert = world.run(revert_of=run.id, preview=True), world.run(revert_of=run.id)
        assert plan_of(shown) == plan_of(revert)
        assert revert.outcome is Outcome.SUCCEEDED, revert.message
        left = {row.kind for row in revert.rows if row.state is not ChangeState.DONE}
        assert left <= set(self.arena.not_revertible), (
            "nothing takes these kinds back, and its arena hides it"
        )
        stays = {row.key for row in run.rows if row.kind in self.arena.not_revertible}
        assert differing(before, world.state()) <= stays
        if not stays:
            assert world.run(revert_of=revert.id).outcome is Outcome.SUCCEEDED
            assert world.state() == after, "a revert that is taken back doesn't leave what the run left"

    def test_what_nothing_takes_back_is_documented(self) -> None:
        """Kinds of things that a revert leaves alone are named where the connector's users read it."""
        if self.arena.not_revertible:
            assert self.arena.readme is not None, "the arena names no readme"
            text = self.arena.readme.read_text("utf-8")
            assert [kind for kind in self.arena.not_revertible if kind not in text] == []

    def test_revert_leaves_alone_what_others_changed(self, new_world: NewWorld) -> None:
        """What somebody changed since the run stays as they left it, and the journal names it."""
        world = new_world()
        before = world.state()
        run = world.run()
        after = world.state()
        touched = world.edit({row.key for row in run.done()})
        edited = world.state()
        assert touched, "the arena's edit() changes nothing, so nothing was proven"
        shown = world.run(revert_of=run.id, preview=True)
        assert world.state() == edited
        revert = world.run(revert_of=run.id)
        now = world.state()
        named = revert.keys(ChangeState.SKIPPED)
        assert left_alone(shown) == left_alone(revert), "the preview names other things than the revert"
        for key in touched:
            alone, both = edited.get(key), merged(before.get(key), after.get(key), edited.get(key))
            assert now.get(key) in (alone, both), f"{key}: somebody's work is lost"
            if now.get(key) == alone != both:
                assert key in named, f"{key} was left alone, and nobody is told"
        stays = {row.key for row in run.rows if row.kind in self.arena.not_revertible}
        assert differing(before, now) <= touched | stays | named


def left_alone(job: Finished) -> set[str]:
    """Keys of the things on the platform that a job leaves alone."""
    return {row.key for row in job.rows if row.state is ChangeState.SKIPPED and row.target is Target.PLATFORM}


def merged(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, edited: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """``before``, with the fields that somebody changed after the run as they left them."""
    if edited is None or before is None or after is None:
        return before if edited == after else edited
    fields = {
        name: edited.get(name) if edited.get(name) != after.get(name) else before.get(name)
        for name in edited.keys() | before.keys()
    }
    return {name: value for name, value in fields.items() if value is not None}
