"""The promises over random lives: sources, targets, crashes, cuts and other people's edits in any order."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from runner.conformance.crashing import PLACES
from runner.conformance.daemons import Daemons
from runner.conformance.platform import State
from runner.conformance.world import STRICT, Finished, World, differing
from runner.errors import Reason
from runner.model.changes import ChangeState
from runner.model.jobs import Outcome
from tests.conformance.arenas import PEOPLE, TEAMS, ClubArena

CALM = settings(
    derandomize=True,  # CI tries the same lives each time; `make torture` tries others
    database=None,
    deadline=None,
    max_examples=12,
    stateful_step_count=8,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
WILD = settings(CALM, derandomize=False, max_examples=400, stateful_step_count=25, print_blob=True)

ROLLS = st.dictionaries(
    st.sampled_from(PEOPLE),
    st.tuples(st.sampled_from(TEAMS), st.sampled_from(["a", "b"])),
    max_size=len(PEOPLE),
)


def in_step(there: State, roll: Mapping[str, tuple[str, str]]) -> State:
    """What the club's records are once they are in step with the roll."""
    members = {name: {"mail": mail, "active": True, "team": team} for name, (team, mail) in roll.items()}
    left = {name: {**thing, "active": False} if thing else thing for name, thing in there.items()}
    return {**left, **{team: {} for team, _ in roll.values()}, **members}


class ClubLife(RuleBasedStateMachine):
    """One club, whatever happens to it."""

    new_world: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.new_world()
        arena = self.world.arena
        assert isinstance(arena, ClubArena)
        self.arena = arena
        self.roll: Mapping[str, tuple[str, str]] = {}
        self.ran: tuple[Finished, State, State] | None = None  # the last run, before and after it
        self.put_on_roll({"ada": ("chess", "a"), "bob": ("choir", "a")})

    # --- people --------------------------------------------------------------------------

    @rule(roll=ROLLS)
    def put_on_roll(self, roll: Mapping[str, tuple[str, str]]) -> None:
        """Somebody writes another roll."""
        self.roll = roll
        self.arena.write_roll(
            {name: team for name, (team, _) in roll.items()}, {name: mail for name, (_, mail) in roll.items()}
        )

    @rule(name=st.sampled_from(PEOPLE))
    def change_by_hand(self, name: str) -> None:
        """Somebody else changes a member, if there is one of this name."""
        self.arena.edit(name)

    # --- runs ----------------------------------------------------------------------------

    @rule()
    def run_it(self) -> None:
        """A run leaves the records in step, and is what its preview showed."""
        before = self.world.state()
        shown = self.world.run(preview=True)
        assert self.world.state() == before
        run = self.world.run()
        after = self.world.state()
        assert run.outcome is Outcome.SUCCEEDED, run.message
        assert [(row.op, row.key, row.before, row.after) for row in shown.rows] == [
            (row.op, row.key, row.before, row.after) for row in run.rows
        ]
        assert after == in_step(before, self.roll)
        self.ran = run, before, after

    @rule(
        place=st.sampled_from(PLACES), number=st.integers(1, 16), meanwhile=st.sampled_from([None, *PEOPLE])
    )
    def crash(self, place: str, number: int, meanwhile: str | None) -> None:
        """A run that is killed, with somebody at work before it goes on, ends in step all the same."""
        before = self.world.state()
        job_id = self.world.ask()
        self.world.live(faultpoint=f"{place}:{number}")
        told = self.world.finished(job_id).keys(ChangeState.INTENDED, ChangeState.DONE)
        assert differing(before, self.world.state()) <= told
        if meanwhile is not None:
            self.arena.edit(meanwhile)
        there = self.world.state()
        self.world.live()
        last = self.world.finished(job_id)
        if last.reason == Reason.CRASH or meanwhile is not None:
            last = self.world.run()
        assert last.outcome is Outcome.SUCCEEDED, last.message
        assert self.world.state() == in_step(there, self.roll)
        self.ran = None

    @rule()
    def run_cut(self) -> None:
        """A run on a part of the roll takes nothing from anybody."""
        before = self.world.state()
        self.arena.cut_source()
        run = self.world.run()
        assert run.reason == Reason.INCOMPLETE_READ, run.message
        assert self.world.state() == before
        self.put_on_roll(self.roll)

    @rule()
    def run_strictly(self) -> None:
        """A run that may destroy nothing either destroys nothing or writes nothing."""
        before = self.world.state()
        run = self.world.run(safety=STRICT)
        stopped = run.reason == Reason.CEILING
        assert stopped == bool(run.destructive()), run.message
        assert self.world.state() == (before if stopped else in_step(before, self.roll))
        self.ran = None if run.done() else self.ran

    @precondition(lambda self: self.ran is not None)
    @rule()
    def take_back(self) -> None:
        """A revert restores what nobody has touched since, and leaves the rest alone."""
        assert self.ran is not None  # the precondition
        run, before, after = self.ran
        there = self.world.state()
        revert = self.world.run(revert_of=run.id)
        assert revert.outcome is Outcome.SUCCEEDED, revert.message
        now, touched = self.world.state(), differing(after, there)
        named = revert.keys(ChangeState.SKIPPED)
        assert differing(before, now) <= touched | named
        assert all(now.get(key) == there.get(key) for key in named & touched)
        self.ran = None


def live_many(daemons: Daemons, folder: Path, plugins: Path, how: settings) -> None:
    """Try many lives."""
    numbers = itertools.count()

    def new_world() -> World:
        home = folder / f"life-{next(numbers)}"
        return World(home, ClubArena, daemons, seed=1, plugins=str(plugins))

    machine: type[Any] = type("Life", (ClubLife,), {"new_world": staticmethod(new_world)})
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_promises_hold_over_random_lives(conformance_daemons: Daemons, tmp_path: Path, plugins: Path) -> None:
    """Whatever happens in whichever order, runs, crashes and reverts end where they have to."""
    live_many(conformance_daemons, tmp_path, plugins, CALM)


@pytest.mark.torture
def test_promises_hold_over_very_many_lives(
    conformance_daemons: Daemons, tmp_path: Path, plugins: Path
) -> None:
    """The same with other lives each time, longer and many more."""
    live_many(conformance_daemons, tmp_path, plugins, WILD)
