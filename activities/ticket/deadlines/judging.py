"""Clocks under contracts of their own: judged by the rules, the verdict kept for the queue."""

from uuid import UUID

import structlog

from policy.clock.ticket_clock import ClockFacts, clock_of, read_clock
from policy.deadlines.sla import board_place, rules_mark
from policy.model import Ticket
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection

CLOCK = """
SELECT q.changes, sla_facts(t.id, t.account_id, t.site_id) AS clock, t.*
  FROM ticket_queue q JOIN tickets t ON t.id = q.ticket_id
 WHERE q.ticket_id = $1 AND q.contract IS NOT NULL
"""
JUDGE = "SELECT judge_ticket_place($1, $2, $3, $4, $5, $6, $7)"
log = structlog.get_logger()


async def judge(conn: Connection, bundle: Bundle, ticket_id: UUID) -> ClockFacts | None:
    """Keep a ticket's place in the queue as its clock says; return what the clock follows from.

    None under the standard contract. A verdict that something overtook is not kept.
    """
    row = await conn.fetchrow(CLOCK, ticket_id)
    facts = read_clock(row["clock"]) if row else None
    if row is None or facts is None:
        return None
    ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
    clock = clock_of(bundle.sla, ticket, facts)
    for problem in clock.problems:
        log.warning("sla.problem", ticket_id=str(ticket_id), problem=problem)
    place = board_place(bundle, clock, ticket)
    await conn.execute(JUDGE, ticket_id, row["changes"], *place, rules_mark(bundle))
    return facts
