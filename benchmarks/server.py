"""The server: pages, the whole list, and starting jobs, over a million finished jobs."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import requests
import sqlalchemy as sa

from benchmarks import own, processes
from benchmarks.options import Options
from benchmarks.report import Bar, Report, spread
from runner.daemon import utc_now
from runner.store import accounts, migrate, pauses
from runner.store.accounts import Role, Scope
from runner.store.database import open_database
from runner.store.schema import jobs
from runner.store.values import to_micros
from tests.servers.machine import free_port

_PER_JOB = 200  # finished jobs for each of ``--jobs``: a million by default
_CONNECTIONS = 50
_REQUESTS = 200  # of each sort, one after another
_WRK_SECONDS = 6
_STREAM_SECONDS = 15

_HOW = (
    "`runner run` on SQLite over so many finished jobs of {connections} connections, paused, so that nothing "
    "is run beside. Times are those of a client on the same machine, {requests} requests one after another "
    "over one connection. `wrk` sends for {seconds} s over 16 connections; beside it the same against a bare "
    "FastAPI route that does one insert, committed to the disk, and one select."
)


def run(options: Options) -> Report:
    """Fill a store, start a daemon over it, and ask."""
    number = options.jobs * _PER_JOB
    options.say(f"server: fills a store with {number:,} jobs")
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        token = _fill(Path(folder), number)
        with _daemon(Path(folder)) as (pid, port), requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Token {token}"
            base = f"http://127.0.0.1:{port}/api/v2"
            options.say("server: pages, and jobs that are started")
            times = _times(session, base)
            options.say("server: the whole list")
            rows, growth = _stream(session, base, pid)
            rates = _rates(base, token, options)
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder, _bare(Path(folder)) as port:
        rates["bare route"] = _wrk(f"http://127.0.0.1:{port}/", {}, body="{}", options=options)
    return _report(number, times, rows, growth, rates)


def _report(
    number: int, times: Mapping[str, list[float]], rows: float, growth: float, rates: Mapping[str, float]
) -> Report:
    table = [[name, spread([value * 1000 for value in values], ".1f"), ""] for name, values in times.items()]
    table += [[f"{name}, by wrk", "", f"{rate:,.0f}"] for name, rate in rates.items()]
    table.append(["whole list, rows", "", f"{rows:,.0f}"])
    bars = [
        Bar(promise=f"{name}, median", value=statistics.median(values) * 1000, limit=limit, unit="ms")
        for (name, values), limit in zip(times.items(), (20.0, 20.0, 20.0, 20.0, 5.0, 5.0), strict=True)
    ]
    bars.append(Bar(promise="memory that the whole list adds", value=growth, limit=32, unit="MiB RSS"))
    if rates.get("bare route"):
        bars += [
            Bar(
                promise=f"{name}, requests per second to the bare route's",
                value=rates[name] / rates["bare route"],
                limit=0.6,
                at_least=True,
            )
            for name in ("start a job", "a page of 20")
        ]
    return Report(
        name="server",
        title=f"Server, {number:,} finished jobs",
        how=_HOW.format(connections=_CONNECTIONS, requests=_REQUESTS, seconds=_WRK_SECONDS),
        columns=("request", "ms, median (range)", "per second"),
        rows=table,
        bars=bars,
        notes=() if shutil.which("wrk") else ("wrk isn't installed, so nothing was asked at once.",),
    )


def _fill(folder: Path, number: int) -> str:
    """A store with finished jobs, paused; an administrator's token."""
    database = open_database(f"sqlite:///{folder / 'runner.db'}")
    migrate.upgrade(database)
    ids = own.add_connections(database, "fortify", _CONNECTIONS)
    now = utc_now()

    def begin(c: sa.Connection) -> str:
        user = accounts.create_user(
            c, email="bench@example.org", now=now, role=Role.ADMINISTRATOR, is_superuser=True
        )
        pauses.pause(c, why="A benchmark.", now=now)
        return accounts.create_token(c, user_id=user, scopes=[Scope.ADMIN], expires=None, now=now)[1]

    token = database.write(begin)
    database.close()
    micros = to_micros(now)
    names = ("uuid", "kind", "connection_id", "state", "outcome", "result_message", "user_id", "not_before")
    columns = ", ".join((*names, "created", "started", "finished", "last_run"))
    marks = ", ".join("?" * 12)
    assert all(name in jobs.c for name in columns.split(", "))
    with contextlib.closing(sqlite3.connect(folder / "runner.db")) as direct:
        direct.execute("PRAGMA synchronous=OFF")
        direct.executemany(
            f"INSERT INTO jobs ({columns}) VALUES ({marks})",  # noqa: S608 - names of our own columns
            (
                (
                    f"{n:032x}",
                    "alm",
                    ids[n % len(ids)],
                    "finished",
                    "failed" if n % 50 == 0 else "succeeded",
                    "12 stories updated, 3 tasks closed.",
                    1,
                    *[micros + n] * 5,
                )
                for n in range(number)
            ),
        )
        direct.commit()
    return token


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[tuple[int, int]]:
    """A daemon over a folder; its process id and port."""
    port = free_port()
    environment = {"RUNNER__STATE_DIR": str(folder), "RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}"}
    with _started([sys.executable, "-m", "runner", "run"], environment, folder / "log") as process:
        own.wait_until(partial(_answers, f"http://127.0.0.1:{port}/-/healthy"), timeout=60, every=0.1)
        yield process.pid, port
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[int]:
    """The route to compare with, on the same server program."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", str(folder / "bare.db"), str(port)]
    with _started(command, {}, folder / "log") as process:
        own.wait_until(partial(_answers, f"http://127.0.0.1:{port}/"), timeout=20, every=0.1)
        yield port
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def _started(command: list[str], more: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone afterwards, with the processes it started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER")}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, env={**environment, **more}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.exceptions.RequestException:
        return False
    return True


def _times(session: requests.Session, base: str) -> dict[str, list[float]]:
    """How long a client waits, by sort of request, in seconds."""
    body = {"connection": 1, "automatic": False, "ready": False}
    result = {"connection": 2, "automatic": False, "succeeded": True, "result_message": "Done."}
    sorts = {
        "a page of 100": partial(session.get, f"{base}/jobs/alm/?page_size=100"),
        "failed ones of a connection": partial(
            session.get, f"{base}/jobs/alm/?connection=1&succeeded=false&page_size=100"
        ),
        "a user's automatic ones": partial(
            session.get, f"{base}/jobs/?user=bench@example.org&automatic=false&page_size=100"
        ),
        "the failed ones of all": partial(session.get, f"{base}/jobs/?succeeded=false&page_size=100"),
        "start a job": partial(session.post, f"{base}/jobs/alm/", json=body),
        "post a result": partial(session.post, f"{base}/jobs/alm/", json=result),
    }
    times: dict[str, list[float]] = {}
    for name, send in sorts.items():
        took = []
        for _ in range(_REQUESTS // 4 if "page_size" in str(send.args[0]) else _REQUESTS):
            began = time.perf_counter()
            answer = send(timeout=60)
            took.append(time.perf_counter() - began)
            assert answer.ok, answer.text
        times[name] = took
    return times


def _stream(session: requests.Session, base: str, pid: int) -> tuple[float, float]:
    """Rows per second of the list without pages, and the memory in MiB that it adds to the server's."""
    before = processes.resident(pid)
    peak, rows, began = before, 0, time.monotonic()
    with session.get(f"{base}/jobs/alm/", stream=True, timeout=60) as answer:
        for chunk in answer.iter_content(2**20):
            rows += chunk.count(b'"result_message"')
            peak = max(peak, processes.resident(pid))
            if time.monotonic() - began > _STREAM_SECONDS:
                break
    return rows / (time.monotonic() - began), (peak - before) / 2**20


def _rates(base: str, token: str, options: Options) -> dict[str, float]:
    headers = {"Authorization": f"Token {token}"}
    body = json.dumps({"connection": 2, "automatic": False, "ready": False})
    return {
        "start a job": _wrk(f"{base}/jobs/alm/", headers, body=body, options=options),
        "a page of 20": _wrk(f"{base}/jobs/alm/?page_size=20", headers, body=None, options=options),
    }


def _wrk(url: str, headers: Mapping[str, str], *, body: str | None, options: Options) -> float:
    """Requests per second that wrk gets answered well; 0 without wrk."""
    program = shutil.which("wrk")
    if program is None:
        return 0.0
    options.say(f"server: wrk against {url}")
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    if body is not None:
        lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(body)}"]
        lines.append('wrk.headers["Content-Type"] = "application/json"')
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = [program, "-t1", "-c16", f"-d{_WRK_SECONDS}s", "-s", script.name, url]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    assert bad is None, told
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found[1])
