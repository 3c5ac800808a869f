"""The commands that the workflow gives in scripted cases: `python -m tests.workflow.fingerprint`.

Replaying recorded histories proves that open tickets go on; the fingerprint shows what new ones do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import orjson
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from contracts.command import SignedCommand
from tests.polling import eventually
from tests.workflow.driver import TicketDriver, ticket_worker
from tests.workflow.memory import InMemoryTicketActivities
from tests.workflow.time_skipping import time_skipping_server

FINGERPRINTS = Path(__file__).with_name("fingerprints.json")
PATCH_MARKER = "core_patch"
Script = Callable[[TicketDriver, WorkflowEnvironment], Awaitable[None]]
NAMES = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: "activity",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: "cancel activity",
    EventType.EVENT_TYPE_TIMER_STARTED: "timer",
    EventType.EVENT_TYPE_TIMER_CANCELED: "cancel timer",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "search attributes",
    EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: "memo",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: "child workflow",
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: "signal",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "complete",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "fail",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "end as cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continue as new",
}


async def lifecycle(ticket: TicketDriver, _: WorkflowEnvironment) -> None:
    """Create, triage, be denied, cancel."""
    for tool in ("ticket.create", "ticket.triage", "tech.check_in", "ticket.cancel"):
        await ticket.outcome(await ticket.send(tool))
    await over(ticket)


async def refused_creation(ticket: TicketDriver, _: WorkflowEnvironment) -> None:
    """Begin with what creates nothing."""
    await ticket.outcome(await ticket.send("ticket.triage"))
    await over(ticket)


async def slow_database(ticket: TicketDriver, server: WorkflowEnvironment) -> None:
    """Fall back from the local to the regular activity."""
    ticket.activities.local_fault = ConnectionError("the database is away")
    await lifecycle(ticket, server)


async def deadlines(ticket: TicketDriver, server: WorkflowEnvironment) -> None:
    """Move the timer forward, let it ring, and end with one that runs."""
    now = await ticket.activities.clock()
    ticket.activities.deadlines = {now + timedelta(hours=3)}
    await ticket.outcome(await ticket.send("ticket.create"))
    ticket.activities.deadlines |= {now + timedelta(hours=1)}
    await ticket.outcome(await ticket.send("ticket.triage"))
    ticket.activities.deadlines = {now + timedelta(hours=1), now + timedelta(days=900)}

    async def looked() -> bool:
        return bool(ticket.activities.looks)

    await server.sleep(timedelta(hours=2))
    await eventually(looked, what="a look at what is due")
    await ticket.outcome(await ticket.send("ticket.cancel"))
    await over(ticket)


async def forgery(ticket: TicketDriver, _: WorkflowEnvironment) -> None:
    """Refuse what nobody signed, and what cannot be read."""
    await ticket.outcome(await ticket.send("ticket.create"))
    await ticket.signal("ticket.cancel", SignedCommand(command=ticket.command("ticket.cancel")))
    await ticket.signal("ticket.triage", 7)
    await ticket.executed(3)
    await ticket.outcome(await ticket.send("ticket.cancel"))
    await over(ticket)


async def cancelled_by_an_operator(ticket: TicketDriver, _: WorkflowEnvironment) -> None:
    """End as cancelled."""
    await ticket.outcome(await ticket.send("ticket.create"))
    await ticket.handle.cancel()
    await over(ticket)


SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        script.__name__: script
        for script in (
            lifecycle,
            refused_creation,
            slow_database,
            deadlines,
            forgery,
            cancelled_by_an_operator,
        )
    }
)


async def over(ticket: TicketDriver) -> None:
    """Wait until the workflow has ended."""

    async def ended() -> bool:
        return (await ticket.handle.describe()).status is not WorkflowExecutionStatus.RUNNING

    await eventually(ended, what="the end of the workflow")


async def fingerprint(environment: WorkflowEnvironment, script: Script) -> list[str]:
    """Play a script on a worker of its own and return the commands that the workflow gave."""
    activities = InMemoryTicketActivities(environment.get_current_time)
    queue = str(uuid4())
    async with ticket_worker(environment.client, queue, activities):
        ticket = TicketDriver(environment.client, queue, activities)
        await script(ticket, environment)
        history = await ticket.handle.fetch_history()
    return [name for event in history.events if (name := command_name(event))]


def command_name(event: HistoryEvent) -> str | None:
    """Return which command an event stands for, None for what comes from outside."""
    if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
        marker = event.marker_recorded_event_attributes
        if marker.marker_name != PATCH_MARKER:
            return marker.marker_name
        data = orjson.loads(marker.details["patch-data"].payloads[0].data)
        return f"patch {data['id']}"
    return NAMES.get(event.event_type)


def known() -> dict[str, list[str]]:
    """Return the fingerprints that were recorded."""
    found: dict[str, list[str]] = orjson.loads(FINGERPRINTS.read_bytes())
    return found


async def record() -> None:
    """Record the fingerprints anew."""
    async with time_skipping_server() as environment:
        found = {name: await fingerprint(environment, play) for name, play in SCRIPTS.items()}
    FINGERPRINTS.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    asyncio.run(record())
