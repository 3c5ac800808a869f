"""No request within the limits costs a gateway more than 100 ms of processor time, or a worker 250.

The dearest legal requests of every kind go through what reads, judges and records them.
"""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing import get_context
from time import process_time as _now
from typing import Any

import httpx
import orjson
import pytest
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from api.identity.authenticator import Authenticator
from api.identity.dev_headers import identify
from api.ops.metrics import preferred
from api.reads.query import Query
from api.routes.agents_door import MOST_MEMBERS
from api.routes.invoice import _csv  # the export as a whole is what counts
from api.wire.body import BODY_LIMIT_BYTES
from api.wire.context import read_context
from api.wire.errors import ApiError
from api.wire.ijson import parse_body
from contracts.signing import is_bound, sign
from mcp_server.server import mcp_server
from policy.audit.row import Chain, chained
from policy.billing.invoice import MOST_LINES, Bill, Line, invoice_document
from policy.command.effects import Denial
from policy.command.message import request_hash
from policy.command.payload import parse_payload
from policy.model import State
from policy.rules.bundle import load_bundle
from policy.values import REFERENCE_LIMIT
from runtime.settings import load_settings
from tests.unit.cost.measuring import quiet_seconds_of
from tests.unit.cost.shapes import JSON, TEXTS
from tests.unit.facts_builder import NOW, command, decided, evidence, facts, ticket
from tests.unit.payloads import AUDIT, COMPLETION, PAYLOADS, TICKET, uuid_of

GATEWAY_SECONDS, WORKER_SECONDS = 0.100, 0.250
RUNS = 12
"""The cheapest run counts; more are made while it is too dear, for this machine may be busy."""
HEAD_BYTES = 32_000
BODY_BYTES = BODY_LIMIT_BYTES - 2_000
BUNDLE = load_bundle()
KEY = b"k" * 32
TOOL = "tech.complete"
SETTINGS = load_settings({"DISPATCH_AUTH_JWT_SECRET": "s" * 40})[0]


def cost_of(call: Callable[[], object], budget: float) -> float:
    """Return the processor time of the cheapest run."""
    cheapest = float("inf")
    for _ in range(RUNS):
        cheapest = min(cheapest, quiet_seconds_of(call))
        if cheapest <= budget:
            break
    return cheapest


def body_of(shape: str) -> bytes:
    """Return a legal body of that shape, as large as may be, which a tool accepts."""
    extra = JSON[shape](BODY_BYTES)
    if extra == b"{}":
        return extra
    return orjson.dumps(PAYLOADS[TOOL])[:-1] + b',"extra":' + extra + b"}"


def at_the_gateway(raw: bytes) -> None:
    """Do what the gateway does with a command's body."""
    body = parse_body(raw)
    request_hash(body, {"ticketId": str(TICKET)})
    judged = parse_payload(BUNDLE, TOOL, body)
    if isinstance(judged, Denial):
        orjson.dumps(judged.body("key", "correlation"))
        return
    assert isinstance(body, dict)
    payload = orjson.dumps(body)  # is it small enough for the engine
    orjson.dumps(orjson.Fragment(payload)).decode()  # and into the database if it is not
    sign(KEY, command(TOOL, payload=PAYLOADS[TOOL]))


def at_the_worker(stored: bytes) -> None:
    """Do what the worker does with a command whose payload was stored."""
    asked = command(TOOL, payload=PAYLOADS[TOOL])
    asked = asked.model_copy(update={"payload": orjson.loads(stored)})
    is_bound(asked)
    decision = decided(BUNDLE, facts(ticket(State.IN_PROGRESS)), asked)
    event = {
        **dict.fromkeys(("ticket_id", "actor_type", "actor_id", "actor_role", "trace_id"), "x"),
        "id": AUDIT,
        "tool_name": TOOL,
        "request_id": AUDIT,
        "correlation_id": "c",
        "before_state": None,
        "after_state": None,
        "tenant_id": "default",
        "command_id": AUDIT,
        "policy_bundle_sha256": "x",
        "payload": {"request": asked.payload},
    }
    row = chained(event, Chain(None, None, None, b"key"), NOW)
    orjson.dumps({"audit": row}, default=str)
    if isinstance(decision, Denial):
        orjson.dumps(decision.body("key", "correlation"))


