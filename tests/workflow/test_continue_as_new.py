"""Continue-as-new under a flood of signals: nothing is lost, decided twice or overtaken.

A signal that arrives while a run ends makes the server repeat that task, and so the command in it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from contracts.engine_limits import CARRIED_COMMANDS, PAYLOAD_BYTES
from contracts.ticket import TicketStart
from runtime.stack.servers import script
from runtime.temporal.client import ensure_search_attributes
from tests.faults.collector import HARMLESS
from tests.polling import eventually
from tests.workflow.driver import DISPATCHER, TicketDriver, ticket_worker
from tests.workflow.memory import InMemoryTicketActivities

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUGGEST_AFTER_EVENTS = 100
FLOOD = 250
CLIENTS, SIGNALS, ENOUGH_RUNS = 20, 1000, 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    """Start a real server that suggests to continue as new very soon."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=script("temporal"),
        data_converter=pydantic_data_converter,
        dev_server_extra_args=[
            "--dynamic-config-value",
            f"limit.historyCount.suggestContinueAsNew={SUGGEST_AFTER_EVENTS}",
            "--dynamic-config-value",
            "history.transferProcessorMaxPollRPS=5000",
        ],
    )
    async with environment:
        await ensure_search_attributes(environment.client)
        yield environment.client


@pytest_asyncio.fixture(loop_scope="module")
async def ticket(client: Client) -> AsyncIterator[TicketDriver]:
    async def clock() -> datetime:
        return datetime.now(UTC)

    activities, task_queue = InMemoryTicketActivities(clock), str(uuid4())
    async with ticket_worker(client, task_queue, activities):
        yield TicketDriver(client, task_queue, activities)


async def runs(ticket: TicketDriver) -> list[list[HistoryEvent]]:
    """Return the events of every run, the newest first."""
    found = []
    run_id = (await ticket.handle.describe()).run_id
    while run_id:
        handle = ticket.client.get_workflow_handle(ticket.handle.id, run_id=run_id)
        events = list((await handle.fetch_history()).events)
        found.append(events)
        start = events[0].workflow_execution_started_event_attributes
        run_id = start.continued_execution_run_id
    return found


async def started_with(events: list[HistoryEvent]) -> TicketStart:
    arguments = events[0].workflow_execution_started_event_attributes.input.payloads
    start: TicketStart = (await pydantic_data_converter.decode(arguments, [TicketStart]))[0]
    return start


async def decided(ticket: TicketDriver, count: int) -> list[UUID]:
    """Return the commands in the order of their decisions, when there are `count`."""

    async def enough() -> bool:
        return len(ticket.activities.outcomes) == count

    await eventually(enough, within=60, what=f"{count} decisions")
    return list(ticket.activities.outcomes)


async def test_a_flood_across_runs_is_executed_once_each_in_order(ticket: TicketDriver) -> None:
    sent = [(await ticket.send("ticket.create")).command_id]
    sent += [(await ticket.send("ticket.triage")).command_id for _ in range(FLOOD)]

    assert await decided(ticket, len(sent)) == sent
    history = await runs(ticket)
    assert len(history) > 1
    starts = [await started_with(events) for events in history]
    assert any(start.pending for start in starts)
    state = starts[0].ticket
    assert state is not None
    assert state.state == "TRIAGED"


async def test_a_flood_from_many_gateways_loses_nothing(ticket: TicketDriver) -> None:
    await ticket.send("ticket.create")
    sent = await asyncio.gather(*(ticket.send("ticket.triage") for _ in range(FLOOD)))

    assert set(await decided(ticket, FLOOD + 1)) >= {command.command_id for command in sent}
    assert ticket.activities.most_running == 1


