"""What a ticket was escalated for, and what became of it."""

from starlette.requests import Request

from api.gateway import admitted, gateway_of, path_ticket_id
from api.reads.view import own_ticket, reading
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError
from policy.codes import Code
from policy.deadlines.history import Past
from runtime.postgres.pool import DATABASE_FAULTS

LADDERS = "SELECT raised, snoozes FROM ticket_ladders($1)"
READERS_OF = "ticket.get"


async def escalations(request: Request) -> Answer:
    """Answer `GET /tickets/{ticketId}/escalations`, in the order in which they were raised."""
    gateway = gateway_of(request)
    actor = await admitted(request, gateway.bundle.tools[READERS_OF].roles)
    ticket_id = path_ticket_id(request, Code.INVALID_TICKET_ID)
    try:
        async with reading(gateway.pool, actor) as conn:
            seen = await own_ticket(conn, actor, ticket_id)
            row = await conn.fetchrow(LADDERS, ticket_id)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    past = Past.model_validate(dict(row or {}))
    shown = past.shapes(past.raised, seen.at)
    return json_answer(200, {"ticket_id": str(ticket_id), "escalations": shown})
