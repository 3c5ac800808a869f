"""Rate limits on a real stack: 429 with Retry-After and a log row, and replays all the same."""

from uuid import UUID, uuid4

import httpx

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

ON = {"DISPATCH_RATE_LIMITS": "on"}
TICKET_LIMIT = {**ON, "DISPATCH_RATE_LIMIT_TICKET_PER_MINUTE": "6"}  # three at once
TOOL_LIMIT = {**ON, "DISPATCH_RATE_LIMIT_TOOL_PER_MINUTE": "6"}
ROW = "SELECT * FROM command_log WHERE command_id = $1"


async def triage(
    client: httpx.AsyncClient, gateway: TestGateway, ticket: str, key: str, actor: str = "limited"
) -> httpx.Response:
    body = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
    headers = {**gateway.as_role("dispatcher"), "X-Actor-Id": actor, "Idempotency-Key": key}
    return await client.post(f"/tickets/{ticket}/triage", json=body, headers=headers)


async def test_the_call_too_many_waits_its_turn_and_is_logged(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling(**TICKET_LIMIT) as client:
        answers = [await triage(client, gateway, ticket, str(uuid4())) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 409, 409, 429]

        refused = answers[3]
        error = refused.json()["error"]
        assert (error["code"], error["limit"]) == ("RATE_LIMITED", "ticket")
        assert error["policy_error"] == {"dimension": "policy"}
        assert refused.headers["Retry-After"] == str(error["retry_after_seconds"])
        assert 1 <= error["retry_after_seconds"] <= 10
        async with gateway.owner() as conn:
            row = await conn.fetchrow(ROW, UUID(refused.headers["X-Command-Id"]))
        assert row is not None
        assert (row["decision"], row["code"], row["response_code"]) == ("DENY", "RATE_LIMITED", 429)
        assert str(row["ticket_id"]) == ticket


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


async def test_a_refused_role_is_told_so_and_not_that_it_is_too_fast(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling(**TICKET_LIMIT) as client:
        headers = {**gateway.as_role("technician"), "Idempotency-Key": str(uuid4())}
        for _ in range(5):
            answer = await client.post(f"/tickets/{ticket}/triage", json={}, headers=headers)
            assert answer.json()["error"]["code"] == "FORBIDDEN"
