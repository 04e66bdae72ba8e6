"""Our daemon with connections to measure, in this process and a temporary folder."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from runner.daemon import Daemon, utc_now
from runner.engine.engine import Engine
from runner.model.jobs import Kind
from runner.settings import Settings
from runner.store import connections, queue, tasks, work
from runner.store.database import Database

CONNECTORS = Path(__file__).parent / "connectors"
ALLOW = ("bench_noop", "bench_clock", "bench_notes", "bench_statuses", "bench_outside")


def install_connectors(target: Path) -> None:
    """Install the benchmarks' connectors below ``target``, as a user would a package of plug-ins."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), str(CONNECTORS)]
    subprocess.run(command, check=True, timeout=120)


def settings(state_dir: Path, connectors: str) -> Settings:
    """The settings of a daemon to measure: the defaults, with four slots and our connectors."""
    return Settings.model_validate(
        {
            "state_dir": state_dir,
            "server": {"listen": ""},
            "engine": {"concurrency": 4},
            "plugins": {"allow": list(ALLOW), "path": connectors},
            "log": {"level": "warning"},
        }
    )


@contextlib.contextmanager
def daemon(connectors: str) -> Iterator[Daemon]:
    """A whole daemon, serving nothing but its socket."""
    from runner.daemon import configure_logging

    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        chosen = settings(Path(folder), connectors)
        configure_logging(chosen)
        with Daemon(chosen) as running:
            yield running


def add_connections(
    database: Database, system: str, number: int, *, project_id: int | None = None, **params: object
) -> list[int]:
    """Make connections of a system; their ids."""

    def write(c: sa.Connection) -> list[int]:
        return [
            connections.create(
                c,
                kind=Kind.ALM,
                system=system,
                alias=f"connection {n}",
                command=system,
                project_id=project_id,
                params=params,
                now=utc_now(),
            )
            for n in range(number)
        ]

    return database.write(write)


def add_project(database: Database, number: int) -> int:
    """Make a project with so many tasks; its id."""
    now = utc_now()
    rows = [
        {
            "task_id": f"T{n}",
            "title": f"T{n}: Check what comes from outside",
            "priority": 7,
            "phase": "development",
        }
        for n in range(number)
    ]

    def write(c: sa.Connection) -> int:
        unit = work.create_business_unit(c, name="Benchmarks", now=now)
        assert unit is not None
        application = work.create_application(
            c, business_unit_id=unit, name="Benchmarks", priority="0-none", now=now
        )
        assert application is not None
        project = work.create_project(c, application_id=application, name="Long", description="", now=now)
        assert project is not None
        tasks.add(c, project, rows, now=now)
        return project

    return database.write(write)


def enqueue(engine: Engine, connection_id: int) -> int:
    """Add one job and let the engine know, as the server does; the job's id."""
    job_id, _ = engine.database.write(
        lambda c: queue.enqueue(c, connection_id=connection_id, kind=Kind.ALM, now=utc_now())
    )
    engine.wake()
    return job_id


def wait_until(done: Callable[[], bool], *, timeout: float, every: float = 0.01) -> None:
    """Wait for something that comes true by itself."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() > end:
            msg = f"not done after {timeout:g} s"
            raise TimeoutError(msg)
        time.sleep(every)
