"""WhiteHat: an import of 20,000 findings beside a loop that only reads the pages."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.child import call
from benchmarks.options import Options
from benchmarks.report import Bar, Report, spread

_FINDINGS = 20_000
_FEW = 2_000
_PAGE = 1000
_ROUNDS = 3
_CASES = {
    "bare": f"a loop of requests, {_FINDINGS:,} findings",
    "ours": f"a job, {_FINDINGS:,} findings",
    "few": f"a job, {_FEW:,} findings",
}
_HOW = (
    f"The simulator, in a process of its own, has a site with open findings, each with two attack vectors. "
    f"The loop asks for them with requests, {_PAGE:,} a page, parses each answer and lets go of it. The job "
    "is a whole one of our daemon: enqueued, the asset looked up, all pages read and proven whole, matched "
    "to 40 tasks, planned, judged, written, finished. Seconds and the reader's CPU are for the second time "
    "in fresh processes; memory is how much the reading process (for a job: its worker) grew at the most. "
    f"Shown are medians, and in brackets the extremes, of {_ROUNDS} interleaved rounds."
)


def run(options: Options) -> Report:
    """Measure each case in fresh processes."""
    found: dict[str, list[dict[str, float]]] = {case: [] for case in _CASES}
    for number in range(_ROUNDS):
        for case, title in _CASES.items():
            options.say(f"whitehat: round {number + 1} of {_ROUNDS}, {title}")
            found[case].append(
                call("benchmarks.whitehat:measure", timeout=60, case=case, connectors=options.connectors)
            )
    medians = {
        case: {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        for case, rounds in found.items()
    }
    more = medians["ours"]["grown"] - medians["few"]["grown"]
    return Report(
        name="whitehat",
        title="Findings over many pages",
        how=_HOW,
        columns=("reader", "seconds", "CPU-s", "grew, MiB"),
        rows=[
            [
                title,
                spread([one["seconds"] for one in found[case]], ".2f"),
                spread([one["cpu"] for one in found[case]], ".2f"),
                spread([one["grown"] for one in found[case]], ".1f"),
            ]
            for case, title in _CASES.items()
        ],
        bars=[
            Bar(
                promise="time of a job, to the loop's",
                value=medians["ours"]["seconds"] / medians["bare"]["seconds"],
                limit=1.3,
            ),
            Bar(promise="memory for ten times as many findings", value=more, limit=8, unit="MiB more"),
        ],
    )


def measure(*, case: str, connectors: str) -> dict[str, float]:
    """Read all findings twice; the second time's seconds, CPU and growth in MiB."""
    number = _FEW if case == "few" else _FINDINGS
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        estate = Path(folder, "estate.json")
        estate.write_text(json.dumps(_estate(number)), encoding="utf-8")
        with _simulator(estate) as url:
            return _bare(url) if case == "bare" else _job(url, number, connectors)


def _estate(number: int) -> dict[str, Any]:
    from simulators.whitehat.estate import KEY, vector

    asset = {"number": 1, "sub": 1, "name": "Shop", "kind": "site", "scans": [1_768_000_000]}
    findings = [
        {
            "id": str(100_000 + n),
            "class": f"Weakness {n % 60}",
            "status": "open",
            "severity": "3",
            "risk": 1 + n % 5,
            "custom_risk": None,
            "opened": "2026-01-09T00:53:16Z",
            "url": f"https://shop.example/page/{n}",
            "href": f"/api/vuln/{100_000 + n}",
            "site": "1",
            "site_name": "Shop",
            "attack_vectors": [vector(n, f"CWE-{n % 60}", "reflected"), vector(n, "error_based")],
        }
        for n in range(number)
    ]
    return {"key": KEY, "assets": [asset], "findings": findings}


@contextlib.contextmanager
def _simulator(estate: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "simulators.whitehat",
        "--listen",
        "127.0.0.1:0",
        "--estate",
        str(estate),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].split(",")[0]
        finally:
            process.terminate()


def _bare(url: str) -> dict[str, float]:
    import os

    from benchmarks import processes

    _read_all(url)
    processes.forget_peak(os.getpid())
    before, cpu, began = processes.resident(os.getpid()), time.process_time(), time.monotonic()
    assert _read_all(url) == _FINDINGS
    return {
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "grown": (processes.peak(os.getpid()) - before) / 2**20,
    }


def _read_all(url: str) -> int:
    import requests

    from simulators.whitehat.estate import KEY

    shown = "display_attack_vectors=1&display_risk=1&display_custom_risk=1"
    asked = (
        f"{url}/vuln?query_site=1&query_status=open&{shown}&page:order_by=id&page:limit={_PAGE}&page:offset="
    )
    seen, total = 0, 1
    with requests.Session() as session:
        session.headers.update({"Key": KEY, "Accept": "application/json"})
        while seen < total:
            answer = session.get(f"{asked}&page:offset={seen}", timeout=60)
            answer.raise_for_status()
            page = answer.json()
            seen, total = seen + len(page["collection"]), page["page"]["total"]
    return seen


def _job(url: str, number: int, connectors: str) -> dict[str, float]:
    import os

    from benchmarks import own, processes

    with own.daemon(connectors) as daemon:
        connection = _connection(daemon.database, url)
        # Enough of them that whichever worker gets the one that counts knows its connector.
        for _ in range(4):
            _enqueue(daemon.engine, connection)
            own.wait_until(daemon.engine.idle, timeout=30)
        workers = [pid for pid in processes.tree(os.getpid()) if pid != os.getpid()]
        for pid in workers:
            processes.forget_peak(pid)
        before = {pid: processes.resident(pid) for pid in workers}
        cpu, began = processes.cpu_seconds(os.getpid()), time.monotonic()
        job_id = _enqueue(daemon.engine, connection)
        own.wait_until(daemon.engine.idle, timeout=30)
        seconds = time.monotonic() - began
        cpu = processes.cpu_seconds(os.getpid()) - cpu
        _assert_all_found(daemon.database, job_id, number)
        grown = max((processes.peak(pid) - before[pid]) / 2**20 for pid in workers)
        return {"seconds": seconds, "cpu": cpu, "grown": grown}


def _connection(database: Any, url: str) -> int:
    from benchmarks import own
    from runner.daemon import utc_now
    from runner.model.jobs import Kind
    from runner.store import connections, tasks
    from simulators.whitehat.estate import KEY

    project = own.add_project(database, 1)
    rows = [
        {"task_id": f"T{n}", "title": f"T{n}", "priority": 7, "phase": "development", "cwes": [n]}
        for n in range(1, 41)
    ]
    database.write(lambda c: tasks.add(c, project, rows, now=utc_now()))
    params = {
        "analysis_server": url.removeprefix("http://").removesuffix("/api"),
        "analysis_method": "http",
        "analysis_api_token": KEY,
        "asset_name": "Shop",
    }
    made: int = database.write(
        lambda c: connections.create(
            c,
            kind=Kind.ANALYSIS,
            system="whitehat",
            alias="Shop",
            command="sync_whitehat",
            project_id=project,
            params=params,
            now=utc_now(),
        )
    )
    return made


def _enqueue(engine: Any, connection: int) -> int:
    from runner.daemon import utc_now
    from runner.model.jobs import Kind
    from runner.store import queue

    job_id: int
    job_id, _ = engine.database.write(
        lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.ANALYSIS, now=utc_now())
    )
    engine.wake()
    return job_id


def _assert_all_found(database: Any, job_id: int, number: int) -> None:
    from runner.store import listing

    with database.read() as c:
        job = listing.one(c, job_id)
    assert job is not None
    assert f"has {number} findings" in job.result_message, job.result_message
