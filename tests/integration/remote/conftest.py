"""Two machines, of which one runs the other's jobs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.machine import install_acme
from tests.servers.pair import Over, Pair


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which somebody else's connectors are installed."""
    folder = tmp_path_factory.mktemp("plugins")
    install_acme(folder)
    return folder


@pytest.fixture
def pair(tmp_path: Path, plugins: Path) -> Pair:
    """Give two machines on which nothing was ever run."""
    return Pair(tmp_path, plugins)


@pytest.fixture
def over(pair: Pair) -> Iterator[Over]:
    """Give the API of the one that has the jobs, while its daemon runs."""
    with ExitStack() as stack:
        stack.enter_context(pair.there.daemon())
        yield pair.over()
