"""The ticket's one timer: it rings for the earliest deadline, and only looks again."""

from datetime import datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from contracts.command import CLOCK_CHANGED
from tests.polling import eventually
from tests.workflow.driver import TicketDriver

pytest_plugins = ["tests.workflow.time_skipping"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)


async def due(ticket: TicketDriver, env: WorkflowEnvironment, *hours: float) -> None:
    """Let the ticket be due in so many hours, and at no other time."""
    now = await env.get_current_time()
    ticket.activities.deadlines = {now + each * HOUR for each in hours}


async def timers(ticket: TicketDriver) -> list[timedelta]:
    """Return how long each timer was started for."""
    history = await ticket.handle.fetch_history()
    started = EventType.EVENT_TYPE_TIMER_STARTED
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in history.events
        if event.event_type == started
    ]


async def done(ticket: TicketDriver, tool: str) -> None:
    command = await ticket.send(tool)
    await ticket.outcome(command)


async def looked(ticket: TicketDriver, times: int) -> None:
    async def enough() -> bool:
        return len(ticket.activities.looks) >= times

    await eventually(enough, what=f"look {times}")


async def test_one_timer_for_the_earliest_deadline(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    await due(ticket, skipping, 3)
    await done(ticket, "ticket.create")
    await done(ticket, "tech.check_in")  # denied: the deadline is the same
    assert len(await timers(ticket)) == 1

    await due(ticket, skipping, 1)
    await done(ticket, "ticket.triage")
    first, second = await timers(ticket)
    assert second < first

    await skipping.sleep(1.5 * HOUR)
    await looked(ticket, 1)
    assert len(ticket.activities.looks) == 1


async def test_a_deadline_that_moved_away_rings_early_and_only_looks_again(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    await due(ticket, skipping, 1)
    await done(ticket, "ticket.create")
    await due(ticket, skipping, 10)
    await done(ticket, "ticket.triage")
    assert len(await timers(ticket)) == 1

    await skipping.sleep(2 * HOUR)
    await looked(ticket, 1)
    assert ticket.activities.views[ticket.ticket_id].version == 1
    await skipping.sleep(7 * HOUR)
    assert len(ticket.activities.looks) == 1
    await skipping.sleep(2 * HOUR)
    await looked(ticket, 2)


async def test_the_timer_stops_with_the_ticket(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    await due(ticket, skipping, 1)
    await done(ticket, "ticket.create")
    await done(ticket, "ticket.cancel")

    assert (await ticket.handle.result()).state == "CANCELLED"
    await skipping.sleep(2 * HOUR)
    assert ticket.activities.looks == []
    history = await ticket.handle.fetch_history()
    kinds = [event.event_type for event in history.events]
    assert kinds.count(EventType.EVENT_TYPE_TIMER_CANCELED) == 1


async def test_a_database_whose_clock_is_behind_is_not_asked_in_a_hot_loop(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    async def behind() -> datetime:
        return await skipping.get_current_time() - timedelta(seconds=5)

    ticket.activities.clock = behind
    await due(ticket, skipping, 1)
    await done(ticket, "ticket.create")
    await skipping.sleep(2 * HOUR)

    async def is_seen_to() -> bool:
        return not ticket.activities.deadlines

    await eventually(is_seen_to, what="a look that found the ticket due")
    assert 1 < len(ticket.activities.looks) < 10


async def test_a_ticket_without_a_workflow_is_looked_at_when_it_gets_one(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    await due(ticket, skipping, 1)
    await done(ticket, "ticket.create")
    await ticket.handle.terminate("as if it had never run")

    await done(ticket, "tech.check_in")
    await looked(ticket, 1)


async def test_a_deadline_that_an_edit_brought_forward_gets_its_timer_when_told(
    ticket: TicketDriver, skipping: WorkflowEnvironment
) -> None:
    await due(ticket, skipping, 10)
    await done(ticket, "ticket.create")
    await due(ticket, skipping, 1)
    await ticket.handle.signal(CLOCK_CHANGED)

    async def rearmed() -> bool:
        return len(await timers(ticket)) == 2

    await eventually(rearmed, what="a timer for the nearer deadline")
    first, second = await timers(ticket)
    assert second <= HOUR < first
    assert len(ticket.activities.looks) == 1
