"""A gate at which somebody else's connector waits before each write, until it is let through."""

import os
from pathlib import Path

from tests.servers.processes import is_open
from tests.servers.waiting import until


class Gate:
    """A named pipe: a byte lets one write through. Torn down, it lets all through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        # Open at both ends for good: so the pipe keeps a byte until somebody comes for it.
        self._pipe = os.open(path, os.O_RDWR)

    def somebody_waits(self) -> bool:
        """Whether a run has come as far as the gate."""
        return is_open(self._path)

    def let_through(self, arrived: Path) -> None:
        """Let one write through, and wait until ``arrived`` is there."""
        assert not arrived.exists()
        os.write(self._pipe, b"1")
        until(f"{arrived.name} is written", arrived.exists)

    def tear_down(self) -> None:
        """Let all through, those who wait and those still to come."""
        if self._path.exists():
            self._path.unlink()
            os.close(self._pipe)
