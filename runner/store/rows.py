"""Adding one row, and finding one by its name."""

from typing import Any

import sqlalchemy as sa


def alike(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a name is this one in any case.

    The database's own notion of it, as that of the unique index: SQLite knows the case of ASCII only.
    """
    return sa.func.lower(column) == sa.func.lower(text)


def insert(c: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Add a row; its id."""
    made: int = c.execute(sa.insert(table).values(**values).returning(table.c.id)).scalar_one()
    return made
