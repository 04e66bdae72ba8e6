"""What all groups of promises share: the arena they are about, and worlds to try it in."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from runner.conformance.arena import Arena
from runner.conformance.daemons import Daemons
from runner.conformance.world import World


class NewWorld(Protocol):
    """Makes a world; the default seed gives the same one each time."""

    def __call__(self, *, seed: int = 1) -> World:
        """A world in which nothing has run yet."""


class Held:
    """A connector that is held to promises."""

    arena: ClassVar[type[Arena]]
    """What the kit is told of the connector."""

    world: ClassVar[type[World]] = World
    """What the tests run in; ``runner.conformance.remote_world`` has the one at a remote server."""

    @pytest.fixture
    def new_world(
        self, request: pytest.FixtureRequest, tmp_path: Path, conformance_daemons: Daemons
    ) -> Iterator[NewWorld]:
        """Give a function that makes worlds; skip what the arena is exempt from."""
        why = self.arena.exempt.get(request.function.__name__)
        if why is not None:
            pytest.skip(why)
        numbers = itertools.count()
        made: list[World] = []

        def make(*, seed: int = 1) -> World:
            world = self.world(
                tmp_path / f"world-{next(numbers)}",
                self.arena,
                conformance_daemons,
                seed=seed,
                plugins=os.environ.get("RUNNER__PLUGINS__PATH", ""),
            )
            made.append(world)
            return world

        yield make
        for world in made:
            world.close()
