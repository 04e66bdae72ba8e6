"""Statements of the hot path, compiled once and run on the driver's own cursor.

A claim and a finish are four statements a job; executed the ordinary way, most of their
cost is SQLAlchemy's work around the driver. These are ordinary Core statements all the
same: only their execution is shortened.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError


class _Compiled:
    """The statement in one dialect."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._fixed: Mapping[str, Any] = compiled.params
        self._order: list[str] | None = compiled.positiontup
        self.error: type[Exception] = dialect.loaded_dbapi.Error

    def bind(self, values: Mapping[str, Any]) -> Any:
        if self._order is None:
            return {**self._fixed, **values}
        fixed = self._fixed
        return [values[name] if name in values else fixed[name] for name in self._order]


class Prepared:
    """One statement; parameters are its ``bindparam`` names, results plain driver values."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._by_dialect: dict[str, _Compiled] = {}
        names = [column.key for column in statement.exported_columns] if statement.is_select else []
        if statement.is_dml and statement._returning:  # noqa: SLF001 - no public way to ask
            names = [column.key for column in statement._returning]  # noqa: SLF001 - as above
        self._row: Callable[..., Any] = _row_type(names) if names else tuple

    def _run(self, c: sa.Connection, values: Mapping[str, Any]) -> Any:
        compiled = self._by_dialect.get(c.dialect.name)
        if compiled is None:
            compiled = self._by_dialect[c.dialect.name] = _Compiled(self._statement, c.dialect)
        bound = compiled.bind(values)
        cursor = c.connection.cursor()
        try:
            cursor.execute(compiled.sql, bound)
        except compiled.error as error:
            raise DBAPIError.instance(
                compiled.sql, bound, error, compiled.error, dialect=c.dialect
            ) from error
        return cursor

    def rows(self, c: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """Run it and return all rows, with their columns as attributes."""
        cursor = self._run(c, values)
        found = [self._row(row) for row in cursor.fetchall()]
        cursor.close()
        return found

    def count(self, c: sa.Connection, values: Mapping[str, Any]) -> int:
        """Run it and return how many rows it touched."""
        cursor = self._run(c, values)
        touched: int = cursor.rowcount
        cursor.close()
        return touched


def _row_type(names: list[str]) -> Callable[..., Any]:
    row: Any = namedtuple("Row", names)  # type: ignore[misc]
    made: Callable[..., Any] = row._make
    return made
