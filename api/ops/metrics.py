"""Metrics as Prometheus text or as JSON, whichever the caller prefers (contract 15.2)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from api.ops.health import SERVICE
from api.ops.undecided import Undecided
from api.wire.accept import ranked
from api.wire.counters import DURATIONS, Counters, Durations
from policy.values import format_datetime

JSON = "application/json"
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
NEW_TICKET = "NULL"
LABELS = {
    "requests_total": ("method", "endpoint", "status"),
    "errors_total": ("code",),
    "transitions_total": ("from_state", "to_state"),
    "dispatch_override_close_by_code": ("code",),
}
BOUNDS = [*map(str, DURATIONS[:-1]), "+Inf"]
HELP = {
    "requests_total": "Requests answered.",
    "errors_total": "Errors answered, by code.",
    "transitions_total": "State transitions committed; from_state NULL is a new ticket.",
    "idempotency_replay_total": "Answers repeated for a key that was used before.",
    "idempotency_conflict_total": "Keys used again for something else.",
    "dispatch_override_close_total": "Tickets closed by force.",
    "dispatch_override_close_by_code": "Tickets closed by force, by override code.",
    "dispatch_assignments_with_snapshot_total": "Dispatches that follow a recommendation.",
    "dispatch_assignments_without_snapshot_total": "Dispatches without a recommendation.",
    "promises_waiting": "Commands that were answered 202 and are not decided yet.",
    "promise_oldest_seconds": "How long the oldest of them has waited.",
    "commands_given_up": "Commands that were refused for a defect within a day.",
}


class CountersCollector(Collector):
    """Shows the counters to Prometheus under its naming rules."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield each counter."""
        for name, value in self._counters.snapshot().items():
            labels = LABELS.get(name, ())
            family = CounterMetricFamily(
                f"dispatch_{name.removeprefix('dispatch_')}", HELP[name], labels=labels
            )
            for row in value if isinstance(value, list) else [{"count": value}]:
                family.add_metric([_label(row[label]) for label in labels], row["count"])
            yield family
        yield _durations(self._counters.durations)


def _durations(durations: Durations) -> Metric:
    family = HistogramMetricFamily(
        "dispatch_request_duration_seconds",
        "How long requests took.",
        labels=("method", "endpoint"),
    )
    for (method, endpoint), seconds in sorted(durations.seconds.items()):
        counts = accumulate(durations.buckets[method, endpoint, bound] for bound in DURATIONS)
        buckets = list(zip(BOUNDS, counts, strict=True))
        family.add_metric((method, endpoint), buckets, seconds)
    return family


class UndecidedCollector(Collector):
    """Shows what is undecided to Prometheus."""

    def __init__(self, found: Undecided) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Yield each gauge."""
        for name, value in self._found.gauges.items():
            yield GaugeMetricFamily(f"dispatch_{name}", HELP[name], value=value)


def _label(value: object) -> str:
    return NEW_TICKET if value is None else str(value)


def exposition(
    counters: Counters, media_type: str = TEXT, found: Undecided | None = None
) -> tuple[bytes, str]:
    """Return the metrics as text, with their content type; `found` is None in an outage."""
    registry = CollectorRegistry()
    registry.register(CountersCollector(counters))
    if found is not None:
        registry.register(UndecidedCollector(found))
    if media_type == OPENMETRICS:
        text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def json_metrics(counters: Counters) -> dict[str, Any]:
    """Return the answer of /metrics as JSON."""
    return {
        "service": SERVICE,
        "generated_at": format_datetime(datetime.now(UTC)),
        "counters": counters.snapshot(),
    }


def preferred(accept: str) -> str:
    """Return which of JSON, TEXT and OPENMETRICS an Accept header ranks highest; JSON if none."""
    return ranked(accept, (JSON, OPENMETRICS, TEXT))
