"""What the directory holds, by key, in a database in memory: compact, however many there are."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.connectors.datasync.rules import folded
from runner.connectors.datasync.target import State

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object of the directory."""

    dn: str
    state: State
    bare: bool  # a disabled account without a password
    protected: bool
    twin: str | None = None  # the DN of another object with the same key


class Index:
    """Objects of one kind by key, and by account name as Windows compares it."""

    def __init__(self) -> None:
        self._base = sqlite3.connect(":memory:", isolation_level=None)
        self._base.execute(
            "CREATE TABLE objects (key TEXT PRIMARY KEY, dn TEXT, state TEXT, bare INT, protected INT, "
            "twin TEXT) WITHOUT ROWID"
        )
        self._base.execute("CREATE TABLE accounts (name TEXT PRIMARY KEY, key TEXT, dn TEXT) WITHOUT ROWID")
        self.size = 0

    def close(self) -> None:
        """Let go of the memory."""
        self._base.close()

    def add(self, key: str, found: Found, account: str) -> None:
        """Take an object in. A key that is there already becomes unusable, for it names two."""
        self.size += 1
        state = _encode(found.state)
        self._base.execute(
            "INSERT INTO objects VALUES (?, ?, ?, ?, ?, NULL) "
            "ON CONFLICT (key) DO UPDATE SET twin = excluded.dn",
            (key, found.dn, state, found.bare, found.protected),
        )
        if account:
            self._base.execute(
                "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)", (folded(account), key, found.dn)
            )

    def get(self, key: str) -> Found | None:
        """The object with this key."""
        row = self._base.execute(
            "SELECT dn, state, bare, protected, twin FROM objects WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else _found(row)

    def has_account(self, name: str, *, besides: str) -> str | None:
        """The DN of another object whose account name Windows takes for the same."""
        row = self._base.execute(
            "SELECT dn FROM accounts WHERE name = ? AND key <> ?", (folded(name), besides)
        ).fetchone()
        return None if row is None else str(row[0])

    def all(self) -> Iterator[tuple[str, Found]]:
        """All objects, in the order of their keys."""
        for key, *row in self._base.execute(
            "SELECT key, dn, state, bare, protected, twin FROM objects WHERE twin IS NULL ORDER BY key"
        ):
            yield key, _found(row)


def _found(row: Sequence[Any]) -> Found:
    dn, state, bare, protected, twin = row
    return Found(dn=dn, state=_decode(state), bare=bool(bare), protected=bool(protected), twin=twin)
