"""Tracing: off by default, and then nothing of it is loaded."""

from typing import TYPE_CHECKING

from runtime.settings import Settings
from runtime.telemetry.handles import Tracing

if TYPE_CHECKING:
    pass


def open_tracing(settings: Settings, service: str) -> Tracing:
    """Return the tracing of this process; the caller closes it.

    Spans go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, and as NDJSON to the sink.
    """
    if settings.otlp_endpoint is None and settings.traces_sink_path is None:
        return Tracing()
    from runtime.telemetry.spans import exporters, traced  # noqa: PLC0415  loaded only when it is wanted

    return traced(service, exporters(settings))
