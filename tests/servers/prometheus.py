"""A private Prometheus: its own folder, a loopback port, gone with the process that started it."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.absence import server_is_absent
from tests.servers.machine import free_port
from tests.servers.waiting import PATIENCE, until


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; without them the test is skipped or fails."""
    found = shutil.which(name)
    if found is None:
        server_is_absent("Prometheus", "Debian package prometheus")
    return found


@dataclass(frozen=True)
class Prometheus:
    """One server that scrapes each half second."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own server
            return json.load(answer)["data"]

    def value(self, query: str) -> float | None:
        """The value of a query with one series; None while there is none."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire now, by name, with their labels."""
        alerts = self.ask("alerts")["alerts"]
        return {one["labels"]["alertname"]: one["labels"] for one in alerts if one["state"] == "firing"}


@contextmanager
def scraping(folder: Path, target: str, rules: str) -> Iterator[Prometheus]:
    """Run a server that scrapes ``target`` and goes by ``rules``, for the length of the block."""
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n"
        f"  - {{job_name: integration-runner, static_configs: [{{targets: ['{target}']}}]}}\n",
        encoding="utf-8",
    )
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                # The parent's death ends the server too, also when a test run is killed.
                *("setpriv", "--pdeathsig=KILL", program("prometheus")),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = Prometheus(url)
    try:
        until("Prometheus answers", lambda: _ready(url, process, folder))
        yield server
    finally:
        process.kill()
        process.wait(PATIENCE)


def _ready(url: str, process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    assert process.poll() is None, (folder / "prometheus.log").read_text()
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False
