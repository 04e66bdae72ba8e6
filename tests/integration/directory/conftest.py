"""Daemons for the tests of the directory's connector, forked from one process that has all code."""

from collections.abc import Iterator

import pytest

from runner.conformance.daemons import Daemons


@pytest.fixture(scope="session")
def forked_daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """Give what bears daemons, one at a time."""
    daemons = Daemons(tmp_path_factory.mktemp("daemons"))
    yield daemons
    daemons.close()
