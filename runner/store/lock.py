"""The lock on a state directory: one daemon at a time, and proof that none is alive."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from runner.errors import StateLocked, StoreError


class StateLock:
    """Held from ``with`` to its end, or until the process dies however it dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._file: int | None = None

    def __enter__(self) -> "StateLock":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"The state directory {self._path.parent} can't be used: {error.strerror}."
            raise StoreError(msg) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            self._file = None
            msg = f"Another instance (process {holder}) uses {self._path.parent}. Stop it first."
            raise StateLocked(msg) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
