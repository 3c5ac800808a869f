"""Drives one ticket workflow as a gateway would, and as a stranger could."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from contracts.command import SignedCommand
from contracts.signing import path_of, sign
from contracts.ticket import WORKFLOW_TYPE, TicketOutcome, TicketStart, TicketView
from policy.command.message import Command, Subject, request_hash
from policy.model import Actor, ActorType, Role
from tests.polling import eventually
from tests.workflow.memory import KEY, InMemoryTicketActivities
from worker.parts import OUR_PURE_MODULES
from workflows.ticket.workflow import TicketWorkflow

TENANT = "default"
DISPATCHER = Actor(actor_id="dispatcher-1", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN)
SUBMITTED_AT = datetime.fromisoformat("2026-11-21T08:00:00Z")


def ticket_worker(
    client: Client, task_queue: str, activities: InMemoryTicketActivities
) -> AbstractAsyncContextManager[Worker]:
    """Return a worker in the sandbox that the product uses, with these activities."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[TicketWorkflow],
        activities=[activities.execute_command, activities.escalate],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )


class TicketDriver:
    """One ticket and its workflow."""

    def __init__(
        self, client: Client, task_queue: str, activities: InMemoryTicketActivities
    ) -> None:
        self.activities = activities
        self.ticket_id = uuid4()
        self.client = client
        self._task_queue = task_queue

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The newest run of the workflow."""
        return self.client.get_workflow_handle(
            Subject.of_ticket(TENANT, self.ticket_id).workflow_id, result_type=TicketView
        )

    def command(self, tool: str, **changes: Any) -> Command:  # noqa: ANN401  any field
        """Return a command on this ticket, with `changes`."""
        command = Command(
            command_id=uuid4(),
            tool=tool,
            endpoint="/tickets/{ticketId}/" + tool,
            actor=DISPATCHER,
            ticket_id=self.ticket_id,
            request_id=str(uuid4()),
            request_hash="",
            payload={},
            correlation_id="c",
            submitted_at=SUBMITTED_AT,
        ).model_copy(update=changes)
        digest = request_hash(command.payload, path_of(command))
        return command.model_copy(update={"request_hash": digest})

    async def send(self, tool: str, **changes: Any) -> Command:  # noqa: ANN401  any field
        """Send a signed command."""
        command = self.command(tool, **changes)
        await self.signal(tool, sign(KEY, command))
        return command

    async def signal(self, name: str, *arguments: object) -> None:
        """Signal the workflow, starting it if none runs."""
        await self.client.start_workflow(
            WORKFLOW_TYPE,
            TicketStart(tenant_id=TENANT, ticket_id=self.ticket_id),
            id=Subject.of_ticket(TENANT, self.ticket_id).workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=name,
            start_signal_args=arguments,
        )

    async def outcome(self, command: Command) -> TicketOutcome:
        """Return what became of a command."""

        async def recorded() -> TicketOutcome | None:
            return self.activities.outcomes.get(command.command_id)

        return await eventually(recorded, what=f"the outcome of {command.tool}")

    async def executed(self, count: int) -> list[SignedCommand]:
        """Return what was executed, when there are at least `count` commands of it."""

        async def enough() -> bool:
            return len(self.activities.executed) >= count

        await eventually(enough, what=f"execution of {count} commands")
        return self.activities.executed
