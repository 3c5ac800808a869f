"""The address of tickets, and of a tenant's commands that are about none."""

from uuid import UUID

from temporalio.common import TypedSearchAttributes

from api.command.address import Destination
from api.command.call import Call, Found
from contracts.attributes import to_attributes
from contracts.statements import SET_TENANT
from contracts.ticket import WORKFLOW_TYPE, TicketStart, TicketView, attributes_of, new_ticket_id
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.effects import Denial
from policy.command.message import Command, Subject
from policy.deadlines.sla import SlaStatus
from policy.model import Actor, Priority, State
from policy.rules.bundle import Bundle
from policy.values import PayloadModel
from runtime.postgres.pool import Pool

SUMMARY_LIMIT = 120
TO_COME = """
SELECT EXISTS (SELECT FROM tickets WHERE id = $1)
    OR EXISTS (SELECT FROM command_log WHERE ticket_id = $1 AND decided_at IS NULL)
"""


class TicketAddress:
    """Finds the ticket that a route names, or reserves the id of a new one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def subject_of(self, call: Call, actor: Actor, key: UUID, _: PayloadModel) -> Subject:
        """Return the ticket, the one to be created, or the tenant."""
        ticket_id = call.ticket_id
        if call.rule.creates_ticket:
            ticket_id = new_ticket_id(actor, call.rule.route, key)
        return Subject.of_ticket(actor.tenant_id, ticket_id)

    async def denial(
        self, call: Call, actor: Actor, found: Found, payload: PayloadModel
    ) -> Denial | None:
        """Return why the ticket, or the place of a new one, is out of reach.

        The engine judges that of a ticket to come.
        """
        if not call.rule.requires_ticket_id:
            account_id = getattr(payload, "account_id", None)
            site_id = getattr(payload, "site_id", None)
            return scope_denial(actor, account_id, site_id) if account_id and site_id else None
        if found.account_id is not None and found.site_id is not None:
            return scope_denial(actor, found.account_id, found.site_id)
        if await self._is_to_come(actor, call.ticket_id):
            return None
        return Denial(code=Code.TICKET_NOT_FOUND)

    async def _is_to_come(self, actor: Actor, ticket_id: UUID | None) -> bool:
        """Whether a ticket that was not found has come, or its creation was accepted."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, actor.tenant_id)
            found: bool = await conn.fetchval(TO_COME, ticket_id)
        return found


def ticket_destination(bundle: Bundle, task_queue: str) -> Destination:
    """Return where commands on tickets go."""

    def attributes(command: Command) -> TypedSearchAttributes | None:
        return _first_sight(bundle, command)

    return Destination(WORKFLOW_TYPE, task_queue, _start, attributes, _summary)


def _start(command: Command) -> TicketStart:
    return TicketStart(tenant_id=command.actor.tenant_id, ticket_id=command.ticket_id)


def _summary(command: Command) -> str | None:
    return str(command.payload.get("summary") or "")[:SUMMARY_LIMIT] or None


def _first_sight(bundle: Bundle, command: Command) -> TypedSearchAttributes | None:
    """Return what operators see of a ticket from the start, if `command` is to create it.

    It is what a new ticket looks like; so the first outcome rarely has anything to change.
    """
    if not bundle.tools[command.tool].creates_ticket:
        return None
    new = TicketView(
        version=0,
        state=State.NEW,
        phase=bundle.phase_of[State.NEW],
        priority=Priority.ROUTINE,
        sla_status=SlaStatus.HEALTHY,
        escalation_level=0,
        account_id=UUID(command.payload["account_id"]),
        site_id=UUID(command.payload["site_id"]),
    )
    return to_attributes(attributes_of(new))
