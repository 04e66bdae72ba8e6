"""Metrics as Prometheus sees them: a real one scrapes a real daemon."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.servers.machine import REPORT, Machine, free_port
from tests.servers.prometheus import program, scraping
from tests.servers.waiting import until

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "config" / "grafana" / "runner.json"


def promtool(*words: object, told: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        [program("promtool"), *map(str, words)],
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_alerts_are_rules_that_prometheus_takes() -> None:
    """Promtool finds nothing wrong with the shipped alerts."""
    done = promtool("check", "rules", "--lint-fatal", ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should() -> None:
    """Promtool's unit tests of each alert: it fires, with its labels and words, and stays silent else."""
    tests = ROOT / "tests" / "prometheus" / "alerts.yml"
    done = promtool("test", "rules", tests)
    assert done.returncode == 0, done.stdout + done.stderr
    names = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:", tests.read_text())
    assert names == set(fired)


def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    """Each query of the dashboard is one, with Grafana's own words filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [
        {
            "record": f"asked:{number}",
            "expr": expr.replace("$__rate_interval", "5m").replace("$instance", "a"),
        }
        for number, expr in enumerate(asked)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout


def test_what_is_told_is_clean(lasting: Machine) -> None:
    """Promtool finds nothing to say of what the daemon tells, with jobs that ran."""
    done = lasting.type("upload", REPORT, "--project", "1", "--wait")
    assert done.returncode == 0, done.stderr
    told = requests.get(f"http://{lasting.settings['RUNNER__SERVER__LISTEN']}/metrics", timeout=30)
    assert told.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    done = promtool("check", "metrics", told=told.text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    system = 'system="fortify_file_upload"'
    succeeded = f'runner_jobs_finished_total{{outcome="succeeded",reason="none",{system}}}'
    assert re.search(rf"^{re.escape(succeeded)} [1-9]", told.text, re.MULTILINE)
    assert re.search(
        rf'^runner_changes_total{{op="\w+",outcome="done",{system}}} [1-9]', told.text, re.MULTILINE
    )
    assert f"runner_job_duration_seconds_count{{{system}}}" in told.text
    assert f"runner_job_wait_seconds_count{{{system}}}" in told.text


@pytest.mark.slow
def test_an_alert_fires_and_resolves(tmp_path: Path, plugins: Path) -> None:
    """Prometheus scrapes a daemon; a connection that fails fires the alert, its next success resolves it."""
    port = free_port()
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__METRICS__LISTEN": f"127.0.0.1:{port}",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
        },
    )
    (tmp_path / "prometheus").mkdir()
    folder, source = tmp_path / "folder", tmp_path / "source.json"
    folder.mkdir()
    # Shorter, so that nobody waits: how long each alert waits is what promtool's tests are for.
    rules = re.sub(r"for: \w+", "for: 1s", ALERTS.read_text())
    with (
        machine.daemon("--sample"),
        scraping(tmp_path / "prometheus", f"127.0.0.1:{port}", rules) as prometheus,
    ):
        params = {"source": str(source), "folder": str(folder), "ledger": str(tmp_path / "ledger")}
        (tmp_path / "ledger").write_text("")
        project = next(machine.client().pages("projects/"))["id"]
        body = {"alias": "Shop", "system": "acme_folder", "project": project, "params": params}
        connection = machine.client().post("connections/alm/", body)["id"]

        until("the scrape", lambda: prometheus.value("runner_ready") == 1)
        assert machine.type("connections", "run", connection, "--wait").returncode == 1  # no source
        until("the alert", lambda: "RunnerConnectionFailing" in prometheus.firing())
        labels = prometheus.firing()["RunnerConnectionFailing"]
        assert (labels["connection"], labels["alias"], labels["system"]) == (
            str(connection),
            "Shop",
            "acme_folder",
        )

        source.write_text(json.dumps({"a.txt": "alpha"}))
        assert machine.type("connections", "run", connection, "--wait").returncode == 0
        until("the end of the alert", lambda: "RunnerConnectionFailing" not in prometheus.firing())
        assert prometheus.value(f'runner_connection_last_run_succeeded{{connection="{connection}"}}') == 1
        assert "RunnerDown" not in prometheus.firing()
        served = {
            path: requests.get(f"http://127.0.0.1:{port}{path}", timeout=30).status_code for path in PATHS
        }
        assert served == {"/metrics": 200, "/-/ready": 200, "/-/healthy": 200, "/api/v2/jobs/": 404}


PATHS = ("/metrics", "/-/ready", "/-/healthy", "/api/v2/jobs/")
