"""The catalogue of metrics, and all that is held to it: the page, the alerts, the dashboard."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import Reason
from runner.metrics import CATALOGUE, Metrics, Type

ROOT = Path(__file__).parents[2]
ALERTS = (ROOT / "config" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "runner.json").read_text(encoding="utf-8"))
NAMES = re.findall(r"^ +- alert: (\w+)$", ALERTS, re.MULTILINE)
KNOWN = {
    series
    for name, metric in CATALOGUE.items()
    for series in (
        [f"{name}_{part}" for part in ("bucket", "sum", "count")] if metric.type is Type.HISTOGRAM else [name]
    )
}


def expressions() -> Iterator[str]:
    """What the dashboard asks Prometheus."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"] for variable in DASHBOARD["templating"]["list"])


def test_names_follow_the_rules() -> None:
    """A counter ends in _total and nothing else does; no label is one that Prometheus sets itself."""
    for name, metric in CATALOGUE.items():
        assert re.fullmatch(r"runner(_[a-z]+)+", name)
        assert name.endswith("_total") == (metric.type is Type.COUNTER)
        assert not {"job", "instance", "le", "quantile"} & set(metric.labels)
        assert metric.help.endswith(".")


def told_on(page: str) -> list[tuple[str, str, str, str]]:
    """Name, type, labels and meaning of the metrics on a page."""
    return re.findall(r"^\| `(runner_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)


def test_the_page_lists_every_metric() -> None:
    """docs/metrics.md has a row for each metric, as the catalogue has it, and no other."""
    assert told_on(PAGE) == [
        (name, metric.type.value, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for name, metric in CATALOGUE.items()
    ]
    without = re.sub(r"^\| `runner_paused` .*\n", "", PAGE, flags=re.MULTILINE)
    assert {row[0] for row in told_on(PAGE)} - {row[0] for row in told_on(without)} == {"runner_paused"}


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_its_page(name: str) -> None:
    """The runbook that an alert names is there, and says what it means, where to look, what to do."""
    assert f"runbook: docs/runbooks/{name}.md" in ALERTS
    page = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^#+ (.*)$", page, re.MULTILINE) == [name, "Where to look", "What to do"]
    assert f"| [{name}](runbooks/{name}.md) |" in PAGE


def test_there_is_no_page_without_its_alert() -> None:
    """A runbook whose alert was removed is removed too."""
    assert sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("text", [ALERTS, *expressions()], ids=lambda text: text[:40])
def test_only_what_exists_is_asked_for(text: str) -> None:
    """Alerts and dashboard name metrics of the catalogue, and labels that those have."""
    asked = set(re.findall(r"\brunner_\w+", text))
    assert asked <= KNOWN
    labels = {label for name in asked for label in _labels(name)} | {"instance", "job", "le"}
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", text)
    matched = re.findall(r"[{,] ?(\w+)=~?\"", text)
    assert {label.strip() for group in grouped for label in group.split(",")} | set(matched) <= labels


def _labels(series: str) -> tuple[str, ...]:
    for name, metric in CATALOGUE.items():
        if series in (name, f"{name}_bucket", f"{name}_sum", f"{name}_count"):
            return metric.labels
    return ()


def test_a_dashboard_panel_lies_on_no_other() -> None:
    """Panels have numbers of their own and lie side by side in 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_failures_of_a_system_begin_at_zero() -> None:
    """From the first look at a system on, each reason has a series: so its first failure is a growth."""
    metrics = Metrics()
    metrics.expect("rally")
    told = metrics.expose({}).decode()
    for reason in Reason:
        series = f'runner_jobs_finished_total{{outcome="failed",reason="{reason}",system="rally"}}'
        assert f"{series} 0.0" in told
    assert 'runner_ceiling_stops_total{system="rally"} 0.0' in told


def test_what_is_not_in_the_catalogue_is_not_told() -> None:
    """A name that is misspelt is a defect that shows at once."""
    with pytest.raises(KeyError):
        Metrics().count("runner_jobs_begun_total")
    with pytest.raises(KeyError):
        Metrics().expose({"runner_mood": [({}, 1)]})
