"""Reading: one consistent view of a tenant's rows, and the ticket an actor may see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from api.wire.errors import ApiError
from contracts.statements import SET_TENANT
from policy.clock.ticket_clock import ClockFacts, read_clock
from policy.codes import Code
from policy.command.access import scope_denial
from policy.model import Actor, Ticket
from policy.ticket.binding import job_denial
from runtime.postgres.pool import Connection, Pool

TICKET = """
SELECT t.*, now() AS read_at, sla_facts(t.id, t.account_id, t.site_id, $2) AS clock
  FROM tickets t WHERE id = $1
"""


class Seen(NamedTuple):
    """A ticket at the instant of reading; `clock` is None under the standard contract."""

    ticket: Ticket
    at: datetime
    clock: ClockFacts | None


@asynccontextmanager
async def reading(pool: Pool, actor: Actor) -> AsyncIterator[Connection]:
    """Yield a connection that sees one moment of the actor's tenant, and nothing else."""
    async with (
        pool.acquire() as conn,
        conn.transaction(readonly=True, isolation="repeatable_read"),
    ):
        await conn.execute(SET_TENANT, actor.tenant_id)
        yield conn


async def find_ticket(conn: Connection, ticket_id: UUID, *, with_clock: bool = False) -> Seen:
    """Return the ticket, or raise 404; `with_clock` also under the standard contract."""
    row = await conn.fetchrow(TICKET, ticket_id, with_clock)
    if row is None:
        raise ApiError(Code.TICKET_NOT_FOUND)
    ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
    return Seen(ticket, row["read_at"], read_clock(row["clock"]))


async def visible_ticket(
    conn: Connection, actor: Actor, ticket_id: UUID, *, with_clock: bool = False
) -> Seen:
    """Return the ticket as `find_ticket` does; raise 404, or 403 outside the scope."""
    seen = await find_ticket(conn, ticket_id, with_clock=with_clock)
    denial = scope_denial(actor, seen.ticket.account_id, seen.ticket.site_id)
    if denial is not None:
        raise ApiError(denial.code, details=denial.details)
    return seen


async def own_ticket(conn: Connection, actor: Actor, ticket_id: UUID) -> Seen:
    """Return the ticket as `visible_ticket` does; raise 403 also if it is another's job.

    This is what every route of a ticket asks that is no tool: those have their own rule.
    """
    seen = await visible_ticket(conn, actor, ticket_id)
    denial = job_denial(actor, seen.ticket.assigned_tech_id)
    if denial is not None:
        raise ApiError(denial.code, details=denial.details)
    return seen
