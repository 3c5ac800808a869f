"""The route of the closeout dossier: everything about one ticket, in one file."""

from collections.abc import Iterator

from starlette.requests import Request

from api.gateway import admitted, gateway_of, path_ticket_id
from api.reads.view import own_ticket, reading
from api.wire.answers import Answer
from api.wire.errors import ApiError, busy
from api.wire.serving import Route
from policy.codes import Code
from policy.model import Role
from records.dossier.papers import BusyError
from runtime.postgres.pool import DATABASE_FAULTS

OK = 200
DOSSIER_PATH = "/tickets/{ticketId}/dossier"
MEDIA_TYPE = "application/zip"
LISTS_EVIDENCE = "closeout.list_evidence"


def dossier_routes() -> Iterator[Route]:
    """Yield the route."""
    yield Route("GET", DOSSIER_PATH, _dossier)


async def _dossier(request: Request) -> Answer:
    gateway = gateway_of(request)
    if gateway.records.dossiers is None:
        raise ApiError(Code.NOT_FOUND)
    actor = await admitted(request, (*gateway.bundle.tools[LISTS_EVIDENCE].roles, Role.AUDIT))
    ticket_id = path_ticket_id(request, Code.INVALID_TICKET_ID)
    try:
        async with reading(gateway.pool, actor) as conn:
            ticket = (await own_ticket(conn, actor, ticket_id)).ticket
            found = await gateway.records.dossiers.gather(conn, ticket, actor.actor_role)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    if found is None:  # imported, and untouched since: nothing is recorded that could be proven
        raise ApiError(Code.NOT_FOUND)
    try:
        content = await gateway.records.dossiers.build(ticket, *found)
    except BusyError as error:
        raise busy("dossier") from error
    name = f"dossier-{ticket_id}.zip"
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Answer(OK, content, headers)
