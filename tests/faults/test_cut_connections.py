"""A part that cannot be reached: 503 and never a lie, and the same key works afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from runtime.stack import PartName
from tests.faults.stack import GATE, WAITS_AT_GATE, Faults, assert_whole
from tests.faults.wires.cables import Cable, cable
from tests.integration.servers.gateway import PAYLOAD_OF_NEW, TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.faults.stack_fixture"]

TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
ENGINE, DATABASE = "DISPATCH_TEMPORAL_ADDRESS", "DISPATCH_DATABASE_URL"
REFUSED_WITHIN_SECONDS = 15
LOG = "SELECT command_id, decision, code FROM command_log WHERE request_id = $1"


@dataclass(frozen=True)
class Remote:
    """A gateway that reaches one of its servers by a cable."""

    client: httpx.AsyncClient
    wire: Cable

    async def triage(self, ticket: str, key: str, **headers: str) -> httpx.Response:
        """Send a triage."""
        named = TestGateway.as_role("dispatcher", Idempotency_Key=key, **headers)
        return await self.client.post(f"/tickets/{ticket}/triage", json=TRIAGE, headers=named)


@pytest.fixture
async def no_engine(gateway: TestGateway) -> AsyncIterator[Remote]:
    async with cable(gateway.env, ENGINE) as wire, gateway.sibling(**{ENGINE: wire.url}) as client:
        yield Remote(client, wire)


@pytest.fixture
async def no_database(gateway: TestGateway) -> AsyncIterator[Remote]:
    async with (
        cable(gateway.env, DATABASE) as wire,
        gateway.sibling(**{DATABASE: wire.url}) as client,
    ):
        yield Remote(client, wire)


def assert_unavailable(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert answer.headers["Retry-After"] == "5"


async def log_of(gateway: TestGateway, key: str) -> list[tuple[Any, ...]]:
    async with gateway.owner() as conn:
        return [tuple(row) for row in await conn.fetch(LOG, UUID(key))]


async def test_without_the_engine_the_command_stays_open_until_its_key_comes_again(
    gateway: TestGateway, no_engine: Remote
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    await no_engine.wire.cut()
    began = time.monotonic()
    first, second = [await no_engine.triage(ticket, key) for _ in range(2)]
    assert time.monotonic() - began < 2 * REFUSED_WITHIN_SECONDS
    assert_unavailable(first, "ENGINE_UNAVAILABLE")
    assert_unavailable(second, "ENGINE_UNAVAILABLE")
    command = first.headers["X-Command-Id"]
    assert await log_of(gateway, key) == [(UUID(command), None, None)]
    assert gateway.get(f"/tickets/{ticket}").json()["state"] == "NEW"
    assert gateway.get(f"/commands/{command}").json()["status"] == "accepted"

    await no_engine.wire.mend()

    async def taken_up() -> httpx.Response | None:
        answer = await no_engine.triage(ticket, key)
        return answer if answer.status_code == 200 else None

    answer = await eventually(taken_up, within=30, what="the engine's return")
    assert answer.headers["X-Command-Id"] == command
    assert await log_of(gateway, key) == [(UUID(command), "ALLOW", None)]
    await assert_whole(gateway.owner_url)


async def test_an_engine_that_hangs_is_not_waited_for(gateway: TestGateway, faults: Faults) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    path = f"/tickets/{ticket}/triage"
    with faults.stopped(PartName.TEMPORAL):
        began = time.monotonic()
        answer = gateway.post(path, TRIAGE, key=key)
        assert time.monotonic() - began < REFUSED_WITHIN_SECONDS
    assert_unavailable(answer, "ENGINE_UNAVAILABLE")

    again = gateway.post(path, TRIAGE, key=key)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert again.headers["X-Command-Id"] == answer.headers["X-Command-Id"]
    await assert_whole(gateway.owner_url)


async def test_without_the_engine_replays_reads_and_rejections_still_work(
    gateway: TestGateway, no_engine: Remote
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    done = gateway.post(f"/tickets/{ticket}/triage", TRIAGE, key=key)
    await no_engine.wire.cut()

    replay = await no_engine.triage(ticket, key)
    assert (replay.status_code, replay.content) == (200, done.content)
    read = await no_engine.client.get(
        f"/tickets/{ticket}", headers=TestGateway.as_role("dispatcher")
    )
    assert read.json()["state"] == "TRIAGED"
    forbidden = await no_engine.triage(ticket, str(uuid4()), X_Tool_Name="ticket.cancel")
    assert forbidden.json()["error"]["code"] == "TOOL_NOT_ALLOWED"


async def test_without_the_database_every_route_says_so(
    gateway: TestGateway, no_database: Remote
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    assert (await no_database.triage(gateway.new_ticket(), str(uuid4()))).status_code == 200
    await no_database.wire.cut()

    assert_unavailable(await no_database.triage(ticket, key), "DATABASE_UNAVAILABLE")
    for path in (f"/tickets/{ticket}", f"/tickets/{ticket}/timeline", f"/commands/{uuid4()}"):
        headers = TestGateway.as_role("dispatcher")
        read = await no_database.client.get(path, headers=headers)
        assert_unavailable(read, "DATABASE_UNAVAILABLE")
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id, **PAYLOAD_OF_NEW}
    headers = TestGateway.as_role("dispatcher", Idempotency_Key=str(uuid4()))
    created = await no_database.client.post("/tickets", json=place, headers=headers)
    assert_unavailable(created, "DATABASE_UNAVAILABLE")

    await no_database.wire.mend()
    answer = await no_database.triage(ticket, key)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)


async def test_a_waiting_caller_is_answered_although_the_gateway_lost_the_database_meanwhile(
    gateway: TestGateway, no_database: Remote
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    async with gateway.owner() as conn, conn.transaction():
        await conn.execute(GATE, ticket)
        waiting = asyncio.create_task(no_database.triage(ticket, key))

        async def is_inside() -> bool:
            return bool(await conn.fetchval(WAITS_AT_GATE))

        await eventually(is_inside, what="a command at the gate")
        await no_database.wire.cut()
        await no_database.wire.mend()
        await listens_again(gateway, no_database)

    answer = await waiting
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert "Idempotency-Replayed" not in answer.headers


async def listens_again(gateway: TestGateway, remote: Remote) -> None:
    """Wait until the gateway gets outcomes again: a second command is answered."""
    answer = await remote.triage(gateway.new_ticket(), str(uuid4()))
    assert answer.status_code == 200
