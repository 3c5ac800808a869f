"""Telling a ticket's workflow that something was changed outside of its commands."""

from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts.command import CLOCK_CHANGED
from policy.command.message import Subject


async def tell(client: Client, tenant_id: str, ticket_id: UUID | None) -> None:
    """Let the ticket's workflow look anew what is due; without one, nothing waits for it."""
    handle = client.get_workflow_handle(Subject.of_ticket(tenant_id, ticket_id).workflow_id)
    try:
        await handle.signal(CLOCK_CHANGED)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
