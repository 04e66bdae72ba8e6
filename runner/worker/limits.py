"""What a worker does to itself so that it harms nobody: memory, orphanhood, the OOM killer."""

import contextlib
import ctypes
import functools
import os
import resource
import signal
import threading
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import wait
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PAGE = resource.getpagesize()


def data_size() -> int:
    """Bytes of data segment and anonymous memory of this process: what RLIMIT_DATA counts."""
    return int(os.pread(_statm(), 256, 0).split()[5]) * _PAGE


@functools.cache
def _statm() -> int:
    """The file with this process's sizes; kept open, for it is read at each job."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


def limit_memory(room: int | None) -> None:
    """Let this process grow by ``room`` bytes from here (None = without limit).

    RLIMIT_DATA rather than RLIMIT_AS: the latter counts address space that libraries
    reserve and never touch.
    """
    soft = resource.RLIM_INFINITY if room is None else data_size() + room
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(ValueError, OSError):  # a sandbox may forbid it; main samples the size too
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def become_mortal() -> None:
    """Make sure that this process doesn't outlive the daemon, busy or not.

    A fork server's child inherits the descriptor whose closing tells the fork server that
    main is gone; held open here it would keep both alive. Then two ways to the same end: the
    kernel's signal when the fork server dies, and a thread that watches main itself.
    """
    alive = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
    if alive is not None:
        with contextlib.suppress(OSError):
            os.close(alive)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    main = parent_process()
    if main is not None:
        threading.Thread(target=_die_with, args=(main.sentinel,), name="orphan-watch", daemon=True).start()
    # If memory runs out all over the machine, a worker goes before the daemon.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
