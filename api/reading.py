"""Reading: one consistent view of a tenant's rows, and the ticket an actor may see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from api.errors import ApiError
from policy.access import scope_denial
from policy.codes import Code
from policy.model import Actor, Ticket
from runtime.database import Connection, Pool

SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
TICKET = "SELECT t.*, now() AS read_at FROM tickets t WHERE id = $1"


@asynccontextmanager
async def reading(pool: Pool, actor: Actor) -> AsyncIterator[Connection]:
    """Yield a connection that sees one moment of the actor's tenant, and nothing else."""
    async with (
        pool.acquire() as conn,
        conn.transaction(readonly=True, isolation="repeatable_read"),
    ):
        await conn.execute(SET_TENANT, actor.tenant_id)
        yield conn


async def find_ticket(conn: Connection, ticket_id: UUID) -> tuple[Ticket, datetime]:
    """Return the ticket and the instant of reading, or raise 404."""
    row = await conn.fetchrow(TICKET, ticket_id)
    if row is None:
        raise ApiError(Code.TICKET_NOT_FOUND)
    return Ticket(**{name: row[name] for name in Ticket.model_fields}), row["read_at"]


async def visible_ticket(
    conn: Connection, actor: Actor, ticket_id: UUID
) -> tuple[Ticket, datetime]:
    """Return the ticket and the instant of reading; raise 404, or 403 outside the scope."""
    ticket, read_at = await find_ticket(conn, ticket_id)
    denial = scope_denial(actor, ticket.account_id, ticket.site_id)
    if denial is not None:
        raise ApiError(denial.code, details=denial.details)
    return ticket, read_at
