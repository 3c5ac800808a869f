"""Tracing: off by default, and then nothing of it is loaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.client import Interceptor

from runtime.postgres.pool import QueryObserver
from runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def _nothing() -> None:
    """Close what was never opened."""


@dataclass(frozen=True)
class Tracing:
    """What a process hands to FastAPI, to Temporal and to its pool; nothing while it is off."""

    provider: "TracerProvider | None" = None
    interceptors: Sequence[Interceptor] = ()
    on_query: QueryObserver | None = None
    close: Callable[[], None] = _nothing


def open_tracing(settings: Settings, service: str) -> Tracing:
    """Return the tracing of this process; the caller closes it.

    Spans go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, and as NDJSON to the sink.
    """
    if settings.otlp_endpoint is None and settings.traces_sink_path is None:
        return Tracing()
    from runtime.telemetry.spans import exporters, traced  # noqa: PLC0415  loaded only when it is wanted

    return traced(service, exporters(settings))
