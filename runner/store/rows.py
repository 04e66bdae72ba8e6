"""Adding one row."""

from typing import Any

import sqlalchemy as sa


def insert(c: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Add a row; its id."""
    made: int = c.execute(sa.insert(table).values(**values).returning(table.c.id)).scalar_one()
    return made
