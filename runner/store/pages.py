"""Pages of a listing by key: however long it is, each costs the same and nothing is cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which part of a listing is wanted."""

    limit: int
    key: int | None = None  # the listing goes on past the row with this id; None = from its start
    offset: int = 0  # rows left out before
    backwards: bool = False  # the rows just before ``key``, still told in the listing's order


def cut(
    c: sa.Connection,
    query: sa.Select[Any],
    column: sa.Column[Any],
    part: Cut,
    *,
    newest_first: bool = False,
) -> Sequence[sa.Row[Any]]:
    """The rows of ``query`` in the order of ``column``, as far as ``part`` wants them."""
    falling = newest_first != part.backwards
    if part.key is not None:
        query = query.where(column < part.key if falling else column > part.key)
    query = query.order_by(column.desc() if falling else column.asc()).limit(part.limit)
    if part.offset:
        query = query.offset(part.offset)
    rows = c.execute(query).all()
    return rows[::-1] if part.backwards else rows


def contains(columns: Sequence[sa.ColumnElement[str]], words: str) -> sa.ColumnElement[bool]:
    """Whether each of several words stands in one of the columns, in any case."""
    return sa.and_(
        sa.true(),
        *(sa.or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in words.split()),
    )
