"""The private PostgreSQL server keeps what the tests of the store rely on."""

from collections.abc import Callable

from sqlalchemy import create_engine, text

from tests.servers.postgres import PostgresServer


def scalar(url: str, *statements: str) -> object:
    """Run statements in one transaction and return what the last one answers."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            *before, last = [text(statement) for statement in statements]
            for statement in before:
                connection.execute(statement)
            return connection.execute(last).scalar()
    finally:
        engine.dispose()


def test_each_database_is_empty_and_its_own(new_postgres_url: Callable[[], str]) -> None:
    """A test's databases are apart from each other."""
    first, second = new_postgres_url(), new_postgres_url()
    assert first != second
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert scalar(first, "CREATE TABLE t ()", tables) == 1
    assert scalar(second, tables) == 0


def test_nothing_is_written_carelessly(postgres_url: str) -> None:
    """Durability is switched on, and nothing listens on the network."""
    assert scalar(postgres_url, "SHOW fsync") == "on"
    assert scalar(postgres_url, "SHOW synchronous_commit") == "on"
    assert scalar(postgres_url, "SHOW listen_addresses") == ""


def test_a_committed_row_survives_a_kill(postgres_server: PostgresServer, postgres_url: str) -> None:
    """The server comes back after a kill with what was committed."""
    assert scalar(postgres_url, "CREATE TABLE t AS SELECT 7 AS n", "SELECT n FROM t") == 7
    postgres_server.kill()
    postgres_server.start()
    assert scalar(postgres_url, "SELECT n FROM t") == 7
