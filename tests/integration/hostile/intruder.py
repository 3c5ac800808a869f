"""Somebody who reaches Temporal, past the gateway."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy

from contracts.signing import path_of
from contracts.ticket import WORKFLOW_TYPE, TicketStart
from policy.command.message import Command, Subject, request_hash
from policy.model import Actor, ActorType, Role
from policy.rules.bundle import load_bundle
from runtime.postgres.pool import Connection
from tests.polling import eventually

TENANT = "default"
DISPATCHER = Actor(actor_id="dispatcher-1", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN)
BUNDLE = load_bundle()
REFUSED = """
SELECT command_id, tool_name, actor_id, tenant_id, decision, code FROM command_log
 WHERE ticket_id = $1 AND code = 'INVALID_AUTH_TOKEN'
"""


@dataclass(frozen=True)
class Intruder:
    """Somebody who reaches Temporal, and who may have got hold of signed commands."""

    client: Client
    owner: Connection
    key: bytes
    task_queue: str

    async def signal(self, ticket: UUID, name: str, *arguments: object) -> None:
        """Signal a ticket's workflow, starting it if none runs."""
        await self.client.start_workflow(
            WORKFLOW_TYPE,
            TicketStart(tenant_id=TENANT, ticket_id=ticket),
            id=Subject.of_ticket(TENANT, ticket).workflow_id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=name,
            start_signal_args=arguments,
        )

    async def refusals(self, ticket: UUID, count: int = 1) -> list[dict[str, Any]]:
        """Return the log rows of what was refused, when there are `count`."""

        async def enough() -> list[dict[str, Any]] | None:
            rows = [dict(row) for row in await self.owner.fetch(REFUSED, ticket)]
            return rows if len(rows) >= count else None

        return await eventually(enough, what=f"{count} refusals")

    async def runs(self, ticket: UUID) -> bool:
        """Return whether the ticket's workflow is still there."""
        handle = self.client.get_workflow_handle(Subject.of_ticket(TENANT, ticket).workflow_id)
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


def claim(tool: str, ticket: UUID, payload: dict[str, Any], **changes: Any) -> Command:  # noqa: ANN401
    """Return the command that a gateway would make of this call, with `changes`."""
    endpoint = BUNDLE.tools[tool].route
    command = Command(
        command_id=uuid4(),
        tool=tool,
        endpoint=endpoint,
        actor=DISPATCHER,
        ticket_id=ticket,
        request_id=str(uuid4()),
        request_hash=request_hash(payload, {"ticketId": str(ticket)}),
        payload=payload,
        correlation_id=str(uuid4()),
        submitted_at=datetime.now(UTC),
    )
    assert path_of(command) == {"ticketId": str(ticket)}
    return command.model_copy(update=changes)
