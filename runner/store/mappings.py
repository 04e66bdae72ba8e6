"""The mapping of a connection from weaknesses to tasks, a CSV text as people wrote it."""

from datetime import datetime

import sqlalchemy as sa

from runner.store.schema import mappings
from runner.store.values import to_micros


def read(c: sa.Connection, connection_id: int) -> str:
    """The mapping's text; "" = there is none."""
    return c.scalar(sa.select(mappings.c.csv).where(mappings.c.connection_id == connection_id)) or ""


def replace(c: sa.Connection, connection_id: int, csv: str, *, now: datetime) -> None:
    """Put ``csv`` in the place of what was there; "" removes it."""
    c.execute(sa.delete(mappings).where(mappings.c.connection_id == connection_id))
    if csv:
        c.execute(sa.insert(mappings).values(connection_id=connection_id, csv=csv, updated=to_micros(now)))
