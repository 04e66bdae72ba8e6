"""Copying a whole store into an empty one, on SQLite or PostgreSQL either way."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from runner.errors import StoreError
from runner.store import migrate
from runner.store.database import Database
from runner.store.schema import metadata

_BATCH = 1_000
"""Rows read and written at once."""

Told = Callable[[int], None]
"""Is told how many rows were copied since it was last called."""


def rows(source: Database) -> int:
    """How many rows there are to copy."""
    with source.read() as c:
        return sum(_count(c, table) for table in metadata.sorted_tables)


def copy(source: Database, target: Database, *, told: Told = lambda _number: None) -> int:
    """Copy all rows, with their numbers; how many there were.

    All of them or none: they are one transaction of the target. ``StoreError`` if the source
    has another schema than this version's, or the target has anything in it.
    """
    found = migrate.version(source)
    if found != migrate.HEAD:
        msg = f"The store has schema {found or 'none'}, not {migrate.HEAD}; run `runner db upgrade` first."
        raise StoreError(msg)
    _check_empty(target)
    migrate.upgrade(target)
    return target.write(lambda to: _copy(source, to, told))


def _check_empty(target: Database) -> None:
    with target.read() as c:
        there = set(sa.inspect(c).get_table_names())
        known = [table for table in metadata.sorted_tables if table.name in there]
        foreign = there - {table.name for table in known} - {"alembic_version"}
        if foreign or any(_count(c, table) for table in known):
            raise StoreError("The target isn't empty; copy into a database that nothing is in.")


def _copy(source: Database, to: sa.Connection, told: Told) -> int:
    total = 0
    with source.read() as c:
        for table in metadata.sorted_tables:
            query = sa.select(table).execution_options(yield_per=_BATCH)
            for part in c.execute(query).mappings().partitions(_BATCH):
                to.execute(sa.insert(table), [dict(row) for row in part])
                total += len(part)
                told(len(part))
            column = table.autoincrement_column
            if column is not None:
                _go_on_from(to, table, column, _highest(c, table, column))
    return total


def _count(c: sa.Connection, table: sa.Table) -> int:
    return c.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _highest(c: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
    """The highest number that was ever given, though its row be gone: none is given twice."""
    if c.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return c.scalar(query, {"name": table.name}) or 0
    sequence = c.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
    row = c.execute(sa.text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608 - the database's own name
    return int(row.last_value) if row.is_called else 0


def _go_on_from(c: sa.Connection, table: sa.Table, column: sa.Column[Any], highest: int) -> None:
    """Have the target give numbers above all that were given."""
    if highest == 0:
        return
    if c.dialect.name == "sqlite":
        values = {"name": table.name, "seq": highest}
        c.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        c.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values)
        return
    sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
    c.execute(sa.select(sa.func.setval(sequence, highest)))
