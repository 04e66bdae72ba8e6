"""What pytest loads when the runner is installed: one fixture, and nothing else before it is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.conformance.daemons import Daemons

# Their asserts explain themselves as a test module's do.
pytest.register_assert_rewrite(
    "runner.conformance.promises",
    "runner.conformance.planning",
    "runner.conformance.crashing",
    "runner.conformance.reverting",
    "runner.conformance.telling",
)


@pytest.fixture(scope="session")
def conformance_daemons(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Daemons]":
    """Give the process that makes daemons for the kit's tests."""
    from runner.conformance.daemons import Daemons

    daemons = Daemons(tmp_path_factory.mktemp("conformance"))
    yield daemons
    daemons.close()
