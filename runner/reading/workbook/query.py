"""A sheet as a table that is asked in SQL, as ``SELECT First, Last FROM [People$] WHERE …``.

The sheets that a query names become tables of a database in memory, which answers the query
and can do nothing else: no other file, no change, no setting, no endless recursion.
"""

import difflib
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import BadInput, ConfigRejected
from runner.reading.workbook.book import Sheet, Workbook
from runner.reading.workbook.flaws import told

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<name>\[[^\]]*\]|`[^`]*`)
      | (?P<date>\#\d{4}-\d\d-\d\d(?:[ ]\d\d:\d\d:\d\d)?\#)
      | (?P<word>[^\W\d]\w*\$?)
      | (?P<comment>--|/\*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
_FORBIDDEN_FUNCTIONS = {"load_extension", "randomblob", "zeroblob", "printf", "format", "readfile"}
_NOT_BY_ROW = {"distinct", "group", "union", "except", "intersect", "join", "having"}
_LONGEST = 20_000  # characters of a query
_STEPS = 10_000  # of the database's machine between two looks at whether it should stop
_MOST_STEPS = 200_000  # of those looks: about a minute
_ROW = "_row_of_the_sheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of an answer."""

    number: int | None  # the sheet's row; None where the query combines rows
    values: Sequence[str | None]
    flaws: Sequence[tuple[str, str]] = ()  # header, and what is wrong with its cell


class Selection:
    """An answer. Its records may be walked as often as needed, one walk after another."""

    def __init__(
        self,
        headers: Sequence[str],
        walk: Callable[[], Iterator[Record]],
        *,
        of: str,
        close: Callable[[], None],
    ) -> None:
        self.headers = headers
        self._walk = walk
        self._of = of
        self.close = close  # lets go of the table

    @property
    def records(self) -> Iterator[Record]:
        """The records, from the first on."""
        return self._walk()

    def find(self, header: str) -> int:
        """The position of a header, in any case; ``ConfigRejected`` names the nearest if there is none."""
        for number, known in enumerate(self.headers):
            if known.casefold() == header.strip().casefold():
                return number
        raise ConfigRejected(missing_column(header, self.headers, of=self._of))


def missing_column(header: str, headers: Sequence[str], *, of: str) -> str:
    """The sentence for a column that isn't there."""
    by_case = {known.casefold(): known for known in headers if known}
    near = difflib.get_close_matches(header.casefold(), by_case, n=1, cutoff=0.5)
    listed = ", ".join(repr(known) for known in headers if known)
    guess = f" Did you mean {by_case[near[0]]!r}?" if near else f" It has {listed}."
    return f"{of} has no column {header!r}.{guess}"


def select(book: Workbook, query: str, *, default: str | None = None) -> Selection:
    """Ask a workbook. Without a query, all of the sheet ``default`` is meant.

    Raises ``ConfigRejected`` for a query that can't be asked, ``BadInput`` for the sheet.
    """
    if not query.strip():
        query = f"SELECT * FROM [{default or book.names[0]}$]"  # noqa: S608 - parsed below like any other
    parsed = _Parsed(query)
    sheets = {table: book.sheet(table.removesuffix("$")) for table in parsed.tables}
    if not sheets:
        raise ConfigRejected("The source's query names no sheet; write for example SELECT * FROM [Sheet1$].")
    base = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        return _Asking(base, parsed, sheets).answer()
    except BaseException:
        base.close()
        raise


class _Parsed:
    """A query, taken apart as far as is needed to name its tables and adapt its spelling."""

    def __init__(self, query: str) -> None:
        if len(query) > _LONGEST:
            msg = f"The source's query has more than {_LONGEST} characters."
            raise ConfigRejected(msg)
        self.tables: list[str] = []
        self.words: list[str] = []
        self.after_where: set[str] = set()  # names that decide which rows there are
        tokens = _TOKEN.finditer(query.strip().rstrip(";"))
        self.sql = "".join([self._spell(str(token.lastgroup), token[0]) for token in tokens])
        if self.words[:1] != ["select"]:
            raise ConfigRejected(
                "The source's query isn't a SELECT, and nothing else is asked of a workbook."
            )

    @property
    def by_row(self) -> bool:
        """Whether each record of the answer is one row of one sheet."""
        return (
            len(self.tables) == 1 and self.words.count("select") == 1 and _NOT_BY_ROW.isdisjoint(self.words)
        )

    def _spell(self, kind: str, text: str) -> str:
        match kind:
            case "comment" | "other" if text in {"--", "/*", ";", "\0"}:
                raise ConfigRejected(
                    "The source's query has a comment or several statements; write one SELECT."
                )
            case "name":
                return self._name(text[1:-1].strip())
            case "date":
                return f"'{text[1:-1]}'"
            case "word":
                return self._word(text)
            case "quoted":
                self._seen(text[1:-1])
        return text

    def _name(self, name: str) -> str:
        quoted = len(name) > 1 and name.startswith("'") and name.endswith("'")
        bare = name[1:-1].replace("''", "'") if quoted else name
        if bare.endswith("$") and bare not in self.tables:
            self.tables.append(bare)
        self._seen(bare)
        return '"' + bare.replace('"', '""') + '"'

    def _word(self, word: str) -> str:
        if word.endswith("$"):
            return self._name(word)
        self.words.append(word.lower())
        self._seen(word)
        # Booleans are text here, as a directory writes them.
        return f"'{word.upper()}'" if word.lower() in {"true", "false"} else word

    def _seen(self, name: str) -> None:
        if "where" in self.words or "having" in self.words or "on" in self.words:
            self.after_where.add(name.casefold())


class _Asking:
    """One query's database."""

    def __init__(self, base: sqlite3.Connection, parsed: _Parsed, sheets: dict[str, Sheet]) -> None:
        self._base = base
        self._parsed = parsed
        self._sheets = sheets
        self._looks = 0

    def answer(self) -> Selection:
        """Fill the tables and ask."""
        for table, sheet in self._sheets.items():
            self._fill(table, sheet)
            self._refuse_unclear(sheet)
        # Long numbers are seen while the rows are read, so only now are all flaws known.
        self._base.set_authorizer(_authorize)
        self._base.set_progress_handler(self._should_stop, _STEPS)
        parsed = self._parsed
        sql = parsed.sql
        if parsed.by_row:
            sql = re.sub(
                r"\s*select\b",
                lambda found: f'{found[0]} _rowid_ AS "{_ROW}",',
                sql,
                count=1,
                flags=re.IGNORECASE,
            )
        try:
            cursor = self._base.execute(sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._refused(error) from error
        headers = [str(column[0]) for column in cursor.description]
        cursor.close()
        walk = self._by_row if parsed.by_row else self._combined
        return Selection(
            headers[1:] if parsed.by_row else headers,
            lambda: walk(sql),
            of=f"The sheet {next(iter(self._sheets.values())).name!r}",
            close=self._base.close,
        )

    def _fill(self, table: str, sheet: Sheet) -> None:
        names = [header or f"{_ROW}_{number}" for number, header in enumerate(sheet.headers)]
        columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        quoted = '"' + table.replace('"', '""') + '"'
        self._base.execute(f"CREATE TABLE {quoted} ({columns})")
        marks = ", ".join("?" * (len(names) + 1))
        width = len(names)
        self._base.executemany(
            f"INSERT INTO {quoted} (_rowid_, {columns}) VALUES ({marks})",  # noqa: S608 - names are quoted
            ((number, *row, *([None] * (width - len(row)))) for number, row in sheet.rows),
        )
        self._base.commit()

    def _refuse_unclear(self, sheet: Sheet) -> None:
        """Refuse where a flawed cell would decide which rows there are, or can't be traced to its row."""
        for place, flaw in sorted(sheet.flaws.items(), key=lambda each: each[0]):
            row, column = place
            if row == 0 or column >= len(sheet.headers):
                continue
            decides = sheet.headers[column].casefold() in self._parsed.after_where
            if decides or not self._parsed.by_row:
                msg = f"The query can't be asked of the sheet {sheet.name!r}: {told(place, flaw)}."
                raise BadInput(msg)

    def _should_stop(self) -> bool:
        self._looks += 1
        return self._looks > _MOST_STEPS

    def _refused(self, error: Exception) -> ConfigRejected:
        text = str(error)
        lacking = re.match(r"no such column: (.*)", text)
        if lacking is not None:
            sheet = next(iter(self._sheets.values()))
            name = lacking[1].rpartition(".")[2].strip('"')
            return ConfigRejected(missing_column(name, sheet.headers, of=f"The sheet {sheet.name!r}"))
        table = re.match(r"no such table: (.*)", text)
        if table is not None:
            msg = f"The source's query names {table[1]!r}; a sheet is written [{table[1]}$]."
            return ConfigRejected(msg)
        if "not authorized" in text or "prohibited" in text:
            return ConfigRejected(
                "The source's query asks for more than sheets can give; write one plain SELECT."
            )
        return ConfigRejected(f"The source's query can't be understood: {text}.")

    def _by_row(self, sql: str) -> Iterator[Record]:
        (sheet,) = self._sheets.values()
        flawed: dict[int, list[tuple[str, str]]] = {}
        for (row, column), flaw in sheet.flaws.items():
            if column < len(sheet.headers):
                clause = told((row, column), flaw)
                flawed.setdefault(row + 1, []).append((sheet.headers[column], clause))
        for number, *values in self._walk(sql):
            yield Record(number=number, values=_texts(values), flaws=flawed.get(number, ()))

    def _combined(self, sql: str) -> Iterator[Record]:
        for values in self._walk(sql):
            yield Record(number=None, values=_texts(values))

    def _walk(self, sql: str) -> Iterator[Sequence[Any]]:
        try:
            yield from self._base.execute(sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._refused(error) from error


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [value if value is None or value.__class__ is str else str(value) for value in values]


def _authorize(
    action: int, first: str | None, second: str | None, _base: str | None, _inner: str | None
) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (second or first or "").lower() in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
