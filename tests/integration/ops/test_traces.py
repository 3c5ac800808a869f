"""Traces on a real stack: one request is one trace, through every process that served it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import WorkflowHistory
from temporalio.worker import Interceptor, Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from runtime.settings import load_settings
from runtime.stack import EmbeddedStack
from runtime.telemetry.spans import traced
from runtime.temporal.client import connect_temporal
from tests.integration.servers.in_process import command
from tests.polling import eventually
from worker.parts import OUR_PURE_MODULES
from workflows.ticket.workflow import TicketWorkflow

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
LOADED_WHEN_OFF = """
import sys
import api.main, worker.main
sys.exit(any(name.startswith("opentelemetry.sdk") for name in sys.modules))
"""
Span = Mapping[str, Any]
EXECUTED: Final = "core_local_activity"
COMMANDS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    folder = tmp_path_factory.mktemp("stack")
    environ = {"DISPATCH_TRACES_SINK_PATH": str(folder / "traces" / "spans.ndjson")}
    async with EmbeddedStack(folder, environ=environ) as running:
        yield running


async def send(stack: EmbeddedStack, path: str, body: object, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=stack.env["DISPATCH_API_URL"], timeout=30) as client:
        return await client.post(path, json=body, headers=command(stack.env, **headers))


async def new_ticket(stack: EmbeddedStack, **headers: str) -> str:
    settings, _ = load_settings(stack.env)
    body = {
        "account_id": str(settings.demo_account_id),
        "site_id": str(settings.demo_site_id),
        "summary": "Door does not latch",
    }
    answer = await send(stack, "/tickets", body, **headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


LAST = {"POST", "RunActivity"}  # what a process's other spans are part of ends after them


def spans_of(stack: EmbeddedStack, trace_id: str) -> list[Span]:
    path = Path(stack.env["DISPATCH_TRACES_SINK_PATH"])
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    spans: list[Span] = [orjson.loads(line) for line in lines]
    return [span for span in spans if span["context"]["trace_id"] == f"0x{trace_id}"]


async def whole_trace(stack: EmbeddedStack, trace_id: str) -> list[Span]:
    """Return the spans once gateway and worker have both written the last of theirs."""

    async def found() -> list[Span]:
        spans = spans_of(stack, trace_id)
        services = {span["resource"]["attributes"]["service.name"] for span in spans}
        ended = {span["name"].partition(":")[0].partition(" ")[0] for span in spans}
        is_whole = services == {"dispatch-api", "dispatch-worker"} and ended >= LAST
        return spans if is_whole else []

    return await eventually(found, what="the trace of both processes")


def ancestors(span: Span, spans: list[Span]) -> list[str]:
    """Return the names of a span and of what it is part of, outermost first."""
    by_id = {each["context"]["span_id"]: each for each in spans}
    parent = by_id.get(span["parent_id"])
    return [*(ancestors(parent, spans) if parent else []), span["name"]]


async def test_a_command_is_one_trace_from_the_callers_span_to_sql(stack: EmbeddedStack) -> None:
    ticket_id = await new_ticket(stack)
    trace_id, caller = uuid4().hex, "00f067aa0ba902b7"
    answer = await send(
        stack, f"/tickets/{ticket_id}/triage", TRIAGE, traceparent=f"00-{trace_id}-{caller}-01"
    )
    assert answer.status_code == 200, answer.text

    spans = await whole_trace(stack, trace_id)
    paths = [ancestors(span, spans) for span in spans]
    request = "POST /tickets/{ticketId}/triage"
    command_path = [
        request,
        "SignalWorkflow:ticket.triage",
        "StartActivity:ticket.execute_command",
        "RunActivity:ticket.execute_command",
    ]
    assert command_path in paths
    assert [request, "SQL SELECT"] in paths
    assert [*command_path, "SQL INSERT"] in paths or [*command_path, "SQL SELECT"] in paths
    assert {path[0] for path in paths} == {request}
    root = next(span for span in spans if span["name"] == request)
    assert root["parent_id"] == f"0x{caller}"
    assert root["attributes"]["http.response.status_code"] == 200


async def test_a_later_command_belongs_to_its_own_caller_and_not_to_the_first(
    stack: EmbeddedStack,
) -> None:
    first, second = uuid4().hex, uuid4().hex
    ticket_id = await new_ticket(stack, traceparent=f"00-{first}-00f067aa0ba902b7-01")
    await send(
        stack,
        f"/tickets/{ticket_id}/triage",
        TRIAGE,
        traceparent=f"00-{second}-b9c7c989f97918e1-01",
    )
    of_second = await whole_trace(stack, second)
    of_first = await whole_trace(stack, first)
    activities = [
        [span for span in spans if span["name"].startswith("RunActivity")]
        for spans in (of_first, of_second)
    ]
    assert [len(each) for each in activities] == [1, 1]


async def test_no_span_holds_a_value_of_a_ticket(stack: EmbeddedStack) -> None:
    trace_id = uuid4().hex
    await new_ticket(stack, traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    spans = await whole_trace(stack, trace_id)
    assert b"Door does not latch" not in orjson.dumps(spans)


async def test_a_history_replays_whether_traces_are_on_or_off(stack: EmbeddedStack) -> None:
    ticket_id = await new_ticket(stack)
    await send(stack, f"/tickets/{ticket_id}/triage", TRIAGE)
    settings, _ = load_settings(stack.env)
    client = await connect_temporal(settings)
    handle = client.get_workflow_handle(f"ticket-{ticket_id}")

    async def recorded() -> WorkflowHistory | None:
        """Return the history once both commands stand in it: an open task is no replay."""
        found = await handle.fetch_history()
        markers = [each.marker_recorded_event_attributes.marker_name for each in found.events]
        return found if markers.count(EXECUTED) == COMMANDS else None

    history = await eventually(recorded, what="the history of both commands")
    assert "_tracer-data" not in history.to_json()

    spans = InMemorySpanExporter()
    tracing = traced("replay", [spans])
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES)
    for interceptors in ((), tracing.interceptors):
        replayer = Replayer(
            workflows=[TicketWorkflow],
            data_converter=client.data_converter,
            interceptors=[each for each in interceptors if isinstance(each, Interceptor)],
            workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
        )
        await replayer.replay_workflow(history)
    tracing.close()
    assert spans.get_finished_spans() == ()


async def test_tracing_loads_nothing_while_it_is_off() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOADED_WHEN_OFF)
    assert await process.wait() == 0