async def test_a_thousand_signals_of_twenty_clients_keep_their_order_over_many_runs(
    ticket: TicketDriver,
) -> None:
    await ticket.send("ticket.create")

    async def client() -> list[UUID]:
        sent = []
        for _ in range(SIGNALS // CLIENTS):
            command = await ticket.send("ticket.triage")
            sent.append(command.command_id)
            await ticket.outcome(command)
        return sent

    sent = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    assert await keep_their_order(ticket, sent)
    assert len(await runs(ticket)) >= ENOUGH_RUNS


async def test_a_run_takes_over_no_more_than_a_start_may_hold(ticket: TicketDriver) -> None:
    """Nobody waits for an outcome here, so that a thousand commands are in the inbox at once."""
    await ticket.send("ticket.create")

    async def client() -> list[UUID]:
        return [(await ticket.send("ticket.triage")).command_id for _ in range(SIGNALS // CLIENTS)]

    sent = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    assert await keep_their_order(ticket, sent)
    starts = [await started_with(events) for events in await runs(ticket)]
    assert len(starts) > 1
    assert max(len(start.pending) for start in starts) <= CARRIED_COMMANDS


async def test_a_run_takes_over_no_more_bytes_than_a_start_may_hold(ticket: TicketDriver) -> None:
    """The scope of an actor may hold a thousand sites: forty such commands are two megabytes."""
    widely = DISPATCHER.model_copy(update={"site_ids": frozenset(uuid4() for _ in range(1500))})
    sent = [await ticket.send("ticket.create")]
    sent += [await ticket.send("ticket.triage", actor=widely) for _ in range(FLOOD)]
    assert await decided(ticket, len(sent)) == [command.command_id for command in sent]
    histories = await runs(ticket)
    starts = [await started_with(events) for events in histories]
    assert len(starts) > 1
    assert max(len(start.model_dump_json()) for start in starts) <= PAYLOAD_BYTES
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    assert not [
        cause
        for event in chain.from_iterable(histories)
        if event.event_type == failed
        and (cause := event.workflow_task_failed_event_attributes.cause) not in HARMLESS
    ]


async def keep_their_order(ticket: TicketDriver, sent: Sequence[Sequence[UUID]]) -> bool:
    """Check that each command was decided once, and those of one client one after the other."""
    order = await decided(ticket, SIGNALS + 1)
    places = {command: place for place, command in enumerate(order)}
    executed = [signed.command.command_id for signed in ticket.activities.executed]
    assert list(dict.fromkeys(executed)) == order, "a repeat changes no order"
    return all(
        places[earlier] < places[later] for each in sent for earlier, later in pairwise(each)
    )


async def test_the_deadline_is_carried_over(ticket: TicketDriver) -> None:
    deadline = datetime.now(UTC) + timedelta(hours=1)
    ticket.activities.deadlines = {deadline}
    for tool in ["ticket.create", *["ticket.triage"] * SUGGEST_AFTER_EVENTS]:
        await ticket.send(tool)
    await decided(ticket, SUGGEST_AFTER_EVENTS + 1)

    async def has_timer() -> bool:
        newest = (await runs(ticket))[0]
        kinds = [event.event_type for event in newest]
        return EventType.EVENT_TYPE_TIMER_STARTED in kinds

    await eventually(has_timer, what="a timer in the newest run")
    history = await runs(ticket)
    assert len(history) > 1
    carried = (await started_with(history[0])).ticket
    assert carried is not None
    assert carried.due_at == deadline


async def test_a_deadline_that_passed_before_the_change_of_runs_is_still_seen_to(
    ticket: TicketDriver,
) -> None:
    """The last command of a run may be decided after the deadline, and name the next one."""
    passed, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    ticket.activities.deadlines = {passed, later}
    ticket.activities.hides_passed = True
    for tool in ["ticket.create", *["ticket.triage"] * SUGGEST_AFTER_EVENTS]:
        await ticket.send(tool)

    async def is_seen_to() -> bool:
        return ticket.activities.deadlines == {later}

    await eventually(is_seen_to, what="a look at what was due")
    assert len(await runs(ticket)) > 1
