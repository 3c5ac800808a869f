"""The log record of every request (contract 15.1)."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

FIELDS = {
    *("method", "path", "endpoint", "request_id", "correlation_id", "trace_id", "actor_type"),
    *("actor_id", "actor_role", "tool_name", "ticket_id", "command_id", "replay", "status"),
    *("duration_ms", "event", "log_level"),
}
TRACE = {"trace_parent", "trace_state"}
ERROR = {*TRACE, "error_code", "message"}


async def logged(
    client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str], body: object
) -> dict[str, Any]:
    """Return the one record of a request."""
    with capture_logs() as records:
        await client.request(method, path, headers=dict(headers), json=body)
    (record,) = [dict(each) for each in records if each["event"] == "request"]
    return record


async def test_a_command_is_logged_with_its_ticket_actor_and_trace(gateway: TestGateway) -> None:
    ticket, key, trace = gateway.new_ticket(), str(uuid4()), "0af7651916cd43dd8448eb211c80319c"
    headers = {
        **gateway.as_role("dispatcher"),
        "Idempotency-Key": key,
        "traceparent": f"00-{trace}-b7ad6b7169203331-01",
    }
    body = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
    async with gateway.sibling() as client:
        first = await logged(client, "POST", f"/tickets/{ticket}/triage", headers, body)
        again = await logged(client, "POST", f"/tickets/{ticket}/triage", headers, body)
        through = {"ticket_id": ticket, "payload": {"reason": "Wrong"}}
        tool = await logged(client, "POST", "/tools/ticket_cancel", headers, through)

    assert set(first) == FIELDS | TRACE
    assert (first["endpoint"], first["tool_name"]) == (
        "/tickets/{ticketId}/triage",
        "ticket.triage",
    )
    assert (first["ticket_id"], first["request_id"], first["trace_id"]) == (ticket, key, trace)
    assert first["trace_parent"] == headers["traceparent"]
    assert (first["actor_id"], first["actor_role"]) == ("dispatcher-1", "dispatcher")
    assert (first["log_level"], first["status"], first["replay"]) == ("info", 200, False)
    assert (again["replay"], again["command_id"]) == (True, first["command_id"])
    assert (tool["ticket_id"], tool["tool_name"]) == (ticket, "ticket.cancel")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/nowhere", "NOT_FOUND"),
        ("/tickets/{ticket}/triage", "INVALID_REQUEST"),
        ("/tickets/{ticket}/tech/check-in", "INVALID_STATE_TRANSITION"),
    ],
)
async def test_an_error_is_logged_with_its_code_and_message_wherever_it_is_decided(
    gateway: TestGateway, path: str, code: str
) -> None:
    headers = {**gateway.as_role("dispatcher"), "Idempotency-Key": str(uuid4())}
    body = {"timestamp": "2026-01-01T00:00:00Z"}
    async with gateway.sibling() as client:
        at = path.format(ticket=gateway.new_ticket())
        record = await logged(client, "POST", at, headers, body)
    assert set(record) == FIELDS | ERROR
    assert (record["log_level"], record["error_code"]) == ("error", code)
    assert record["message"]


@pytest.mark.parametrize(
    ("method", "path", "content", "code"),
    [
        ("POST", "/tickets/{ticket}/triage", b"{", "INVALID_JSON"),
        ("POST", "/tickets/{ticket}/triage", b"{}", "MISSING_ACTOR_CONTEXT"),
        ("GET", "/tickets/{ticket}", b"", "MISSING_ACTOR_CONTEXT"),
        ("GET", "/tickets/{ticket}/dossier", b"", "MISSING_ACTOR_CONTEXT"),
    ],
)
async def test_the_ticket_of_the_path_is_logged_whatever_becomes_of_the_request(
    gateway: TestGateway, method: str, path: str, content: bytes, code: str
) -> None:
    ticket = str(uuid4())
    async with gateway.sibling() as client:
        with capture_logs() as records:
            await client.request(method, path.format(ticket=ticket.upper()), content=content)
    (record,) = [dict(each) for each in records if each["event"] == "request"]
    assert (record["ticket_id"], record["error_code"]) == (ticket, code)
    assert record["tool_name"] == {
        "/tickets/{ticket}/triage": "ticket.triage",
        "/tickets/{ticket}": "ticket.get",
    }.get(path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("POST", "/tickets/no-uuid/triage"),
        ("GET", "/ux/technician/job-packet/no-uuid"),
        ("POST", "/tickets%2Fintake"),
    ],
)
async def test_a_path_that_is_no_route_is_logged_as_unmatched(
    gateway: TestGateway, method: str, path: str
) -> None:
    async with gateway.sibling() as client:
        record = await logged(client, method, path, gateway.as_role("dispatcher"), {})
    assert (record["endpoint"], record["error_code"]) == ("UNMATCHED", "NOT_FOUND")
    assert record["message"]
