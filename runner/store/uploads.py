"""Rows of uploaded files. The files stand in the state directory, named by us."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.store.rows import insert
from runner.store.schema import uploads
from runner.store.values import to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A file that arrived whole and is safe on the disk."""

    name: str  # as the sender called it, without any path
    file: str  # its name in the uploads folder
    size: int  # bytes
    sha256: str


def add(c: sa.Connection, received: Received, *, now: datetime) -> int:
    """Record an uploaded file; the id."""
    return insert(
        c,
        uploads,
        name=received.name,
        file=received.file,
        size=received.size,
        sha256=received.sha256,
        created=to_micros(now),
    )


def files(c: sa.Connection) -> set[str]:
    """The names of all files that should be in the uploads folder."""
    return set(c.scalars(sa.select(uploads.c.file).where(uploads.c.removed.is_(None))))
