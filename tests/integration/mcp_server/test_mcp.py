"""The agents' door on a real stack: the closed toolset, a whole lifecycle, and retries."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from mcp import Client, StdioServerParameters, types

from policy.command.registry import alias
from policy.rules.bundle import load_bundle
from tests.integration.mcp_server.mcp_clients import (
    agent,
    code_of,
    done,
    refused,
    second_gateway,
    text_of,
)
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

TICKETS_OF_SUMMARY = "SELECT count(*) FROM tickets WHERE summary = $1"
CALLS_OF_SUMMARY = """
SELECT count(*) FROM audit_events WHERE tool_name = 'ticket.create'
   AND payload->'request'->>'summary' = $1
"""
DENIALS = "SELECT code, response_code FROM command_log WHERE request_id = $1 AND decision = 'DENY'"
CHECKLIST = dict.fromkeys(
    (
        "billing_authorization",
        "onsite_photos_after",
        "parts_used_or_needed",
        "resolution_status",
        "work_performed",
    ),
    True,
)
EVIDENCE = (
    "note_adjustments_and_test_cycles",
    "photo_after_latched_alignment",
    "photo_before_door_edge_and_strike",
)

TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH", "ready_to_schedule": True}


def place(gateway: TestGateway) -> dict[str, str]:
    return {"account_id": gateway.account_id, "site_id": gateway.site_id}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_is_shown_what_its_role_may_call(gateway: TestGateway, mode: str) -> None:
    async with agent(gateway.url, gateway.bearer("agent"), mode) as client:
        listed = (await client.list_tools()).tools
        status = await done(client, "dispatch_contract_status")

    rules = load_bundle().tools
    assert {each.name for each in listed} == {
        alias(name) for name, rule in rules.items() if "agent" in rule.roles
    }
    assert len(listed) < status["tool_count"] == len(rules) == 45


async def test_a_lifecycle_through_mcp(gateway: TestGateway) -> None:
    now = datetime.now(UTC).isoformat()
    technician = gateway.bearer("technician", technician_id=gateway.tech_id)
    async with (
        agent(gateway.url, gateway.bearer("dispatcher")) as dispatcher,
        agent(gateway.url, technician) as on_site,
        agent(gateway.url, gateway.bearer("qa")) as qa,
        agent(gateway.url, gateway.bearer("finance"), "legacy") as finance,
    ):
        ticket = await done(dispatcher, "ticket_create", **place(gateway), summary="Door")
        this = {"ticket_id": ticket["id"]}
        what = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
        await done(dispatcher, "ticket.triage", **this, **what, ready_to_schedule=True)
        window = gateway.window()
        await done(dispatcher, "schedule_propose", **this, options=[window])
        await done(dispatcher, "schedule_confirm", **this, **window)
        best = await done(
            dispatcher, "assignment_recommend", **this, service_type="DOOR_WONT_LATCH"
        )
        await done(dispatcher, "assignment_dispatch", **this, tech_id=gateway.tech_id)
        await done(dispatcher, "tech_check_in", **this, timestamp=now)
        missing = await refused(on_site, "tech_complete", **this, checklist_status={})
        for key in EVIDENCE:
            await done(
                on_site,
                "closeout_add_evidence",
                **this,
                kind="NOTE",
                uri=f"s3://b/{key}",
                evidence_key=key,
            )
        completion = {"checklist_status": CHECKLIST, "no_signature_reason": "nobody there"}
        await done(on_site, "tech_complete", **this, **completion)
        await done(qa, "qa_verify", **this, timestamp=now, result="PASS")
        await done(finance, "billing_generate_invoice", **this)
        closed = await done(finance, "ticket_close", **this)
        events = await done(dispatcher, "ticket_timeline", **this, limit=3)

    assert gateway.tech_id in {each["tech_id"] for each in best["recommendations"]}
    assert code_of(missing) == "CLOSEOUT_REQUIREMENTS_INCOMPLETE"
    assert "What to do:" in text_of(missing)
    assert closed["ticket"]["state"] == "CLOSED"
    assert [event["seq"] for event in events["events"]] == [1, 2, 3]


@pytest.mark.parametrize("with_key", [True, False], ids=["own key", "derived key"])
async def test_100_identical_calls_over_two_gateways_have_one_effect(
    gateway: TestGateway, *, with_key: bool
) -> None:
    summary = f"The same call a hundred times {uuid4()}"
    call: dict[str, Any] = {**place(gateway), "summary": summary}
    if with_key:
        call["request_id"] = str(uuid4())
    identity = gateway.bearer("agent")

    async with (
        second_gateway(gateway.env) as other,
        agent(gateway.url, identity) as here,
        agent(other, identity) as there,
    ):
        results = await asyncio.gather(
            *((here, there)[turn % 2].call_tool("ticket_create", call) for turn in range(100))
        )

    answers = [result.structured_content for result in results]
    assert answers == [answers[0]] * 100
    assert answers[0]["status"] == 201
    async with gateway.owner() as conn:
        assert await conn.fetchval(TICKETS_OF_SUMMARY, summary) == 1
        assert await conn.fetchval(CALLS_OF_SUMMARY, summary) == 1


async def test_other_arguments_under_the_same_key_are_refused(gateway: TestGateway) -> None:
    key = str(uuid4())
    async with agent(gateway.url, gateway.bearer("agent")) as client:
        await done(client, "ticket_create", **place(gateway), summary="First", request_id=key)
        result = await refused(
            client, "ticket_create", **place(gateway), summary="Second", request_id=key
        )

    assert code_of(result) == "IDEMPOTENCY_PAYLOAD_MISMATCH"
    assert result.structured_content["request_id"] == key
    async with gateway.owner() as conn:
        denials = await conn.fetch(DENIALS, UUID(key))
    assert [(row["code"], row["response_code"]) for row in denials] == [
        ("IDEMPOTENCY_PAYLOAD_MISMATCH", 409)
    ]


async def test_a_derived_key_tells_a_replay_and_a_new_key_acts_again(gateway: TestGateway) -> None:
    call = {**place(gateway), "summary": f"Two doors alike {uuid4()}"}
    async with agent(gateway.url, gateway.bearer("agent")) as client:
        first = await client.call_tool("ticket_create", call)
        again = await client.call_tool("ticket_create", call)
        second = await client.call_tool("ticket_create", {**call, "request_id": str(uuid4())})

    assert again.structured_content == first.structured_content
    assert again.content[0] == first.content[0]
    assert "NOTHING WAS DONE BY THIS CALL" not in text_of(first)
    assert "NOTHING WAS DONE BY THIS CALL" in text_of(again)
    ids = {each.structured_content["data"]["id"] for each in (first, second)}
    assert len(ids) == 2


async def test_two_callers_never_share_a_derived_key(gateway: TestGateway) -> None:
    call = {**place(gateway), "summary": f"Same words {uuid4()}"}
    ids = set()
    for who in ("agent-a", "agent-b"):
        async with agent(gateway.url, gateway.bearer("agent", sub=who)) as client:
            ids.add((await done(client, "ticket_create", **call))["id"])
    assert len(ids) == 2


async def test_a_refusal_is_not_remembered(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    window = gateway.window()
    async with agent(gateway.url, gateway.bearer("dispatcher")) as client:
        early = await refused(client, "schedule_confirm", ticket_id=ticket, **window)
        gateway.done(f"/tickets/{ticket}/triage", TRIAGE)
        gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [window]})
        late = await done(client, "schedule_confirm", ticket_id=ticket, **window)

    assert code_of(early) == "INVALID_STATE_TRANSITION"
    assert late["state"] == "SCHEDULED"


async def test_the_stdio_server_passes_calls_on(gateway: TestGateway, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(gateway.bearer("agent")["Authorization"].removeprefix("Bearer "))
    server = StdioServerParameters(
        command=str(Path(sys.executable).with_name("dispatch")),
        args=["mcp", "--token-file", str(token_file)],
        env={**os.environ, "DISPATCH_API_URL": gateway.url},
        cwd=tmp_path,
    )
    summary = f"Over stdio {uuid4()}"
    async with Client(server) as client:
        listed = (await client.list_tools()).tools
        made = await done(client, "ticket_create", **place(gateway), summary=summary)
        again = await client.call_tool("ticket_create", {**place(gateway), "summary": summary})
        denied = await refused(client, "ticket_close", ticket_id=made["id"])

    assert len(listed) == len([1 for rule in load_bundle().tools.values() if "agent" in rule.roles])
    assert again.structured_content["data"] == made
    assert code_of(denied) == "TOOL_ROLE_FORBIDDEN"
    assert isinstance(again.content[1], types.TextContent)
