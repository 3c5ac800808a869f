"""Commands whose caller did not wait: followed, joined, and followed by others."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.ticket import new_ticket_id
from policy.model import Actor, ActorType, Role
from tests.integration.command.keyed_calls import (
    EFFECTS,
    LOG_ROWS,
    TRIAGE,
    decided,
    essence,
    headers,
    held,
    new_ticket,
    row,
)
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = [
    "tests.integration.servers.stack_fixture",
    "tests.integration.servers.two_gateways",
]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


async def under_way(gateway: TestGateway) -> None:
    """Return when a command waits for what is held."""

    async def waits() -> bool:
        return bool((await row(gateway, WAITING))[0])

    await eventually(waits, what="a command under way")


def promised_ticket(key: str) -> str:
    """Return the id of the ticket that a dispatcher creates under a key."""
    creator = Actor(actor_id="dispatcher-1", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN)
    return str(new_ticket_id(creator, "/tickets", UUID(key)))


async def test_a_command_that_is_not_awaited_is_accepted_and_can_be_followed(
    gateway: TestGateway,
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, impatient = f"/tickets/{ticket}/triage", headers(key, Prefer="wait=0")
    async with held(gateway, ticket):
        answer = gateway.post(path, TRIAGE, key=key, headers=impatient)
        assert answer.status_code == 202
        accepted = answer.json()
        url = f"/commands/{accepted['command_id']}"
        assert accepted == {
            "command_id": answer.headers["X-Command-Id"],
            "ticket_id": ticket,
            "status": "accepted",
            "status_url": url,
        }
        assert answer.headers["Location"] == url
        assert answer.headers["Preference-Applied"] == "wait=0"
        assert answer.headers["Retry-After"] == "1"
        status = gateway.get(url).json()
        assert (status["status"], status["response_code"]) == ("accepted", None)
        assert (status["response_body"], status["decided_at"]) == (None, None)

    status = await decided(gateway, url)
    assert (status["status"], status["response_code"]) == ("succeeded", 200)
    replay = gateway.post(path, TRIAGE, key=key)
    assert replay.headers["Idempotency-Replayed"] == "true"
    assert replay.json() == status["response_body"]
    assert replay.headers["X-Command-Id"] == accepted["command_id"]
    assert await row(gateway, LOG_ROWS, UUID(key)) == (1,)


async def test_a_repeat_joins_the_open_command_and_another_body_does_not(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, impatient = f"/tickets/{ticket}/triage", headers(key, Prefer="wait=0")
    async with held(gateway, ticket):
        first, second = [
            await client.post(path, json=TRIAGE, headers=impatient) for client in gateways
        ]
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json() == second.json()
        other = {**TRIAGE, "priority": "ROUTINE"}
        misuse = await gateways[1].post(path, json=other, headers=headers(key))
        assert misuse.json()["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
        joined = asyncio.gather(
            *(client.post(path, json=TRIAGE, headers=headers(key)) for client in gateways)
        )

    answers = await joined
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Command-Id"] for answer in answers} == {first.json()["command_id"]}
    assert len({essence(answer) for answer in answers}) == 1
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)


async def test_a_new_ticket_is_accepted_under_the_id_that_it_will_have(
    gateway: TestGateway,
) -> None:
    key = str(uuid4())
    answers = [
        gateway.post(
            "/tickets", new_ticket(gateway), key=key, headers=headers(key, Prefer=f"wait={wait}")
        )
        for wait in (0, 10)
    ]
    bodies = [answer.json() for answer in answers]
    reserved = bodies[0].get("ticket_id") or bodies[0]["id"]  # it may have been quick
    assert (answers[1].status_code, bodies[1]["id"]) == (201, reserved)
    assert answers[0].headers["X-Command-Id"] == answers[1].headers["X-Command-Id"]


async def test_a_command_in_time_confirms_the_wait_that_was_asked_for(
    gateway: TestGateway,
) -> None:
    patient = TestGateway.as_role("dispatcher", Prefer="wait=99")
    answer = gateway.post("/tickets", new_ticket(gateway), headers=patient)
    assert answer.headers["Preference-Applied"] == "wait=60"


async def test_an_open_command_is_joined_by_a_caller_who_lost_its_scope_meanwhile(
    gateway: TestGateway,
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path = f"/tickets/{ticket}/triage"
    async with held(gateway, ticket):
        first = gateway.post(path, TRIAGE, key=key, headers=headers(key, Prefer="wait=0"))
        elsewhere = headers(key, Prefer="wait=0", X_Site_Scope=str(uuid4()))
        joined = gateway.post(path, TRIAGE, key=key, headers=elsewhere)
        assert (first.status_code, joined.status_code) == (202, 202)
        assert joined.json() == first.json()

    status = await decided(gateway, first.json()["status_url"])
    assert status["status"] == "succeeded"


async def test_a_key_in_flight_is_joined_or_misused_before_its_command_has_a_row(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key, ticket, client = str(uuid4()), gateway.new_ticket(), gateways[0]
    path, other = f"/tickets/{ticket}/triage", {**TRIAGE, "priority": "ROUTINE"}
    elsewhere = headers(key, X_Site_Scope=str(uuid4()))
    async with held(gateway, ticket):
        first = asyncio.create_task(client.post(path, json=TRIAGE, headers=headers(key)))
        await under_way(gateway)
        misuse = await client.post(path, json=other, headers=headers(key))
        assert misuse.json()["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
        joined = await client.post(path, json=TRIAGE, headers={**elsewhere, "Prefer": "wait=0"})
        assert joined.status_code == 202

    assert (await first).headers["X-Command-Id"] == joined.headers["X-Command-Id"]
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)


async def test_a_refused_repeat_leaves_the_running_command_its_id(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, elsewhere = f"/tickets/{ticket}/triage", headers(key, X_Site_Scope=str(uuid4()))
    async with held(gateway, ticket):
        first = asyncio.create_task(gateways[0].post(path, json=TRIAGE, headers=headers(key)))
        await under_way(gateway)
        refused = await gateways[1].post(path, json=TRIAGE, headers=elsewhere)
        assert refused.json()["error"]["code"] == "FORBIDDEN_SCOPE"
        impatient = headers(key, Prefer="wait=0")
        again = await gateways[1].post(path, json=TRIAGE, headers=impatient)
        assert again.status_code == 202

    assert (await first).headers["X-Command-Id"] == again.headers["X-Command-Id"]


async def test_a_command_may_follow_at_once_on_the_ticket_that_was_promised(
    gateway: TestGateway,
) -> None:
    key = str(uuid4())
    ticket = promised_ticket(key)
    path, impatient = (
        f"/tickets/{ticket}/triage",
        TestGateway.as_role("dispatcher", Prefer="wait=0"),
    )
    assert gateway.post(path, TRIAGE).json()["error"]["code"] == "TICKET_NOT_FOUND"
    async with held(gateway, ticket):
        created = gateway.post(
            "/tickets", new_ticket(gateway), key=key, headers=headers(key, Prefer="wait=0")
        )
        assert created.json()["ticket_id"] == ticket
        triaged = gateway.post(path, TRIAGE, headers=impatient)
        assert triaged.status_code == 202

    status = await decided(gateway, triaged.json()["status_url"])
    assert (status["status"], status["response_body"]["state"]) == ("succeeded", "TRIAGED")


async def test_what_follows_a_creation_that_is_refused_finds_no_ticket(
    gateway: TestGateway,
) -> None:
    key, unknown = str(uuid4()), {**new_ticket(gateway), "account_id": str(uuid4())}
    ticket = promised_ticket(key)
    async with held(gateway, ticket):
        created = gateway.post("/tickets", unknown, key=key, headers=headers(key, Prefer="wait=0"))
        assert created.json()["ticket_id"] == ticket
        triaged = gateway.post(
            f"/tickets/{ticket}/triage",
            TRIAGE,
            headers=TestGateway.as_role("dispatcher", Prefer="wait=0"),
        )

    status = await decided(gateway, triaged.json()["status_url"])
    assert status["response_body"]["error"]["code"] == "TICKET_NOT_FOUND"