@pytest.fixture(scope="module")
def young() -> Iterator[Executor]:
    """Start a process to measure in: the heap of this one has seen thousands of tests."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


def gateway_cost(shape: str) -> float:
    """Return what a body of that shape costs a gateway."""
    raw = body_of(shape)
    assert len(raw) <= BODY_LIMIT_BYTES
    return cost_of(lambda: _tried(at_the_gateway, raw), GATEWAY_SECONDS)


def worker_cost(shape: str) -> float:
    """Return what a body of that shape costs a worker; nothing if the gateway keeps it."""
    with suppress(ApiError):
        body = parse_body(body_of(shape))
        stored = orjson.dumps(body)
        if not isinstance(parse_payload(BUNDLE, TOOL, body), Denial):
            return cost_of(lambda: at_the_worker(stored), WORKER_SECONDS)
    return 0.0


@pytest.mark.parametrize("shape", sorted(JSON))
def test_no_body_costs_the_gateway_more_than_its_budget(young: Executor, shape: str) -> None:
    assert young.submit(gateway_cost, shape).result() <= GATEWAY_SECONDS


@pytest.mark.parametrize("shape", sorted(JSON))
def test_no_body_costs_the_worker_more_than_its_budget(young: Executor, shape: str) -> None:
    assert young.submit(worker_cost, shape).result() <= WORKER_SECONDS


def test_no_list_of_wrong_references_costs_the_gateway_more_than_its_budget() -> None:
    raw = json.dumps({**COMPLETION, "evidence_refs": [0] * REFERENCE_LIMIT}).encode()
    assert cost_of(lambda: at_the_gateway(raw), GATEWAY_SECONDS) <= GATEWAY_SECONDS


@pytest.mark.parametrize("references", [REFERENCE_LIMIT, 0])
def test_no_gate_on_much_evidence_costs_the_worker_more_than_its_budget(references: int) -> None:
    rows = tuple(evidence(id=uuid_of(100 + n), uri=f"s3://evidence/{n}") for n in range(3000))
    refs = [rows[0].uri] * (references // 2) + [f"x{n}" for n in range(references // 2)]
    asked = command(TOOL, payload={**COMPLETION, "evidence_refs": refs})
    known = facts(ticket(State.IN_PROGRESS, incident_type="DOOR_WONT_LATCH"), evidence=rows)
    assert cost_of(lambda: decided(BUNDLE, known, asked), WORKER_SECONDS) <= WORKER_SECONDS


def test_no_head_costs_the_gateway_more_than_its_budget() -> None:
    authenticator = Authenticator(SETTINGS, BUNDLE.role_aliases)

    def read(headers: Headers) -> None:
        read_context(headers)
        _tried(lambda each: identify(each, BUNDLE.role_aliases).actor, headers)
        _tried(authenticator.authenticate, headers)
        _tried(preferred, headers.get("accept", ""))

    names = ("prefer", "authorization", "x-site-scope", "traceparent", "tracestate", "accept")
    who = {"x-actor-id": "a", "x-actor-role": "ops"}
    dear = {
        (name, shape): cost
        for name in names
        for shape, make in TEXTS.items()
        if (cost := _head_cost(read, Headers({**who, name: make(HEAD_BYTES)}))) > GATEWAY_SECONDS
    }
    assert dear == {}


def _head_cost(read: Callable[[Headers], None], headers: Headers) -> float:
    return cost_of(lambda: read(headers), GATEWAY_SECONDS)


def test_no_query_costs_the_gateway_more_than_its_budget() -> None:
    def read(text: str) -> None:
        query = Query(QueryParams(text))
        for way in (query.words, query.text, query.uuids):
            _tried(way, "a")

    dear = {
        shape: cost
        for shape, make in TEXTS.items()
        if (cost := cost_of(_reading(read, make(HEAD_BYTES)), GATEWAY_SECONDS)) > GATEWAY_SECONDS
    }
    assert dear == {}


def _reading(read: Callable[[str], None], text: str) -> Callable[[], None]:
    return lambda: read(f"a={text}")


def test_no_invoice_costs_the_gateway_more_than_its_budget() -> None:
    line = Line(description="x" * 200, unit_price_cents=1)

    def shown() -> None:
        bill = Bill(lines=(line,) * MOST_LINES)
        document = invoice_document(ticket(), bill, datetime.now(UTC), "caller")
        orjson.dumps(document)
        _csv([document])

    assert cost_of(shown, GATEWAY_SECONDS) <= GATEWAY_SECONDS


ARGUMENTS: Mapping[str, object] = {
    "numbers": {"reason": [0] * (MOST_MEMBERS - 20)},
    "arrays": {"reason": [[]] * (MOST_MEMBERS - 20)},
    "objects": {"reason": [{"a": {}}] * ((MOST_MEMBERS - 20) // 3)},
    "members": {f"m{n}": 0 for n in range(MOST_MEMBERS - 20)},
    "a text": {"reason": "x" * 1_000_000},
    "escapes": {"reason": "\u20ac" * 170_000},
}


@pytest.mark.parametrize("arguments", sorted(ARGUMENTS))
async def test_no_call_by_mcp_costs_more_than_its_budget_before_it_is_a_call(
    arguments: str,
) -> None:
    sessions = StreamableHTTPSessionManager(
        mcp_server(
            BUNDLE,
            httpx.AsyncClient(transport=httpx.ASGITransport(_refusing), base_url="http://gateway"),
            lambda _: httpx.Headers({"x-actor-id": "a"}),
        ),
        json_response=True,
        stateless=True,
    )
    call = {"name": "ticket_close", "arguments": ARGUMENTS[arguments]}
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    transport = httpx.ASGITransport(sessions.handle_request)
    costs = []
    async with sessions.run(), httpx.AsyncClient(transport=transport) as client:
        for _ in range(RUNS):
            began = _now()
            answer = await client.post("http://localhost/mcp", content=raw, headers=headers)
            costs.append(_now() - began)
            assert answer.status_code == 200
            if costs[-1] <= GATEWAY_SECONDS:
                break
    assert min(costs) <= GATEWAY_SECONDS


async def _refusing(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    body = b'{"error":{"code":"INVALID_REQUEST","message":"x"}}'
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _tried(call: Callable[[Any], object], value: Any) -> None:  # noqa: ANN401  whatever it reads
    with suppress(ApiError, ValueError):
        answer = call(value)
        if isinstance(answer, Coroutine):
            with suppress(StopIteration):  # it waits for nothing
                answer.send(None)
