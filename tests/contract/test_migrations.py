"""The migrations make exactly the schema that the code is written for."""

import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from runner.errors import StoreNewer
from runner.store import migrate
from runner.store.database import Database, open_database
from runner.store.schema import metadata

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "runner" / "store" / "migrations"

_POSTGRESQL_CATALOGUE = (
    """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
              pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), obj_description(c.oid)
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
)
_SQLITE_CATALOGUE = ("SELECT tbl_name, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",)


def catalogue(database: Database) -> set[tuple[object, ...]]:
    """All that the database itself knows of its tables, but for alembic's own."""
    queries = _SQLITE_CATALOGUE if database.dialect == "sqlite" else _POSTGRESQL_CATALOGUE
    with database.read() as c:
        rows = [tuple(row) for query in queries for row in c.execute(sa.text(query))]
    found = {row for row in rows if row[0] != "alembic_version"}
    if database.dialect == "sqlite":
        # A table's constraints may stand in any order.
        return {(*name, *sorted(line.strip(" \t,") for line in sql.splitlines())) for *name, sql in found}
    return found


@pytest.fixture
def empty(new_empty_url: Callable[[], str]) -> Iterator[Database]:
    """Give an open database without tables."""
    with closing(open_database(new_empty_url())) as database:
        yield database


def test_migrations_and_tables_make_the_same_database(database: Database, empty: Database) -> None:
    """What the migrations leave is, to the last index, what the tables of the code would make."""
    empty.write(metadata.create_all)
    assert catalogue(database) == catalogue(empty)


@pytest.mark.postgres
def test_alembic_has_nothing_to_generate(migrated_url: str) -> None:
    """Who asks alembic for the next migration gets an empty one."""
    options = {"compare_type": True, "compare_server_default": True}
    with closing(open_database(migrated_url)) as database, database.read() as c:
        assert compare_metadata(MigrationContext.configure(c, opts=options), metadata) == []


def test_alembic_has_nothing_to_generate_on_sqlite(migrated_file: Path) -> None:
    """The same on SQLite, where defaults of text and indexes on expressions stay unseen."""
    with (
        closing(open_database(f"sqlite:///{migrated_file}")) as database,
        database.read() as c,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*expression-based index '?(users_email|groups_name)")
        assert compare_metadata(MigrationContext.configure(c, opts={"compare_type": True}), metadata) == []


def test_the_code_knows_the_newest_migration() -> None:
    """``HEAD``, which spares each start the import of alembic, is alembic's head."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_an_upgrade_tells_where_from_and_where_to(empty: Database) -> None:
    """The operator is told both versions; a second upgrade has nothing to do."""
    assert migrate.version(empty) is None
    assert migrate.upgrade(empty) == (None, migrate.HEAD)
    assert migrate.version(empty) == migrate.HEAD
    assert migrate.upgrade(empty) == (migrate.HEAD, migrate.HEAD)


def test_a_newer_store_is_refused(empty: Database) -> None:
    """A store of a later version is named with both versions and stays untouched."""
    migrate.upgrade(empty)
    empty.write(lambda c: c.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreNewer, match=rf"9999.*{migrate.HEAD}"):
        migrate.upgrade(empty)
    assert migrate.version(empty) == "9999"


def test_a_failed_upgrade_leaves_nothing(empty: Database) -> None:
    """An upgrade that breaks off can be repeated once its cause is gone."""
    with empty.read() as c:
        there = set(sa.inspect(c).get_table_names())
    empty.write(lambda c: c.execute(sa.text("CREATE TABLE jobs (id INTEGER)")))  # in the way of ours
    with pytest.raises(sa.exc.DBAPIError):
        migrate.upgrade(empty)
    empty.write(lambda c: c.execute(sa.text("DROP TABLE jobs")))
    with empty.read() as c:
        assert set(sa.inspect(c).get_table_names()) == there
    assert migrate.upgrade(empty) == (None, migrate.HEAD)


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_daemons_that_start_together_migrate_once(new_empty_url: Callable[[], str]) -> None:
    """On PostgreSQL one daemon migrates and the others wait for it."""
    url, starts = new_empty_url(), Barrier(4)

    def start() -> str:
        with closing(open_database(url)) as database:
            starts.wait(30)
            return migrate.upgrade(database)[1]

    with ThreadPoolExecutor(4) as threads:
        assert [future.result() for future in [threads.submit(start) for _ in range(4)]] == [migrate.HEAD] * 4


def test_sqlite_can_give_space_back(migrated_file: Path) -> None:
    """The first migration ran on a file that lets retention shrink it, in WAL mode."""
    with closing(open_database(f"sqlite:///{migrated_file}")) as database, database.read() as c:
        assert c.exec_driver_sql("PRAGMA auto_vacuum").scalar() == 2  # incremental
        assert c.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Give the wheel that is published, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    with ExitStack() as stack:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        (file,) = folder.glob("*.whl")
        yield stack.enter_context(zipfile.ZipFile(file))


def test_the_wheel_has_all_migrations(wheel: zipfile.ZipFile) -> None:
    """An installed runner can migrate: every file of the migrations is in the wheel."""
    wanted = {
        str(path.relative_to(ROOT))
        for path in MIGRATIONS.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(wanted) >= 3
    assert wanted <= set(wheel.namelist())
