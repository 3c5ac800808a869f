"""The running stack that scenarios are recorded on."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from contracts.ticket import WORKFLOW_TYPE, TicketStart
from policy.command.message import Subject
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

TENANT = "default"


@dataclass(frozen=True)
class Recording:
    """The running stack that a scenario is played on."""

    gateway: TestGateway
    client: Client
    task_queue: str
    suggest_after_events: int

    def handle(self, ticket: str | None) -> WorkflowHandle[Any, Any]:
        """Return the newest run of a ticket's workflow; without a ticket, of the tenant's."""
        found = None if ticket is None else UUID(ticket)
        return self.client.get_workflow_handle(Subject.of_ticket(TENANT, found).workflow_id)

    async def saw(self, ticket: str, event: str, times: int = 1) -> None:
        """Wait until an event of this kind is in the history, so many times."""

        async def is_there() -> bool:
            events = (await self.handle(ticket).fetch_history()).events
            return sum(each.HasField(event) for each in events) >= times  # type: ignore[arg-type]

        await eventually(is_there, within=30, what=event)

    async def escalated(self, ticket: str) -> list[dict[str, Any]]:
        """Return the ticket's escalations when there are some."""

        async def are_there() -> list[dict[str, Any]]:
            found = self.gateway.get(f"/tickets/{ticket}/escalations").json()
            return list(found["escalations"])

        return await eventually(are_there, within=30, what="an escalation")

    def overdue_ticket(self) -> str:
        """Return a new ticket whose deadlines have passed; its timer rings at once."""
        ticket = self.gateway.ready_ticket(priority="EMERGENCY")
        past = TestGateway.window(-24)
        self.gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [past]})
        return ticket

    async def over(self, ticket: str | None) -> str:
        """Return the workflow's id when it has completed."""

        async def is_over() -> bool:
            status = (await self.handle(ticket).describe()).status
            return status is WorkflowExecutionStatus.COMPLETED

        await eventually(is_over, what="completion")
        return self.handle(ticket).id

    async def signal(self, ticket: str, name: str, *arguments: object) -> None:
        """Signal the workflow as a stranger."""
        await self.client.start_workflow(
            WORKFLOW_TYPE,
            TicketStart(tenant_id=TENANT, ticket_id=UUID(ticket)),
            id=Subject.of_ticket(TENANT, UUID(ticket)).workflow_id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=name,
            start_signal_args=arguments,
        )

    async def cancelled(self, ticket: str) -> str:
        """Cancel the ticket and return the workflow's id when it has completed."""
        self.gateway.done(f"/tickets/{ticket}/cancel", {"reason": "the scenario is over"})
        return await self.over(ticket)
