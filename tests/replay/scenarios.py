"""What is recorded: one scenario for every path through the ticket workflow."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy

from cli.scenario import LIFECYCLE
from cli.walk import Walk
from contracts.messages import SignedCommand, TicketStart
from contracts.names import WORKFLOW_TYPE, workflow_id
from policy.bundle import Bundle
from policy.command import Command
from policy.model import Actor, ActorType, Role
from policy.values import format_datetime
from tests.integration.gateway import TestGateway
from tests.polling import eventually

TENANT = "default"
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
GATE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
LOCAL_LIMIT_EVENT = "activity_task_scheduled_event_attributes"
TIMER_EVENT = "timer_fired_event_attributes"
LONG_TEXT = "The door springs open when the wind blows. " * 200
STRANGER = Actor(actor_id="stranger", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN)


@dataclass(frozen=True)
class Recording:
    """The running stack that a scenario is played on."""

    gateway: TestGateway
    client: Client
    bundle: Bundle
    task_queue: str
    suggest_after_events: int

    async def saw(self, ticket: str, event: str) -> None:
        """Wait until an event of this kind is in the history of the ticket's workflow."""
        handle = self.client.get_workflow_handle(workflow_id(TENANT, UUID(ticket)))

        async def is_there() -> bool:
            events = (await handle.fetch_history()).events
            return any(each.HasField(event) for each in events)  # type: ignore[arg-type]

        await eventually(is_there, within=30, what=event)

    async def over(self, ticket: str) -> None:
        """Wait until the ticket's workflow has completed."""
        handle = self.client.get_workflow_handle(workflow_id(TENANT, UUID(ticket)))

        async def is_over() -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

        await eventually(is_over, what="completion")

    async def signal(self, ticket: str, name: str, *arguments: object) -> None:
        """Signal the ticket's workflow as a stranger."""
        await self.client.start_workflow(
            WORKFLOW_TYPE,
            TicketStart(tenant_id=TENANT, ticket_id=UUID(ticket)),
            id=workflow_id(TENANT, UUID(ticket)),
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=name,
            start_signal_args=arguments,
        )

    def cancel(self, ticket: str) -> None:
        """Cancel the ticket, so that its workflow ends."""
        self.gateway.done(f"/tickets/{ticket}/cancel", {"reason": "the scenario is over"})


Scenario = Callable[[Recording], Awaitable[str]]
