"""On the whole stack: the timer raises, the dispatcher quiets, the sweep is scheduled."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.deadlines import DEADLINE_SWEEP, SweepReport, SweepStart
from policy.values import format_datetime
from runtime.postgres.pool import Connection
from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from runtime.temporal.schedules import ensure_sweep, schedule_id
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]

LOST = """
UPDATE ticket_deadlines
   SET due_at = now() - interval '1 hour', known_at = now() - interval '1 hour'
 WHERE ticket_id = $1
"""
AGE = "UPDATE tickets SET created_at = created_at - interval '20 days' WHERE id = $1"


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        yield conn


@pytest.fixture
async def engine(gateway: TestGateway) -> Client:
    settings, _ = load_settings(gateway.env)
    return await connect_temporal(settings)


def escalations(gateway: TestGateway, ticket: str) -> list[dict[str, Any]]:
    body = gateway.get(f"/tickets/{ticket}/escalations", role="customer").json()
    assert body["ticket_id"] == ticket
    found: list[dict[str, Any]] = body["escalations"]
    return found


async def raised(gateway: TestGateway, ticket: str, count: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]] | None:
        found = escalations(gateway, ticket)
        return found if len(found) >= count else None

    return await eventually(enough, what=f"{count} escalations")


async def test_the_timer_raises_and_the_dispatcher_quiets(gateway: TestGateway) -> None:
    ticket = gateway.ready_ticket(priority="EMERGENCY")
    past = TestGateway.window(-24)
    gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [past]})
    found = await raised(gateway, ticket, 3)
    assert [each["kind"] for each in found] == ["sla_warning", "sla_breach", "sla_double_breach"]
    assert all(0 <= each["lateness_ms"] < 60_000 for each in found)

    one = {"escalation_id": found[1]["id"], "note": "On it"}
    body = gateway.done(f"/tickets/{ticket}/escalations/acknowledge", one)
    assert [each["acknowledged_by"] for each in body["escalations"]] == ["dispatcher-1"]
    gateway.done(f"/tickets/{ticket}/escalations/acknowledge", {})
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    body = gateway.done(f"/tickets/{ticket}/escalations/snooze", {"until": until})
    assert body["ticket"]["version"] == gateway.get(f"/tickets/{ticket}").json()["version"]
    for each in escalations(gateway, ticket):
        assert (each["acknowledged_by"], each["snoozed_until"]) == ("dispatcher-1", until)


async def test_a_deadline_whose_timer_was_lost_is_found_by_the_sweep(
    gateway: TestGateway, owner: Connection, engine: Client
) -> None:
    ticket = gateway.new_ticket()
    await owner.execute(AGE, UUID(ticket))
    await owner.execute(LOST, UUID(ticket))
    queue = load_settings(gateway.env)[0].temporal_task_queue
    report: SweepReport = await engine.execute_workflow(
        DEADLINE_SWEEP, SweepStart(), id=str(uuid4()), task_queue=queue, result_type=SweepReport
    )
    assert report.found >= 1
    assert len(await raised(gateway, ticket, 3)) == 3


async def test_the_worker_makes_the_schedule_of_the_sweep_as_it_is_configured(
    gateway: TestGateway, engine: Client
) -> None:
    settings, _ = load_settings(gateway.env)
    handle = engine.get_schedule_handle(schedule_id(DEADLINE_SWEEP))

    async def intervals() -> list[timedelta]:
        found = await handle.describe()
        return [each.every for each in found.schedule.spec.intervals]

    assert await intervals() == [timedelta(seconds=60)]
    try:
        seldom = settings.model_copy(update={"deadline_sweep_seconds": 7200})
        await ensure_sweep(engine, seldom)
        assert await intervals() == [timedelta(hours=2)]
        off = settings.model_copy(update={"deadline_sweep": False})
        for _ in range(2):
            await ensure_sweep(engine, off)
        with pytest.raises(RPCError, match="not found"):
            await handle.describe()
    finally:
        await ensure_sweep(engine, settings)
    assert await intervals() == [timedelta(seconds=60)]


@pytest.mark.parametrize(
    ("ticket", "role", "status", "code"),
    [
        ("no-uuid", "dispatcher", 400, "INVALID_TICKET_ID"),
        (str(UUID(int=1)), "dispatcher", 404, "TICKET_NOT_FOUND"),
        (str(UUID(int=1)), "admin", 403, "FORBIDDEN"),
    ],
)
def test_escalations_are_shown_to_whoever_may_see_the_ticket(
    gateway: TestGateway, ticket: str, role: str, status: int, code: str
) -> None:
    answer = gateway.get(f"/tickets/{ticket}/escalations", role=role)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
