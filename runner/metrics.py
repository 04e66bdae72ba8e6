"""What is measured: one catalogue, to which ``/metrics``, the page about it, alerts and dashboard are held.

Counters and histograms are fed where things happen. Gauges are looked up when somebody asks:
what a gauge was an hour ago is nobody's state to keep.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client import disable_created_metrics as _without_created
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from runner.errors import Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

NO_REASON = "none"
"""The label ``reason`` of a job that didn't fail."""

Gauges = Mapping[str, Iterable[tuple[Mapping[str, str], float]]]
"""By the name of a gauge: each series' labels and value. A series that isn't known is left out."""


class Type(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"  # only grows, from 0 at the daemon's start
    GAUGE = "gauge"  # how it is now
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of the catalogue."""

    type: Type
    help: str  # a sentence for whoever reads a dashboard
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper edges, of a histogram; seconds


_DURATIONS = (1.0, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_WAITS = (1.0, 3, 10, 30, 60, 120, 300, 900, 1800, 3600)


def _counter(text: str, *labels: str) -> Metric:
    return Metric(type=Type.COUNTER, help=text, labels=labels)


def _gauge(text: str, *labels: str) -> Metric:
    return Metric(type=Type.GAUGE, help=text, labels=labels)


CATALOGUE: Mapping[str, Metric] = {
    "runner_build_info": _gauge("1; the labels say what runs.", "version", "python"),
    "runner_state": _gauge("1 for the state the daemon is in: starting, running or draining.", "state"),
    "runner_ready": _gauge("1 if jobs are taken and run; 0 for the reasons that /-/ready tells."),
    "runner_paused": _gauge("1 while somebody has paused everything."),
    "runner_config_last_reload_successful": _gauge(
        "1 if the configuration in force is the one that was read last; 0 if that one was refused."
    ),
    "runner_config_last_reload_success_timestamp_seconds": _gauge(
        "When the configuration in force was read."
    ),
    "runner_slots": _gauge("Jobs that can run at the same time here."),
    "runner_jobs_started_total": _counter(
        "Runs that began here; a job that is taken up again counts again.", "system"
    ),
    "runner_jobs_finished_total": _counter(
        "Jobs that ended here. reason is none for those that did not fail.", "system", "outcome", "reason"
    ),
    "runner_jobs_put_off_total": _counter(
        "Times that a job is tried again later, because its other side asked for that.", "system"
    ),
    "runner_job_duration_seconds": Metric(
        type=Type.HISTOGRAM,
        help="How long jobs that ended here ran, their last attempt.",
        labels=("system",),
        buckets=_DURATIONS,
    ),
    "runner_job_wait_seconds": Metric(
        type=Type.HISTOGRAM,
        help="How long jobs waited from being asked for to their first run.",
        labels=("system",),
        buckets=_WAITS,
    ),
    "runner_jobs_pending": _gauge("Jobs that wait to run, those behind another one of their connection too."),
    "runner_jobs_oldest_pending_timestamp_seconds": _gauge(
        "Since when the job waits that could have run the longest; absent if none could."
    ),
    "runner_jobs_rescued_total": _counter(
        "Jobs that a dead daemon left running, taken up again or given up at this one."
    ),
    "runner_connection_info": _gauge(
        "1; which connection a number stands for. Enabled connections only.", "connection", "alias", "system"
    ),
    "runner_connection_created_timestamp_seconds": _gauge("When the connection was made.", "connection"),
    "runner_connection_last_success_timestamp_seconds": _gauge(
        "When a job of the connection last ended well; absent if none did.", "connection"
    ),
    "runner_connection_last_run_succeeded": _gauge(
        "1 if the connection's last job ended well, 0 if it failed; absent if there was none.", "connection"
    ),
    "runner_connection_period_seconds": _gauge(
        "The longest time between two slots of a connection that runs by itself and isn't paused.",
        "connection",
    ),
    "runner_schedule_lag_seconds": _gauge("How long the slot that is due the longest waits for its job."),
    "runner_schedule_enqueued_total": _counter("Jobs that the scheduler made."),
    "runner_schedule_missed_total": _counter(
        "Slots that passed without a job of their own, because the scheduler came late."
    ),
    "runner_polls_total": _counter(
        "Looks for work at a remote server, by outcome: success or failed.", "remote", "outcome"
    ),
    "runner_poll_last_success_timestamp_seconds": _gauge(
        "When a remote server was last asked for work and answered; absent if it never did.", "remote"
    ),
    "runner_results_undelivered": _gauge(
        "Results of finished jobs that a remote server hasn't got yet.", "remote"
    ),
    "runner_results_refused": _gauge("Results that a remote server will never take.", "remote"),
    "runner_connections_unserved": _gauge(
        "Connections of a remote server that nobody runs, for want of a connector or a right.", "remote"
    ),
    "runner_changes_total": _counter(
        "Changes of jobs that ended here, by what became of them: done, failed, skipped or unknown.",
        "system",
        "op",
        "outcome",
    ),
    "runner_ceiling_stops_total": _counter(
        "Jobs that were stopped before their first write because they would destroy too much.", "system"
    ),
}
"""Every metric of ours, by its name. ``process_*`` are the client library's."""


class Metrics:
    """The counters and histograms of one daemon. Safe between threads."""

    def __init__(self) -> None:
        # A series more for each, of which no alert makes use.
        _without_created()  # type: ignore[no-untyped-call]  # the one function that they give no types
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        # To look a series up in the library costs more than to count: it locks and spells the labels.
        self._series: dict[tuple[str, ...], Any] = {}
        self._expected: set[str] = set()
        for name, metric in CATALOGUE.items():
            if metric.type is Type.COUNTER:
                self._counters[name] = Counter(name, metric.help, metric.labels, registry=self._registry)
            elif metric.type is Type.HISTOGRAM:
                self._histograms[name] = Histogram(
                    name, metric.help, metric.labels, buckets=metric.buckets, registry=self._registry
                )

    def count(self, name: str, number: float = 1, /, **labels: str) -> None:
        """Add to a counter of the catalogue."""
        self._one(self._counters, name, labels).inc(number)

    def expect(self, system: str) -> None:
        """Begin the series of a system at 0: what is first seen at 1 didn't grow, for Prometheus."""
        if system in self._expected:
            return
        for name, metric in CATALOGUE.items():
            if metric.type is Type.COUNTER and metric.labels == ("system",):
                self._counters[name].labels(system=system)
        for reason in Reason:
            self._counters["runner_jobs_finished_total"].labels(system, "failed", reason.value)
        self._expected.add(system)

    def observe(self, name: str, seconds: float, /, **labels: str) -> None:
        """Add an observation to a histogram of the catalogue."""
        self._one(self._histograms, name, labels).observe(max(0.0, seconds))

    def _one(self, metrics: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> Any:
        """The one series of a metric."""
        key = (name, *labels, *labels.values())
        series = self._series.get(key)
        if series is None:
            metric = metrics[name]
            series = self._series[key] = metric.labels(**labels) if labels else metric
        return series

    def expose(self, gauges: Gauges) -> bytes:
        """All metrics in Prometheus' text format, with ``gauges`` as they are now."""
        return generate_latest(_Everything(self._registry, gauges))


class _Everything(Collector):
    """What was counted, and the gauges of this moment."""

    def __init__(self, counted: CollectorRegistry, gauges: Gauges) -> None:
        self._counted = counted
        self._gauges = gauges

    def collect(self) -> Iterator[Family]:
        yield from self._counted.collect()
        for name, series in self._gauges.items():
            metric = CATALOGUE[name]
            family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
            for labels, value in series:
                family.add_metric([labels[label] for label in metric.labels], value)
            yield family
