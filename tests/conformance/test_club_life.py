"""The promises over random lives: sources, targets, crashes, cuts and other people's edits in any order."""

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from runner.conformance.crashing import PLACES
from runner.conformance.daemons import Daemons
from runner.conformance.platform import State
from runner.conformance.reverting import merged
from runner.conformance.world import STRICT, World, differing
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
    phases=[Phase.generate],  # eight steps can be read as they are, and shorter ones take minutes to find
    suppress_health_check=list(HealthCheck),
)
WILD = settings(
    CALM,
    derandomize=False,
    max_examples=400,
    stateful_step_count=25,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
)
FIRST = settings(CALM, max_examples=100)

ROLLS = st.dictionaries(
    st.sampled_from(PEOPLE),
    st.tuples(st.sampled_from(TEAMS), st.sampled_from(["a", "b"])),
    max_size=len(PEOPLE),
)


Roll: TypeAlias = Mapping[str, tuple[str, str]]
"""Who is on the roll, in which team and with which mail."""


def in_step(there: State, roll: Roll) -> State:
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
        self.roll: Roll = {}
        self.put_on_roll({"ada": ("chess", "a"), "bob": ("choir", "a")})

    # --- people --------------------------------------------------------------------------

    def put_on_roll(self, roll: Roll) -> None:
        """Let somebody write another roll."""
        self.roll = roll
        self.arena.write_roll(
            {name: team for name, (team, _) in roll.items()}, {name: mail for name, (_, mail) in roll.items()}
        )

    @rule(name=st.sampled_from(PEOPLE))
    def change_by_hand(self, name: str) -> None:
        """Somebody else changes a member, if there is one of this name."""
        self.arena.edit(name)

    # --- runs ----------------------------------------------------------------------------

    @rule(roll=ROLLS)
    def run_it(self, roll: Roll) -> None:
        """A run leaves the records in step, and is what its preview showed."""
        self.put_on_roll(roll)
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

    @rule(
        roll=ROLLS,
        place=st.sampled_from(PLACES),
        number=st.integers(1, 16),
        meanwhile=st.sampled_from([None, *PEOPLE]),
    )
    def crash(self, roll: Roll, place: str, number: int, meanwhile: str | None) -> None:
        """A run that is killed, with somebody at work before it goes on, ends in step all the same."""
        self.put_on_roll(roll)
        before = self.world.state()
        job_id = self.world.ask()
        self.world.live(faultpoint=f"{place}:{number}")
        told = self.world.finished(job_id).keys(ChangeState.INTENDED, ChangeState.DONE)
        assert differing(before, self.world.state()) <= told
        if meanwhile is not None:
            self.arena.edit(meanwhile)
        there = self.world.state()
        self.world.live()
        again = self.world.finished(job_id)
        if again.reason == Reason.CRASH or meanwhile is not None:
            again = self.world.run()
        assert again.outcome is Outcome.SUCCEEDED, again.message
        after = self.world.state()
        assert after == in_step(there, self.roll)
        told = self.world.finished(job_id).keys(ChangeState.DONE) | again.keys(ChangeState.DONE)
        assert differing(before, after) <= told | {meanwhile}

    @rule(roll=ROLLS)
    def run_cut(self, roll: Roll) -> None:
        """A run on a part of the roll takes nothing from anybody."""
        self.put_on_roll(roll)
        before = self.world.state()
        self.arena.cut_source()
        run = self.world.run()
        assert run.reason == Reason.INCOMPLETE_READ, run.message
        assert self.world.state() == before

    @rule(roll=ROLLS, leavers=st.sets(st.sampled_from(PEOPLE)))
    def run_strictly(self, roll: Roll, leavers: set[str]) -> None:
        """A run that may destroy nothing either destroys nothing or writes nothing."""
        self.put_on_roll(roll)
        self.world.run()
        self.put_on_roll({name: entry for name, entry in roll.items() if name not in leavers})
        before = self.world.state()
        run = self.world.run(safety=STRICT)
        after = self.world.state()
        stopped = run.reason == Reason.CEILING
        assert stopped == bool(run.destructive()), run.message
        assert after == (before if stopped else in_step(before, self.roll))
        assert [
            name for name, thing in before.items() if thing.get("active") and not after[name]["active"]
        ] == []

    @rule(roll=ROLLS, others=st.sets(st.sampled_from(PEOPLE)))
    def take_back(self, roll: Roll, others: set[str]) -> None:
        """A revert restores what nobody has touched since the run, and leaves the rest as they left it."""
        self.put_on_roll(roll)
        before = self.world.state()
        run = self.world.run()
        after = self.world.state()
        for name in sorted(others):
            self.arena.edit(name)
        there = self.world.state()
        revert = self.world.run(revert_of=run.id)
        assert revert.outcome is Outcome.SUCCEEDED, revert.message
        now, touched = self.world.state(), differing(after, there)
        assert differing(before, now) <= touched | revert.keys(ChangeState.SKIPPED)
        for key in touched:
            both = merged(before.get(key), after.get(key), there.get(key))
            assert now.get(key) in (there.get(key), both), f"{key}: somebody's work is lost"


def live_many(daemons: Daemons, folder: Path, arena: type[ClubArena], how: settings) -> None:
    """Try many lives."""
    numbers = itertools.count()

    def new_world() -> World:
        plugins = os.environ["RUNNER__PLUGINS__PATH"]
        return World(folder / f"life-{next(numbers)}", arena, daemons, seed=1, plugins=plugins)

    machine: type[Any] = type("Life", (ClubLife,), {"new_world": staticmethod(new_world)})
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_promises_hold_over_random_lives(conformance_daemons: Daemons, tmp_path: Path) -> None:
    """Whatever happens in whichever order, runs, crashes and reverts end where they have to."""
    live_many(conformance_daemons, tmp_path, ClubArena, CALM)


@pytest.mark.torture
def test_promises_hold_over_very_many_lives(conformance_daemons: Daemons, tmp_path: Path) -> None:
    """The same with other lives each time, longer and many more."""
    live_many(conformance_daemons, tmp_path, ClubArena, WILD)


@pytest.mark.torture
@pytest.mark.parametrize(
    "system", ["broken_preview", "broken_current", "broken_ceiling", "broken_proof", "broken_before"]
)
def test_random_lives_find_broken_promises(conformance_daemons: Daemons, tmp_path: Path, system: str) -> None:
    """A connector that breaks a promise doesn't live long."""
    arena = type("Arena", (ClubArena,), {"system": system})
    with pytest.raises(AssertionError):
        live_many(conformance_daemons, tmp_path, arena, FIRST)
