"""Rate limits on a real stack: 429 with Retry-After and no row, and replays all the same."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

ON = {"DISPATCH_RATE_LIMITS": "on"}
TICKET_LIMIT = {**ON, "DISPATCH_RATE_LIMIT_TICKET_PER_MINUTE": "6"}  # three at once
TOOL_LIMIT = {**ON, "DISPATCH_RATE_LIMIT_TOOL_PER_MINUTE": "6"}
REFUSALS = "SELECT code FROM command_log WHERE actor_id = $1 AND decision = 'DENY'"


async def triage(
    client: httpx.AsyncClient, gateway: TestGateway, ticket: str, key: str, actor: str = "limited"
) -> httpx.Response:
    body = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
    headers = {**gateway.as_role("dispatcher"), "X-Actor-Id": actor, "Idempotency-Key": key}
    return await client.post(f"/tickets/{ticket}/triage", json=body, headers=headers)


async def rows_of(gateway: TestGateway, actor: str) -> list[str]:
    """Return the codes of the logged refusals of an actor."""
    async with gateway.owner() as conn:
        rows = await conn.fetch(REFUSALS, actor)
    return [row["code"] for row in rows]


async def test_the_call_too_many_waits_its_turn_and_leaves_no_row(gateway: TestGateway) -> None:
    ticket, actor = gateway.new_ticket(), str(uuid4())
    async with gateway.sibling(**TICKET_LIMIT) as client:
        answers = [await triage(client, gateway, ticket, str(uuid4()), actor) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 409, 409, 429]

        refused = answers[3]
        error = refused.json()["error"]
        assert (error["code"], error["limit"]) == ("RATE_LIMITED", "ticket")
        assert error["policy_error"] == {"dimension": "policy"}
        assert refused.headers["Retry-After"] == str(error["retry_after_seconds"])
        assert 1 <= error["retry_after_seconds"] <= 10
        assert await rows_of(gateway, actor) == ["INVALID_STATE_TRANSITION"] * 2


async def test_a_replay_is_served_when_nothing_else_is(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    first = str(uuid4())
    async with gateway.sibling(**TICKET_LIMIT) as client:
        original = await triage(client, gateway, ticket, first)
        for _ in range(5):
            await triage(client, gateway, ticket, str(uuid4()))
        replay = await triage(client, gateway, ticket, first)
        assert replay.headers["Idempotency-Replayed"] == "true"
        assert (replay.status_code, replay.content) == (200, original.content)


async def test_the_refused_key_works_later_and_on_another_gateway(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling(**TICKET_LIMIT) as client:
        keys = [str(uuid4()) for _ in range(4)]
        answers = [await triage(client, gateway, ticket, key) for key in keys]
        assert answers[3].status_code == 429
    async with gateway.sibling(DISPATCH_RATE_LIMITS="off") as client:
        later = await triage(client, gateway, ticket, keys[3])
        assert later.json()["error"]["code"] == "INVALID_STATE_TRANSITION"


async def test_one_actors_flood_does_not_hold_up_another(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling(**TICKET_LIMIT) as client:
        for _ in range(4):
            await triage(client, gateway, ticket, str(uuid4()))
        assert (await triage(client, gateway, ticket, str(uuid4()), "other")).status_code == 409


async def test_reads_are_limited_too(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling(**TOOL_LIMIT) as client:
        headers = gateway.as_role("dispatcher")
        codes = [
            (await client.get(f"/tickets/{ticket}", headers=headers)).status_code for _ in range(4)
        ]
    assert codes == [200, 200, 200, 429]


async def test_reads_spend_nothing_of_the_tickets_limit(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    paths = (f"/tickets/{ticket}", f"/ux/technician/job-packet/{ticket}")
    async with gateway.sibling(**TICKET_LIMIT) as client:
        headers = gateway.as_role("dispatcher")
        codes = {(await client.get(path, headers=headers)).status_code for path in paths * 4}
    assert codes == {200}


@pytest.mark.parametrize(
    ("role", "path", "body", "headers", "code"),
    [
        ("technician", "/tickets/{}/triage", {}, {}, "FORBIDDEN"),
        ("technician", "/tools/ticket.triage", {"ticket_id": "{}"}, {}, "TOOL_ROLE_FORBIDDEN"),
        ("dispatcher", "/tickets/{}/triage", {}, {"X-Tool-Name": "x"}, "TOOL_NOT_ALLOWED"),
        ("dispatcher", "/tickets/{}/triage", {}, {}, "INVALID_REQUEST"),
        (
            "dispatcher",
            "/tickets/{}/triage",
            {},
            {"Idempotency-Key": "7"},
            "INVALID_IDEMPOTENCY_KEY",
        ),
        ("dispatcher", "/tools/ticket.triage", {"payload": 1}, {}, "INVALID_REQUEST"),
        ("dispatcher", "/tools/ticket.triage", {"ticket_id": 1}, {}, "INVALID_TICKET_ID"),
    ],
)
async def test_refusals_are_counted_and_those_beyond_the_limit_leave_no_row(  # noqa: PLR0913, PLR0917
    gateway: TestGateway,
    role: str,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    code: str,
) -> None:
    ticket, actor = gateway.new_ticket(), str(uuid4())
    content = json.dumps(body).replace("{}", ticket, 1) if "ticket_id" in body else json.dumps(body)
    async with gateway.sibling(**TOOL_LIMIT) as client:
        answers = [
            await client.post(
                path.format(ticket),
                content=content,
                headers={
                    **gateway.as_role(role),
                    "X-Actor-Id": actor,
                    "Idempotency-Key": str(uuid4()),
                    **headers,
                },
            )
            for _ in range(5)
        ]
    codes = [answer.json()["error"]["code"] for answer in answers]
    assert codes == [code] * 3 + ["RATE_LIMITED"] * 2
    assert await rows_of(gateway, actor) == [code] * 3


async def test_the_misuse_of_a_key_is_counted_too(gateway: TestGateway) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    async with gateway.sibling(**TICKET_LIMIT) as client:
        await triage(client, gateway, ticket, key)
        headers = {**gateway.as_role("dispatcher"), "X-Actor-Id": "limited", "Idempotency-Key": key}
        codes = [
            (await client.post(f"/tickets/{ticket}/triage", json={"n": n}, headers=headers)).json()
            for n in range(3)
        ]
    assert [body["error"]["code"] for body in codes] == [
        "IDEMPOTENCY_PAYLOAD_MISMATCH",
        "IDEMPOTENCY_PAYLOAD_MISMATCH",
        "RATE_LIMITED",
    ]
