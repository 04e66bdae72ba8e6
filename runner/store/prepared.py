"""Statements of the hot path, compiled once and run on the driver's own cursor.

A claim and a finish are four statements a job; executed the ordinary way, most of their
cost is SQLAlchemy's work around the driver. These are ordinary Core statements all the
same: only their execution is shortened.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError


class _Compiled:
    """The statement in one dialect."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._fixed = {
            name: value for name, value in compiled.params.items() if not compiled.binds[name].required
        }
        self._in_order = _in_order(compiled.positiontup)
        self._dialect = dialect
        self.error: type[Exception] = dialect.loaded_dbapi.Error

    def bind(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them: by name, or in the statement's order."""
        named = {**self._fixed, **values} if self._fixed else values
        return named if self._in_order is None else self._in_order(named)

    def told(self, error: Exception) -> BaseException:
        """An error of the driver, as SQLAlchemy would raise it."""
        return DBAPIError.instance(
            self.sql, None, error, self.error, hide_parameters=True, dialect=self._dialect
        )


class Prepared:
    """One statement; parameters are its ``bindparam`` names, results plain driver values."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._by_dialect: dict[str, _Compiled] = {}
        names = [column.key for column in statement.exported_columns] if statement.is_select else []
        if statement.is_dml and statement._returning:  # noqa: SLF001 - no public way to ask
            names = [column.key for column in statement._returning]  # noqa: SLF001 - as above
        self._row: Callable[..., Any] = _row_type(names) if names else tuple

    def _compile(self, c: sa.Connection) -> _Compiled:
        compiled = self._by_dialect.get(c.dialect.name)
        if compiled is None:
            compiled = self._by_dialect[c.dialect.name] = _Compiled(self._statement, c.dialect)
        return compiled

    def rows(self, c: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """Run it and return all rows, with their columns as attributes."""
        compiled = self._compile(c)
        cursor = c.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.bind(values))
            found = cursor.fetchall()
        except compiled.error as error:
            raise compiled.told(error) from error
        cursor.close()
        return [self._row(row) for row in found]

    def count(self, c: sa.Connection, values: Mapping[str, Any]) -> int:
        """Run it and return how many rows it touched."""
        compiled = self._compile(c)
        cursor = c.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.bind(values))
        except compiled.error as error:
            raise compiled.told(error) from error
        touched: int = cursor.rowcount
        cursor.close()
        return touched

    def each(self, c: sa.Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of ``values``."""
        if not values:
            return
        compiled = self._compile(c)
        cursor = c.connection.cursor()
        try:
            cursor.executemany(compiled.sql, [compiled.bind(one) for one in values])
        except compiled.error as error:
            raise compiled.told(error) from error
        cursor.close()


def _in_order(names: list[str] | None) -> Callable[[Mapping[str, Any]], Any] | None:
    """What picks the values of ``names`` as a sequence; None = the driver takes them by name."""
    if names is None:
        return None
    if len(names) > 1:
        return itemgetter(*names)  # of a single name it would give the bare value
    return lambda values: [values[name] for name in names]


def _row_type(names: list[str]) -> Callable[..., Any]:
    row: Any = namedtuple("Row", names)  # type: ignore[misc]
    made: Callable[..., Any] = row._make
    return made
