"""Every header of the contract means the same at both doors; others do no harm."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.command import AUTOMATION_HEADER
from tests.integration.mcp_server.mcp_clients import agent, code_of, done, refused
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.in_process import bearer, serving, settings_of

pytest_plugins = ["tests.integration.servers.stack_fixture"]

AUTOMATION = {AUTOMATION_HEADER: "yes"}
CLAIM = "https://installation.example/automation"
ACCEPT = {"Accept": "application/json, text/event-stream"}


def mcp(
    gateway: TestGateway, tool: str, arguments: object, headers: list[tuple[str, Any]]
) -> httpx.Response:
    """Send one tool call as it would come over the wire; header values may be bytes."""
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    named = [*ACCEPT.items(), ("MCP-Protocol-Version", "2025-11-25"), *headers]
    return gateway.http.post("/mcp", json=message, headers=named)


def said(answer: httpx.Response) -> dict[str, Any]:
    structured: dict[str, Any] = answer.json()["result"]["structuredContent"]
    return structured


def paused_ticket(gateway: TestGateway) -> str:
    ticket = gateway.scheduled_ticket()
    pause = {"scope_type": "TICKET", "ticket_id": ticket, "reason": "a person looks at it"}
    gateway.done("/ops/autonomy/pause", pause)
    return ticket


async def test_automation_obeys_a_pause_through_mcp_as_it_does_through_rest(
    gateway: TestGateway,
) -> None:
    ticket, who = paused_ticket(gateway), gateway.bearer("dispatcher")
    body = {"tech_id": gateway.tech_id}
    path = f"/tickets/{ticket}/assignment/dispatch"
    by_rest = gateway.post(path, body, headers={**who, **AUTOMATION})
    async with agent(gateway.url, {**who, **AUTOMATION}) as automation:
        by_mcp = await refused(automation, "assignment_dispatch", ticket_id=ticket, **body)
    async with agent(gateway.url, who) as person:
        acted = await done(person, "assignment_dispatch", ticket_id=ticket, **body)

    assert by_rest.json()["error"]["code"] == code_of(by_mcp) == "AUTONOMY_DISABLED"
    assert acted["state"] == "DISPATCHED"


@pytest.mark.parametrize("tool", ["ticket_cancel", "assignment_dispatch", "schedule_confirm"])
async def test_what_the_ladder_forbids_it_forbids_at_both_doors(
    gateway: TestGateway, tool: str
) -> None:
    ticket = paused_ticket(gateway)
    arguments: dict[str, dict[str, object]] = {
        "ticket_cancel": {"reason": "x"},
        "assignment_dispatch": {"tech_id": gateway.tech_id},
        "schedule_confirm": {**gateway.window()},
    }
    call = {"ticket_id": ticket, "payload": arguments[tool]}
    who = {**gateway.bearer("dispatcher"), **AUTOMATION}
    by_rest = gateway.post(f"/tools/{tool}", call, headers=who)
    by_mcp = mcp(gateway, tool, {"ticket_id": ticket, **arguments[tool]}, [*who.items()])
    assert said(by_mcp)["error"]["code"] == by_rest.json()["error"]["code"]


async def test_a_token_that_the_installation_marks_is_automation_at_both_doors(
    gateway: TestGateway,
) -> None:
    ticket = paused_ticket(gateway)
    env = {**gateway.env, "DISPATCH_AUTH_AUTOMATION_CLAIM": CLAIM}
    payload = {"tech_id": gateway.tech_id}
    call = {"ticket_id": ticket, "payload": payload}
    message = {"name": "assignment_dispatch", "arguments": {"ticket_id": ticket, **payload}}
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": message}
    marked = bearer(env, "dispatcher", **{CLAIM: True})
    assert settings_of(env).auth_automation_claim == CLAIM
    async with serving(env) as client:
        by_rest = await client.post("/tools/assignment.dispatch", json=call, headers=marked)
        by_mcp = await client.post("/mcp", json=rpc, headers={**ACCEPT, **marked})
        odd = bearer(env, "dispatcher", **{CLAIM: "perhaps"})
        unreadable = await client.post("/tools/assignment.dispatch", json=call, headers=odd)
        person = bearer(env, "dispatcher", **{CLAIM: False})
        acted = await client.post("/tools/assignment.dispatch", json=call, headers=person)

    assert by_rest.json()["error"]["code"] == "AUTONOMY_DISABLED"
    assert said(by_mcp)["error"]["code"] == "AUTONOMY_DISABLED"
    assert unreadable.json()["error"]["code"] == "INVALID_AUTH_CLAIMS"
    assert acted.json()["data"]["state"] == "DISPATCHED"


async def test_the_idempotency_key_header_counts_through_mcp(gateway: TestGateway) -> None:
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    key, who = str(uuid4()), gateway.bearer("agent")
    headers = [*who.items(), ("Idempotency-Key", key)]
    arguments = {**place, "summary": f"One key {key}"}
    first = mcp(gateway, "ticket_create", arguments, headers)
    by_rest = gateway.post("/tickets", arguments, headers=who, key=key)
    other = mcp(gateway, "ticket_create", {**place, "summary": "Another"}, headers)
    bad = mcp(gateway, "ticket_create", arguments, [*who.items(), ("Idempotency-Key", "mine")])

    assert said(first)["request_id"] == key
    assert by_rest.json()["id"] == said(first)["data"]["id"]
    assert by_rest.headers["Idempotency-Replayed"] == "true"
    assert said(other)["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
    assert said(bad)["error"]["code"] == "INVALID_IDEMPOTENCY_KEY"


@pytest.mark.parametrize(
    "name",
    ["X-Filler", "X-Actor-Type", "Prefer", "X-Trace-Id", "tracestate", "X-Tool-Name", "Cookie"],
)
@pytest.mark.parametrize(
    "value", ["Zoë".encode(), "Zoë".encode("latin-1"), b"\xff\xfe", b"\xe2\x98\x83" * 40]
)
def test_a_header_that_is_no_ascii_does_no_harm(
    gateway: TestGateway, name: str, value: bytes
) -> None:
    answer = mcp(gateway, "ticket_get", {}, [*gateway.bearer("agent").items(), (name, value)])
    assert answer.status_code == 200
    assert said(answer)["error"]["code"] == "INVALID_TICKET_ID"


@pytest.mark.parametrize("value", ["Zoë".encode(), b"\xff\xfe"])
def test_an_actor_whose_name_is_no_ascii_is_the_same_at_both_doors(
    gateway: TestGateway, value: bytes
) -> None:
    who: list[tuple[str, Any]] = [("X-Actor-Id", value), ("X-Actor-Role", "agent")]
    by_mcp = mcp(gateway, "ticket_get", {}, who)
    by_rest = gateway.http.post("/tools/ticket.get", json={}, headers=who)
    assert by_rest.status_code < 500
    if by_rest.json()["error"]["code"] == "INVALID_TICKET_ID":
        assert said(by_mcp)["error"]["code"] == "INVALID_TICKET_ID"
    else:
        assert by_mcp.status_code == by_rest.status_code
