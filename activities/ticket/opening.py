"""Opening a ticket: the lock of its transaction, and everything that was true before it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from activities.command.opening import Opening, opened
from policy.audit.row import Chain
from policy.clock.ticket_clock import ClockFacts, read_clock
from policy.command.message import Command
from policy.model import Ticket
from runtime.postgres.pool import Connection

# The clock's facts are read by the same statement but under the lock: the function is volatile, so
# it sees what was committed before the lock was had.
BEGIN = """
SELECT b.*, sla_facts((b.ticket).id, (b.ticket).account_id, (b.ticket).site_id) AS clock,
       redaction_key()
  FROM begin_command($1, $2, $3, $4, $5, $6) b
"""


@dataclass(frozen=True)
class TicketOpening(Opening):
    """What was true of the ticket, its chain and its clock."""

    ticket: Ticket | None
    chain: Chain
    rests_since: datetime
    clock: ClockFacts | None


async def open_ticket(
    conn: Connection, tenant_id: str, command: Command | None, ticket_id: UUID | None
) -> TicketOpening:
    """Take the ticket's lock and return what is true now."""
    row = await conn.fetchrow(
        BEGIN,
        tenant_id,
        command.command_id if command else None,
        ticket_id,
        command.actor.actor_id if command else "",
        command.endpoint if command else "",
        UUID(command.request_id) if command else None,
    )
    if row is None:
        raise LookupError("begin_command always returns a row")
    ticket = row["ticket"]
    columns = {name: ticket[name] for name in Ticket.model_fields} if ticket else None
    return TicketOpening(
        **opened(dict(row)),
        ticket=Ticket(**columns) if columns and columns["id"] else None,
        chain=Chain(row["chain_seq"], row["chain_hash"], row["chain_at"], row["redaction_key"]),
        rests_since=row["rests_since"] or row["started_at"],
        clock=read_clock(row["clock"]),
    )
