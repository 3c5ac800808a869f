"""The address of tickets, and of a tenant's commands that are about none."""

from datetime import UTC, datetime
from uuid import UUID

from api.command.call import Call, Found
from contracts.statements import NEWEST_HOLD, SET_TENANT
from contracts.ticket import new_ticket_id
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.effects import Denial
from policy.command.message import Command, Subject
from policy.command.registry import command_tool
from policy.deadlines.hold_notes import HoldSnapshot
from policy.model import TERMINAL, Actor, Ticket
from policy.rules.bundle import Bundle
from policy.ticket.case import TicketCase
from policy.ticket.checks import JUDGE
from policy.ticket.facts import TicketFacts
from policy.values import PayloadModel
from runtime.postgres.pool import Pool, reading

TICKET_ROW = "SELECT * FROM tickets WHERE id = $1"
TO_COME = """
SELECT EXISTS (SELECT FROM tickets WHERE id = $1)
    OR EXISTS (SELECT FROM command_log WHERE ticket_id = $1 AND decided_at IS NULL)
"""


class TicketAddress:
    """Finds the ticket that a route names, or reserves the id of a new one."""

    def __init__(self, pool: Pool, bundle: Bundle) -> None:
        self._pool = pool
        self._bundle = bundle

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

        The engine judges that of a ticket to come. One that is over is judged here: a command would
        start a run that hides its history from operators.
        """
        if not call.rule.requires_ticket_id:
            account_id = getattr(payload, "account_id", None)
            site_id = getattr(payload, "site_id", None)
            return scope_denial(actor, account_id, site_id) if account_id and site_id else None
        if found.account_id is not None and found.site_id is not None:
            denial = scope_denial(actor, found.account_id, found.site_id)
            over = denial is None and found.state in TERMINAL
            return await self._denial_when_over(call, actor, payload) if over else denial
        if await self._is_to_come(actor, call.ticket_id):
            return None
        return Denial(code=Code.TICKET_NOT_FOUND)

    async def _denial_when_over(
        self, call: Call, actor: Actor, payload: PayloadModel
    ) -> Denial | None:
        """Return the policy's denial of a command on a terminal ticket; it never opens again."""
        async with reading(self._pool, actor.tenant_id) as conn:
            row = await conn.fetchrow(TICKET_ROW, call.ticket_id)
            hold = await conn.fetchrow(NEWEST_HOLD, call.ticket_id)
        if row is None:
            return Denial(code=Code.TICKET_NOT_FOUND)
        ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
        now, nobody = datetime.now(UTC), UUID(int=0)
        facts = TicketFacts(
            now=now,
            ticket=ticket,
            hold=HoldSnapshot(**hold) if hold else None,
            audit_id=nobody,
            new_ids=(nobody, nobody),
        )
        command = Command(
            command_id=nobody,
            tool=call.tool,
            endpoint=call.rule.route,
            actor=actor,
            ticket_id=ticket.id,
            request_id=call.context.request_id or "",
            request_hash="",
            payload={},
            correlation_id=call.context.correlation_id,
            submitted_at=now,
        )
        case = TicketCase(self._bundle, call.rule, command, facts, payload)
        tool = command_tool(call.tool)
        denials = (check(case, tool) for check in JUDGE.checks)
        return next((denial for denial in denials if denial is not None), None)

    async def _is_to_come(self, actor: Actor, ticket_id: UUID | None) -> bool:
        """Whether a ticket that was not found has come, or its creation was accepted."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, actor.tenant_id)
            found: bool = await conn.fetchval(TO_COME, ticket_id)
        return found
