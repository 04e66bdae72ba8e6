"""Promises about crashes: wherever a process dies, the end is the same, and the journal is right."""

import itertools
import random
from collections.abc import Iterator
from typing import ClassVar

import pytest

from runner.conformance.held import Held, NewWorld
from runner.conformance.platform import State
from runner.conformance.world import World, differing
from runner.errors import Reason
from runner.model.changes import ChangeState
from runner.model.jobs import Outcome

PLACES = ("main:commit", "main:committed", "main:message", "worker:message")
"""Where processes are killed; ``runner.faultpoint`` says what the words mean."""


class Crashing(Held):
    """What a run promises of its own sudden end."""

    every: ClassVar[int] = 1
    """Kill it at every point, or at the first and, from a chance one on, at every so many of them.

    Other runs of the tests then take other points, and ``--all-crash-points`` takes all.
    """

    @pytest.mark.parametrize("place", PLACES)
    def test_crash_at_every_point_ends_in_the_same_state(
        self, new_world: NewWorld, place: str, pytestconfig: pytest.Config
    ) -> None:
        """Killed at any point and started again, a run ends where one that wasn't killed does."""
        every = 1 if pytestconfig.getoption("all_crash_points") else self.every
        untroubled = new_world()
        untroubled.run()
        expected = untroubled.state()
        for number in _points(every):
            world = new_world()
            before = world.state()
            job_id = world.ask()
            if not _crashed(world, job_id, f"{place}:{number}"):
                assert number > 1, f"{place} was never reached"
                return
            where = f"killed at {place}:{number}"
            _journal_tells_all(world, before, ChangeState.INTENDED, ChangeState.DONE, where=where)
            if world.finished(job_id).outcome is None:
                world.live()
                again = world.finished(job_id)
            else:
                again = world.run()
            assert again.outcome is Outcome.SUCCEEDED, f"{where}: {again.message}"
            assert world.state() == expected, where
            _journal_tells_all(world, before, ChangeState.DONE, where=where)


def _points(every: int) -> Iterator[int]:
    """Numbers of points: the first, and then each ``every``-th."""
    yield 1
    yield from itertools.count(1 + random.randint(1, every), every)  # noqa: S311 - it guards nothing


def _crashed(world: World, job_id: int, faultpoint: str) -> bool:
    """Let a daemon live with this fault point; whether anything of it was killed."""
    survived = world.live(faultpoint=faultpoint)
    return not survived or world.finished(job_id).reason == Reason.CRASH


def _journal_tells_all(world: World, before: State, *states: ChangeState, where: str) -> None:
    """Make sure that the journal has a row in one of ``states`` for all that is other than before."""
    told = {key for job_id in world.jobs() for key in world.finished(job_id).keys(*states)}
    untold = differing(before, world.state()) - told
    assert not untold, f"{where}: the journal doesn't tell of what was written"
