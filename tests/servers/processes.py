"""The processes of one daemon, as the kernel sees them: those of its process group."""

import contextlib
import os
from pathlib import Path

from tests.servers.waiting import PATIENCE, until

AFTER_DEATH = 2.0
"""Seconds that a worker may outlive its daemon."""


def alive(group: int) -> set[int]:
    """The processes of a group that run or sleep; what only waits to be buried doesn't count."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue  # it ended meanwhile
            if int(its_group) == group and state not in {"Z", "X"}:
                found.add(int(folder.name))
    return found


def parent(pid: int) -> int:
    """The process that started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def workers(state: Path, group: int) -> set[int]:
    """The workers of the daemon that leads ``group`` and has this state directory."""
    recorded = {int(file.name) for file in (state / "workers").iterdir() if file.name.isdecimal()}
    return recorded & alive(group)


def assert_none_left(group: int, *, seconds: float = PATIENCE) -> None:
    """Make sure that a daemon that is dead leaves no process behind.

    The fork server of one that died young first finishes its imports, however long they take.
    """
    until(f"the end of all processes of group {group}", lambda: not alive(group), seconds=seconds)


def is_open(path: Path) -> bool:
    """Whether another process has this file open, as a run that is in the middle of its work."""
    mine, wanted = str(os.getpid()), path.stat()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            if link.parts[2] != mine and os.path.samestat(link.stat(), wanted):
                return True
    return False
