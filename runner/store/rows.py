"""Adding one row, and finding one by its name, or many by a list."""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


def alike(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a name is this one in any case.

    The database's own notion of it, as that of the unique index: SQLite knows the case of ASCII only.
    """
    return sa.func.lower(column) == sa.func.lower(text)


def insert(c: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Add a row; its id."""
    made: int = c.execute(sa.insert(table).values(**values).returning(table.c.id)).scalar_one()
    return made


class _OfList(sa.ColumnElement[Any]):
    """The elements of a JSON array that is bound, as a subquery."""

    inherit_cache = True

    def __init__(self, name: str, type_: sa.types.TypeEngine[Any]) -> None:
        self.array = sa.bindparam(name, type_=sa.Text)
        self.type = type_


@compiles(_OfList, "sqlite")
def _of_list_in_sqlite(element: _OfList, compiler: Any, **more: Any) -> str:
    array = compiler.process(element.array, **more)
    return f"(SELECT value FROM json_each({array}))"  # noqa: S608 - a parameter's place


@compiles(_OfList, "postgresql")
def _of_list_in_postgresql(element: _OfList, compiler: Any, **more: Any) -> str:
    array = compiler.process(element.array, **more)
    kind = compiler.dialect.type_compiler_instance.process(element.type)
    elements = f"json_array_elements_text(CAST({array} AS json))"
    return f"(SELECT CAST(value AS {kind}) FROM {elements})"  # noqa: S608 - a parameter's place


def among(column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether a column's value is in the list that is bound as ``name``, in the form of ``listed``.

    For prepared statements: the same text however long the list is, and no limit of variables.
    """
    return column.op("IN", is_comparison=True)(_OfList(name, column.type))


def listed(values: Iterable[str | int]) -> str:
    """A list as ``among`` takes it."""
    return json.dumps([*values])
