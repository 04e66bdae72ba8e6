"""Secrets in the store: encrypted, with keys in a file beside it.

Whoever gets hold of the database alone, or of a backup without the key, learns no secret.
The file has a key per line, the newest first: that one seals, all of them open. The method is
Fernet, see https://github.com/fernet/spec/.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from runner.errors import SealedShut
from runner.store.schema import connections, connectors, ldap_servers
from runner.store.values import from_json, to_json

Seal = Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
"""Params of a system, by its name, as they are to be stored over those that are stored."""

KEY_FILE = "key"
"""Its name in the state directory."""

SEALED = "$sealed"
"""The one key of the object that stands for a sealed value."""

_COLUMNS: tuple[sa.Column[Any], ...] = (
    connections.c.params,
    connectors.c.params,
    ldap_servers.c.settings,
)
"""Where sealed values stand: JSON objects with values that may be sealed."""


class Vault:
    """Seals and opens values. Safe between threads; the key file is made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: MultiFernet | None = None

    def seal(self, params: Mapping[str, Any], secret: Callable[[str], bool]) -> dict[str, Any]:
        """``params`` with the values under secret names sealed; what is sealed already stays."""
        return {
            name: self._seal(value)
            if secret(name) and value not in (None, "") and not is_sealed(value)
            else value
            for name, value in params.items()
        }

    def resealed(
        self, params: Mapping[str, Any], stored: Mapping[str, Any], secret: Callable[[str], bool]
    ) -> dict[str, Any]:
        """The same, where a value that is ``stored`` already stays as it is: so nothing seems to change."""
        return {
            name: stored[name] if secret(name) and self._holds(stored.get(name), value) else found
            for (name, value), found in zip(params.items(), self.seal(params, secret).values(), strict=True)
        }

    def open(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``params`` with all values open; ``SealedShut`` if the key for one isn't there."""
        return {
            name: self._open(name, value[SEALED]) if is_sealed(value) else value
            for name, value in params.items()
        }

    def rekey(self, c: sa.Connection) -> int:
        """Seal all that is sealed with the newest key; how many rows that were."""
        number = 0
        for column in _COLUMNS:
            table = column.table
            rows = c.execute(sa.select(table.c.id, column).where(column.contains(SEALED))).all()
            for ident, text in rows:
                params = {
                    name: {SEALED: self._rotated(name, value[SEALED])} if is_sealed(value) else value
                    for name, value in from_json(text).items()
                }
                c.execute(sa.update(table).where(table.c.id == ident).values({column.name: to_json(params)}))
                number += 1
        return number

    def add_key(self) -> None:
        """Put a new key in front: from now on it seals; what others sealed is still opened."""
        with self._lock:
            self._write([Fernet.generate_key().decode(), *self._read()])
            self._keys = None

    def drop_old_keys(self) -> None:
        """Leave the newest key alone in the file. Do it when nothing is sealed with others any more."""
        with self._lock:
            self._write(self._read()[:1])
            self._keys = None

    def _holds(self, stored: Any, value: Any) -> bool:
        try:
            return is_sealed(stored) and bool(self._open("", stored[SEALED]) == value)
        except SealedShut:
            return False  # with another key: it is sealed again, with ours

    # --- keys ----------------------------------------------------------------------------

    def _seal(self, value: Any) -> dict[str, str]:
        return {SEALED: self._multi(make=True).encrypt(json.dumps(value).encode()).decode()}

    def _open(self, name: str, token: str) -> Any:
        try:
            return json.loads(self._multi(make=False).decrypt(token))
        except InvalidToken:
            raise self._shut(name) from None

    def _rotated(self, name: str, token: str) -> str:
        try:
            return self._multi(make=False).rotate(token).decode()
        except InvalidToken:
            raise self._shut(name) from None

    def _shut(self, name: str) -> SealedShut:
        return SealedShut(
            f"The secret {name} can't be opened: it was sealed with a key that {self._path} doesn't hold. "
            "Bring that key back, or give the secret again."
        )

    def _multi(self, *, make: bool) -> MultiFernet:
        with self._lock:
            if self._keys is None:
                keys = self._read()
                if not keys and make:
                    keys = [Fernet.generate_key().decode()]
                    self._write(keys)
                # A key that nothing was sealed with stands for none: it opens nothing.
                self._keys = MultiFernet([Fernet(key) for key in keys or [Fernet.generate_key().decode()]])
                if not keys:
                    found, self._keys = self._keys, None
                    return found
            return self._keys

    def _read(self) -> list[str]:
        try:
            lines = self._path.read_text().split()
            for line in lines:
                Fernet(line)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            msg = f"The keys in {self._path} can't be read: {error}. Put the file back as it was."
            raise SealedShut(msg) from error
        return lines

    def _write(self, keys: list[str]) -> None:
        """Put keys in the file's place at once: it is there whole, or as it was."""
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(keys) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def is_sealed(value: Any) -> bool:
    """Whether a value of params stands for a sealed one."""
    return isinstance(value, dict) and value.keys() == {SEALED}
