"""Opening a ticket: the lock of its transaction, and everything that was true before it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from policy.audit.row import Chain
from policy.clock.ticket_clock import ClockFacts, read_clock
from policy.command.message import Command
from policy.model import Ticket
from policy.values import truncate_to_milliseconds
from runtime.postgres.pool import Connection

# The clock's facts are read by the same statement but under the lock: the function is volatile, so
# it sees what was committed before the lock was had.
BEGIN = """
SELECT b.*, sla_facts((b.ticket).id, (b.ticket).account_id, (b.ticket).site_id) AS clock,
       redaction_key()
  FROM begin_command($1, $2, $3, $4, $5, $6) b
"""


class Opening(NamedTuple):
    """What was true when the transaction had the ticket's lock."""

    decided: bool
    decided_code: str | None
    stored_tenant: str | None
    stored_hash: str | None
    stored_status: int | None
    stored_text: str | None
    ticket: Ticket | None
    chain: Chain
    rests_since: datetime
    clock: ClockFacts | None
    now: datetime


async def open_ticket(
    conn: Connection, tenant_id: str, command: Command | None, ticket_id: UUID | None
) -> Opening:
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
    return Opening(
        decided=row["log_decision"] is not None,
        decided_code=row["log_code"],
        stored_tenant=row["idem_tenant"],
        stored_hash=row["idem_hash"],
        stored_status=row["idem_code"],
        stored_text=row["idem_text"],
        ticket=Ticket(**columns) if columns and columns["id"] else None,
        chain=Chain(row["chain_seq"], row["chain_hash"], row["chain_at"], row["redaction_key"]),
        rests_since=row["rests_since"] or row["started_at"],
        clock=read_clock(row["clock"]),
        now=truncate_to_milliseconds(row["started_at"]),
    )
