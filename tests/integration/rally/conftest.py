"""Rigs: a project beside a simulated Rally."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.conformance.daemons import Daemons
from tests.servers.rally_stage import Rig


@pytest.fixture
def new_rig(tmp_path: Path, conformance_daemons: Daemons) -> Iterator[Callable[..., Rig]]:
    """Give a function that makes rigs from tasks and parameters."""
    numbers, made = itertools.count(), []

    def make(tasks: Sequence[Mapping[str, Any]], **params: Any) -> Rig:
        rig = Rig(tmp_path / f"rig-{next(numbers)}", conformance_daemons, tasks=tasks, params=params)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.rally.close()
