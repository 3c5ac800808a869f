"""On the whole stack: the timer raises, the dispatcher quiets, upkeep stands."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.service import RPCError

from contracts.deadlines import DEADLINE_SWEEP, SweepReport, SweepStart
from contracts.standing import standing_id
from policy.values import format_datetime
from runtime.postgres.pool import Connection
from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from runtime.temporal.standing import STANDING, end_unwanted, ensure_standing
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


async def test_upkeep_stands_in_one_run_each_and_buries_no_ticket(
    gateway: TestGateway, engine: Client
) -> None:
    settings, _ = load_settings(gateway.env)
    often = settings.model_copy(update={"deadline_sweep_seconds": 1})
    sweep = engine.get_workflow_handle(standing_id(DEADLINE_SWEEP))
    await eventually(lambda: stands(sweep), what="a sweep that stands")
    try:
        await ensure_standing(engine, often, tell=True)

        async def rounds() -> bool:
            events = (await sweep.fetch_history()).events
            timers = [each for each in events if each.HasField("timer_fired_event_attributes")]
            return len(timers) >= 3

        await eventually(rounds, what="three rounds")
        kinds = {each: await runs(engine, each) for each in STANDING}
        await sweep.terminate("an operator's mistake")
        await ensure_standing(engine, settings)
        assert await stands(sweep)
    finally:
        await ensure_standing(engine, settings, tell=True)
    assert kinds == dict.fromkeys(STANDING, 1)


async def test_what_shall_not_stand_is_ended_and_a_schedule_of_an_earlier_release_deleted(
    gateway: TestGateway, engine: Client
) -> None:
    settings, _ = load_settings(gateway.env)
    off = settings.model_copy(update={"deadline_sweep": False})
    sweep = engine.get_workflow_handle(standing_id(DEADLINE_SWEEP))
    await eventually(lambda: stands(sweep), what="a sweep that stands")
    action = ScheduleActionStartWorkflow(
        DEADLINE_SWEEP, SweepStart(), id="of-old", task_queue="nobody-polls-this"
    )
    old = await engine.create_schedule(
        standing_id(DEADLINE_SWEEP), Schedule(action, ScheduleSpec())
    )
    try:
        for _ in range(2):
            await end_unwanted(engine, off)

        async def is_over() -> bool:
            return not await stands(sweep)

        await eventually(is_over, what="the end of the sweep")
        with pytest.raises(RPCError, match="not found"):
            await old.describe()
    finally:
        await ensure_standing(engine, settings)


async def stands(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether a workflow runs."""
    try:
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    except RPCError:
        return False


async def runs(engine: Client, workflow: str) -> int:
    """Return how many lines of the list a kind of workflow has by itself."""
    query = f"WorkflowType = '{workflow}' AND WorkflowId = '{standing_id(workflow)}'"
    whole = f"WorkflowType = '{workflow}'"
    mine, every = [(await engine.count_workflows(each)).count for each in (query, whole)]
    own_starts = 1 if workflow == DEADLINE_SWEEP else 0  # the test above does one sweep itself
    assert every <= mine + own_starts
    return mine


async def test_the_list_shows_the_state_and_the_summary_of_a_ticket(
    gateway: TestGateway, engine: Client
) -> None:
    ticket = gateway.ready_ticket()
    seen = f"WorkflowId = 'ticket-{ticket}' AND DispatchSummary = 'latch'"

    async def is_shown(state: str, phase: str) -> bool:
        query = f"{seen} AND DispatchState = '{state}' AND DispatchPhase = '{phase}'"
        return (await engine.count_workflows(query)).count == 1

    await eventually(lambda: is_shown("READY_TO_SCHEDULE", "schedulable"), what="its state")
    gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [gateway.window()]})
    await eventually(lambda: is_shown("SCHEDULE_PROPOSED", "schedulable"), what="the next state")


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
