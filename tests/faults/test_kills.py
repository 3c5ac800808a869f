"""kill -9 of every part: what was acknowledged is there once, what was not can be repeated."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.command import NOTIFY_CHANNEL
from policy.command.message import Subject
from runtime.settings import load_settings
from runtime.stack import PartName
from runtime.temporal.client import connect_temporal
from tests.faults.stack import GATE, WAITS_AT_GATE, Faults, assert_whole
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.faults.stack_fixture"]

TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
PATIENCE_SECONDS = 60
SIGNALED = "workflow_execution_signaled_event_attributes"
SCHEDULED = "activity_task_scheduled_event_attributes"
EFFECTS = """
SELECT (SELECT count(*) FROM audit_events WHERE request_id = $1),
       (SELECT count(*) FROM idempotency_keys WHERE request_id = $1),
       (SELECT count(*) FROM command_log WHERE request_id = $1)
"""
VERSION = "SELECT version FROM tickets WHERE id = $1"


@pytest.fixture
async def http(gateway: TestGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_SECONDS) as client:
        yield client


async def triage(client: httpx.AsyncClient, ticket: str, key: str) -> httpx.Response:
    headers = TestGateway.as_role("dispatcher", Idempotency_Key=key, Prefer="wait=60")
    return await client.post(f"/tickets/{ticket}/triage", json=TRIAGE, headers=headers)


async def assert_done_once(gateway: TestGateway, ticket: str, key: str) -> None:
    """Check the one effect of a triage, and that everything recorded is whole."""
    assert gateway.get(f"/tickets/{ticket}").json()["version"] == 1
    async with gateway.owner() as conn:
        assert tuple(await conn.fetchrow(EFFECTS, UUID(key)) or ()) == (1, 1, 1)
    await assert_whole(gateway.owner_url)


async def events_of(gateway: TestGateway, ticket: str, kind: str) -> int:
    """Return how often an event of this kind stands in the history of a ticket's workflow."""
    client = await connect_temporal(load_settings(gateway.env)[0])
    handle = client.get_workflow_handle(Subject.of_ticket("default", UUID(ticket)).workflow_id)
    return sum(event.HasField(kind) for event in (await handle.fetch_history()).events)  # type: ignore[arg-type]


async def test_the_worker_dies_inside_the_activity(
    gateway: TestGateway, faults: Faults, http: httpx.AsyncClient
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    async with gateway.owner() as conn, conn.transaction():
        await conn.execute(GATE, ticket)
        waiting = asyncio.create_task(triage(http, ticket, key))

        async def is_inside() -> bool:
            return bool(await conn.fetchval(WAITS_AT_GATE))

        await eventually(is_inside, what="a command inside its transaction")
        killed = faults.stack.pid(PartName.WORKER)
        faults.kill(PartName.WORKER)
        await faults.is_back(PartName.WORKER, killed)

    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "TRIAGED")
    await assert_done_once(gateway, ticket, key)


async def test_the_worker_dies_between_its_commit_and_its_report(
    gateway: TestGateway, faults: Faults, http: httpx.AsyncClient
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    worker = faults.stack.pid(PartName.WORKER)

    def kill(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    async with gateway.owner() as conn:
        await conn.add_listener(NOTIFY_CHANNEL, kill)
        answer = await triage(http, ticket, key)
    assert answer.status_code == 200
    await faults.is_back(PartName.WORKER, worker)

    after = {"reason": "the ticket goes on"}
    assert gateway.post(f"/tickets/{ticket}/evidence", {**after, "kind": "NOTE", "uri": "s3://a/b"})
    cancelled = await http.post(
        f"/tickets/{ticket}/cancel",
        json=after,
        headers=TestGateway.as_role("dispatcher", Idempotency_Key=str(uuid4()), Prefer="wait=60"),
    )
    assert (cancelled.status_code, cancelled.json()["version"]) == (200, 2)
    async with gateway.owner() as conn:
        assert tuple(await conn.fetchrow(EFFECTS, UUID(key)) or ()) == (1, 1, 1)
    await assert_whole(gateway.owner_url)


async def test_the_gateway_dies_after_the_signal(
    gateway: TestGateway, faults: Faults, http: httpx.AsyncClient
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    before = await events_of(gateway, ticket, SIGNALED)
    with faults.stopped(PartName.WORKER):
        waiting = asyncio.create_task(triage(http, ticket, key))

        async def is_signaled() -> bool:
            return await events_of(gateway, ticket, SIGNALED) > before

        await eventually(is_signaled, what="the signal")
        killed = faults.stack.pid(PartName.API)
        faults.kill(PartName.API)
        with pytest.raises(httpx.TransportError):
            await waiting

    async def is_done() -> bool:
        async with gateway.owner() as conn:
            return bool(
                await conn.fetchval("SELECT version FROM tickets WHERE id = $1", UUID(ticket))
            )

    await eventually(is_done, within=30, what="the command")
    await faults.is_back(PartName.API, killed)

    async def answered() -> httpx.Response | None:
        with suppress(httpx.TransportError):
            return await triage(http, ticket, key)
        return None

    replay = await eventually(answered, within=30, what="the gateway's return")
    assert (replay.status_code, replay.headers["Idempotency-Replayed"]) == (200, "true")
    await assert_done_once(gateway, ticket, key)


async def test_a_slow_database_makes_the_command_an_activity_that_operators_see(
    gateway: TestGateway, http: httpx.AsyncClient
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    async with gateway.owner() as conn, conn.transaction():
        await conn.execute(GATE, ticket)
        waiting = asyncio.create_task(triage(http, ticket, key))

        async def is_visible() -> bool:
            return await events_of(gateway, ticket, SCHEDULED) == 1

        await eventually(is_visible, what="an activity in the history")

    assert (await waiting).status_code == 200
    await assert_done_once(gateway, ticket, key)
