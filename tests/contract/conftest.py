"""The same tests against each database that the store can stand on."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.store import migrate
from runner.store.database import Database, open_database
from runner.store.schema import metadata
from tests.contract.desk import Desk
from tests.servers.postgres import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Name the database that this test runs against."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an SQLite file with the schema and nothing else, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "runner.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give a PostgreSQL database with the schema, which each test leaves empty."""
    name = postgres_server.create_database()
    _migrate(postgres_server.url(name))
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


def _migrate(url: str) -> None:
    database = open_database(url)
    migrate.upgrade(database)
    database.close()


@pytest.fixture
def new_empty_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Give a function that names a new database without tables."""
    if dialect == "sqlite":
        numbers = itertools.count()
        return lambda: f"sqlite:///{tmp_path / f'empty-{next(numbers)}.db'}"
    create: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return create


@pytest.fixture
def store_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a database with the schema and without rows."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "runner.db")
        yield f"sqlite:///{tmp_path / 'runner.db'}"
        return
    url: str = request.getfixturevalue("migrated_url")
    yield url
    database = open_database(url)
    clear(database)
    database.close()


def clear(database: Database) -> None:
    """Remove all rows."""
    for table in reversed(metadata.sorted_tables):
        database.write(lambda c, table=table: c.execute(table.delete()))  # type: ignore[misc]  # bound early


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """Give an open store with the schema and without rows."""
    database = open_database(store_url)
    yield database
    database.close()


@pytest.fixture
def desk(database: Database) -> Desk:
    """Give the store with the shortest ways to fill it."""
    return Desk(database)
