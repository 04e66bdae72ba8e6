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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kit's one option."""
    parser.getgroup("conformance").addoption(
        "--all-crash-points",
        action="store_true",
        help="kill runs at every point, also those of connectors whose tests take every so many only",
    )


@pytest.fixture(scope="session")
def conformance_daemons(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Daemons]":
    """Give the process that makes daemons for the kit's tests."""
    from runner.conformance.daemons import Daemons

    daemons = Daemons(tmp_path_factory.mktemp("conformance"))
    yield daemons
    daemons.close()
