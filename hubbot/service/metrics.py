"""The bot in numbers, as Prometheus asks for them: computed when they are asked for, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hubbot.service.state import Live

if TYPE_CHECKING:
    from hubbot.hub.rates import Rate
    from hubbot.store.counts import Status


def exposed(live: Live, status: Status) -> bytes:
    """The page that Prometheus reads, in its text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once([*_of_store(status), *_of_process(live)]))
    return generate_latest(registry)


class _Once(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _of_store(status: Status) -> Iterator[Metric]:
    waiting = {"due": status.due, "later": status.waiting}
    yield _gauge("hubbot_backlog", "Uploads that were noticed and are not finished.", "when", waiting)
    yield _gauge("hubbot_orders", "Admins' orders not carried out yet.", "", {"": status.orders})
    yield _gauge("hubbot_answered", "Uploads with a reading.", "", {"": status.answered})
    yield _gauge("hubbot_unanswered", "Uploads without one, by reason.", "reason", status.reasons)
    yield _gauge("hubbot_suggestions", "The latest of each repo, by state.", "state", status.suggestions)
    marks = {endpoint: at.timestamp() for endpoint, at in status.watermarks.items()}
    yield _gauge("hubbot_watermark_seconds", "How far a Hub's listing was read.", "endpoint", marks)


def _of_process(live: Live) -> Iterator[Metric]:
    yield _gauge("hubbot_started_seconds", "When the bot started.", "", {"": live.started_at.timestamp()})
    yield _counter("hubbot_events", "What came about since then.", "event", live.events)
    lost = {"": live.workers_lost}
    yield _counter("hubbot_workers_lost", "Workers that died or hung over a batch.", "", lost)
    jobs = {job.id: job for job in live.jobs}
    yield _counter("hubbot_job_runs", "Runs of a job.", "job", {i: job.runs for i, job in jobs.items()})
    failures = {i: job.failures for i, job in jobs.items()}
    yield _counter("hubbot_job_failures", "Runs that ended with an error.", "job", failures)
    took = {i: job.took_s for i, job in jobs.items()}
    yield _gauge("hubbot_job_took_seconds", "How long the last run took.", "job", took)
    ended = {i: _seconds(job.ended_well_at) for i, job in jobs.items()}
    yield _gauge("hubbot_job_ended_well_seconds", "When a run last ended well.", "job", ended)
    yield from _of_rates({rate.kind: rate for rate in live.rates})


def _of_rates(rates: Mapping[str, Rate]) -> Iterator[Metric]:
    asked, refused = ({k: r.requests for k, r in rates.items()}, {k: r.refused for k, r in rates.items()})
    yield _counter("hubbot_hub_requests", "Requests to the Hub.", "kind", asked)
    yield _counter("hubbot_hub_refused", "Requests that the Hub put off.", "kind", refused)
    waited = {kind: rate.waited_s for kind, rate in rates.items()}
    yield _counter("hubbot_hub_waited_seconds", "What threads waited for their turn.", "kind", waited)
    left = {kind: rate.remaining for kind, rate in rates.items() if rate.remaining is not None}
    yield _gauge("hubbot_hub_remaining", "Requests left in the Hub's window.", "kind", left)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    return _filled(family, label, values)


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label] if label else [])
    return _filled(family, label, values)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, label: str, values: Mapping[str, float]
) -> Metric:
    for value, number in values.items():
        family.add_metric([value] if label else [], number)
    return family


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0
