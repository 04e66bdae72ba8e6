"""The machine and the versions that figures belong to."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

_PACKAGES = ("sqlalchemy", "pydantic", "uvicorn", "huey", "celery", "kombu", "redis")


def describe(folder: Path) -> list[tuple[str, str]]:
    """What to know of a measurement, as pairs of a name and a value."""
    return [
        ("date", datetime.now(UTC).date().isoformat()),
        ("processors", f"{os.cpu_count()}, {_processor()}"),
        ("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"),
        ("kernel", platform.release()),
        ("disk", f"{_file_system(folder)}, one fdatasync takes {_sync_time(folder) * 1e6:.0f} µs"),
        ("Python", platform.python_version()),
        ("SQLite", sqlite3.sqlite_version),
        ("Redis", redis_version() or "not installed"),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)),
    ]


def load() -> str:
    """The load averages, to judge how much else the machine did."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def redis_version() -> str | None:
    """The version of Debian's redis-server; None without one."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    text = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=10, check=True
    ).stdout
    return text.partition("v=")[2].split()[0]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: the mount with the longest path above it."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if folder.resolve().is_relative_to(place):
            best = max(best, (place, kind), key=lambda found: len(found[0]))
    return best[1]


def _sync_time(folder: Path) -> float:
    """Seconds that making 4 KiB durable takes, median of 200."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(200):
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)
