"""One trace from the HTTP request through signal, workflow and activity to SQL.

FastAPI makes the request's span, Temporal's own interceptor those of signal, workflow and
activity, and the pool reports its queries. The command carries the trace from the gateway to its
activity: a ticket's workflow serves many callers, so its own trace would be the wrong parent.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from asyncpg.connection import LoggedQuery
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio import client, worker
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.workflow import ActivityHandle

from contracts.command import SignedCommand
from runtime.settings import Settings
from runtime.telemetry.handles import Tracing
from runtime.telemetry.logging import append_line

TRACE_PARENT: Final = "traceparent"
BATCH_MILLISECONDS: Final = 1000
NANOSECONDS: Final = 1_000_000_000
_W3C: Final = TraceContextTextMapPropagator()


def traced(service: str, targets: Iterable[SpanExporter]) -> Tracing:
    """Return the tracing of a process that calls itself `service`, and sends spans to `targets`."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    for target in targets:
        provider.add_span_processor(
            BatchSpanProcessor(target, schedule_delay_millis=BATCH_MILLISECONDS)
        )
    tracer = provider.get_tracer("real-dispatch")
    return Tracing(
        provider=provider,
        interceptors=(TracingInterceptor(tracer), _CommandTrace()),  # in this order
        on_query=partial(_record_query, tracer),
        close=provider.shutdown,
    )


def _record_query(tracer: trace.Tracer, query: LoggedQuery) -> None:
    """Record a query that has just ended, if it belongs to a trace."""
    if not trace.get_current_span().get_span_context().is_valid:
        return
    ended = time.time_ns()
    span = tracer.start_span(
        f"SQL {query.query.split(maxsplit=1)[0].rstrip(';')}",
        kind=trace.SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql", "db.query.text": query.query},
        start_time=ended - int(query.elapsed * NANOSECONDS),
    )
    if query.exception is not None:
        span.set_attribute("error.type", type(query.exception).__name__)
        span.set_status(trace.StatusCode.ERROR)
    span.end(ended)


class SpanFile(SpanExporter):
    """Appends finished spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append the spans; a file that cannot be written loses them, and nothing else."""
        lines = "".join(f"{span.to_json(indent=None)}\n" for span in spans)
        try:
            append_line(self._path, lines.encode())
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def exporters(settings: Settings) -> list[SpanExporter]:
    """Return where spans go. The collector's exporter reads the OTEL_EXPORTER_OTLP_ variables."""
    targets: list[SpanExporter] = []
    if settings.otlp_endpoint is not None:
        targets.append(OTLPSpanExporter())
    if settings.traces_sink_path is not None:
        targets.append(SpanFile(settings.traces_sink_path))
    return targets


class _CommandTrace(client.Interceptor, worker.Interceptor):
    """Hands a command's trace on from its signal to its activity."""

    def intercept_client(
        self,
        next: client.OutboundInterceptor,  # noqa: A002  Temporal's name
    ) -> client.OutboundInterceptor:
        return _Sending(next)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002, ARG002  Temporal's name
    ) -> type[worker.WorkflowInboundInterceptor]:
        return _InWorkflow


class _Sending(client.OutboundInterceptor):
    """Puts the trace into the command, not into headers.

    A workflow that starts with headers makes its first caller the parent of whatever comes later.
    """

    async def start_workflow(
        self,
        input: client.StartWorkflowInput,  # noqa: A002  Temporal's name
    ) -> client.WorkflowHandle[Any, Any]:
        input.headers = {}
        input.start_signal_args = [_with_trace(each) for each in input.start_signal_args]
        return await super().start_workflow(input)

    async def signal_workflow(
        self,
        input: client.SignalWorkflowInput,  # noqa: A002  Temporal's name
    ) -> None:
        input.headers = {}
        input.args = [_with_trace(each) for each in input.args]
        await super().signal_workflow(input)


class _InWorkflow(worker.WorkflowInboundInterceptor):
    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_Ordering(outbound))


class _Ordering(worker.WorkflowOutboundInterceptor):
    def start_activity(
        self,
        input: worker.StartActivityInput,  # noqa: A002  Temporal's name
    ) -> ActivityHandle[Any]:
        with _continued(input.args):
            return super().start_activity(input)

    def start_local_activity(
        self,
        input: worker.StartLocalActivityInput,  # noqa: A002  Temporal's name
    ) -> ActivityHandle[Any]:
        with _continued(input.args):
            return super().start_local_activity(input)


def _with_trace(argument: object) -> object:
    if not isinstance(argument, SignedCommand):
        return argument
    span, carrier = trace.get_current_span(), dict[str, str]()
    span.set_attribute("dispatch.tool", argument.command.tool)
    span.set_attribute("dispatch.command_id", str(argument.command.command_id))
    _W3C.inject(carrier)
    return argument.model_copy(update={"trace_parent": carrier.get(TRACE_PARENT)})


@contextmanager
def _continued(arguments: Sequence[object]) -> Iterator[None]:
    """Make the trace of a command among the arguments the current one."""
    parent = next(
        (each.trace_parent for each in arguments if isinstance(each, SignedCommand)), None
    )
    if parent is None:
        yield
        return
    token = otel.attach(_W3C.extract({TRACE_PARENT: parent}, otel.get_current()))
    try:
        yield
    finally:
        otel.detach(token)
