"""The routes of draft invoices: one ticket's, and all of them for accounting."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from operator import itemgetter
from typing import Any, NamedTuple

from starlette.requests import Request

from api.gateway import Gateway, admitted, gateway_of, path_ticket_id
from api.reads.query import Query, invalid_query
from api.reads.ticket import timeline_events
from api.reads.view import own_ticket, reading
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError, busy
from api.wire.serving import Route
from policy.billing.derived import derived_bill, work_done
from policy.billing.invoice import ARTIFACT_TYPE, EXPORT_HEADS, export_rows, invoice_document
from policy.codes import Code
from policy.local_time import zone_of
from policy.model import Actor, Role, Ticket
from policy.values import parse_date_or_datetime
from records.dossier.papers import BusyError
from runtime.postgres.pool import DATABASE_FAULTS, Connection

OK = 200
INVOICE_PATH, EXPORT_PATH = "/tickets/{ticketId}/invoice", "/exports/invoices"
INVOICE_ROLES = (Role.FINANCE, Role.DISPATCHER, Role.APPROVER, Role.ADMIN, Role.AUDIT)
EXPORT_ROLES = (Role.FINANCE, Role.ADMIN, Role.AUDIT)
BYTES = "utf-8-sig"
"""With a byte order mark: without one, spreadsheets take UTF-8 for their country's code page."""
CSV, PDF = "text/csv; charset=utf-8", "application/pdf"
STORED = """
SELECT artifact_payload FROM closeout_artifacts WHERE ticket_id = $1 AND artifact_type = $2
"""
PLACE = """
SELECT name, address1, address2, city, region, postal_code, country, timezone
  FROM sites WHERE id = $1
"""
ACCOUNT = "SELECT name FROM accounts WHERE id = $1"
EXPORTED = """
SELECT c.artifact_payload FROM closeout_artifacts c JOIN tickets t ON t.id = c.ticket_id
 WHERE c.artifact_type = $1
   AND (c.artifact_payload->>'issued_at')::timestamptz >= $2
   AND (c.artifact_payload->>'issued_at')::timestamptz < $3
   AND ($4::uuid[] IS NULL OR t.account_id = ANY ($4))
   AND ($5::uuid[] IS NULL OR t.site_id = ANY ($5))
 ORDER BY c.artifact_payload->>'issued_at', c.ticket_id
"""
UNSTORED = """
SELECT t.*, x.created_at AS issued_at
  FROM ticket_state_transitions x JOIN tickets t ON t.id = x.ticket_id
 WHERE x.from_state = 'VERIFIED' AND x.to_state = 'INVOICED'
   AND x.created_at >= $2 AND x.created_at < $3 AND t.state IN ('INVOICED', 'CLOSED')
   AND ($4::uuid[] IS NULL OR t.account_id = ANY ($4))
   AND ($5::uuid[] IS NULL OR t.site_id = ANY ($5))
   AND NOT EXISTS (SELECT FROM closeout_artifacts c
                    WHERE c.ticket_id = t.id AND c.artifact_type = $1)
   AND NOT EXISTS (SELECT FROM ticket_state_transitions y
                    WHERE y.ticket_id = t.id AND y.to_state = 'INVOICED'
                      AND y.created_at > x.created_at)
"""
"""The tickets that were invoiced without lines, so that no draft was stored."""
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class Draft(NamedTuple):
    """A draft invoice, and the names that its page shows."""

    invoice: dict[str, Any]
    site: dict[str, Any]
    account: dict[str, Any]


def invoice_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", INVOICE_PATH, _invoice)
    yield Route("GET", EXPORT_PATH, _export)


async def _invoice(request: Request) -> Answer:
    actor = await admitted(request, INVOICE_ROLES)
    ticket_id = path_ticket_id(request, Code.INVALID_TICKET_ID)
    wanted = Query(request.query_params).words("format") or ("json",)
    if wanted not in {("json",), ("pdf",), ("csv",)}:
        raise invalid_query("format")
    try:
        async with reading(gateway_of(request).pool, actor) as conn:
            ticket, at, _ = await own_ticket(conn, actor, ticket_id)
            draft = await _draft(request, conn, ticket, at)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    name = f"invoice-{ticket_id}.{wanted[0]}"
    match wanted[0]:
        case "pdf":
            return _file(await _drawn(gateway_of(request), draft), PDF, name)
        case "csv":
            return _file(_csv([draft.invoice]), CSV, name)
        case _:
            return json_answer(OK, draft.invoice)


async def _draft(request: Request, conn: Connection, ticket: Ticket, at: datetime) -> Draft:
    """Return the stored draft, else the one that the ticket's record and the prices give."""
    site = dict(await conn.fetchrow(PLACE, ticket.site_id) or {})
    account = dict(await conn.fetchrow(ACCOUNT, ticket.account_id) or {})
    invoice = await conn.fetchval(STORED, ticket.id, ARTIFACT_TYPE)
    if invoice is None:
        invoice = await _derived(gateway_of(request), conn, ticket, site, at)
    return Draft(invoice, site, account)


async def _derived(
    gateway: Gateway, conn: Connection, ticket: Ticket, site: dict[str, Any], at: datetime
) -> dict[str, Any]:
    """Return the draft that the ticket's record and the prices give."""
    work = work_done(await timeline_events(conn, ticket.id), zone_of(site["timezone"]))
    prices = gateway.records.prices
    bill = derived_bill(prices, ticket, work, site["country"], site["region"])
    source = f"record and price list {prices.version}"
    check_ins = [each.shape() for each in work.check_ins]
    return {**invoice_document(ticket, bill, at, source), "check_ins": check_ins}


async def _export(request: Request) -> Answer:
    actor = await admitted(request, EXPORT_ROLES)
    query = Query(request.query_params)
    since, until = _day(query, "from", FIRST), _day(query, "to", LAST)
    try:
        async with reading(gateway_of(request).pool, actor) as conn:
            wanted = (ARTIFACT_TYPE, since, until, *_scope(actor))
            stored = [row["artifact_payload"] for row in await conn.fetch(EXPORTED, *wanted)]
            unstored = await _unstored(gateway_of(request), conn, *wanted)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    drafts = sorted([*stored, *unstored], key=itemgetter("issued_at", "id"))
    return _file(_csv(drafts), CSV, "invoices.csv")


async def _unstored(gateway: Gateway, conn: Connection, *wanted: object) -> list[dict[str, Any]]:
    """Return the drafts of the tickets that were invoiced without lines, as the record has them."""
    drafts = []
    for row in await conn.fetch(UNSTORED, *wanted):
        ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
        site = dict(await conn.fetchrow(PLACE, ticket.site_id) or {})
        drafts.append(await _derived(gateway, conn, ticket, site, row["issued_at"]))
    return drafts


def _day(query: Query, name: str, default: datetime) -> datetime:
    words = query.words(name)
    if not words:
        return default
    try:
        (word,) = words
        return parse_date_or_datetime(word)
    except ValueError:
        raise invalid_query(name) from None


def _scope(actor: Actor) -> tuple[list[Any] | None, list[Any] | None]:
    """Return the accounts and sites that the actor may see, None for all."""
    return (
        None if actor.account_ids is None else sorted(actor.account_ids),
        None if actor.site_ids is None else sorted(actor.site_ids),
    )


def _csv(invoices: list[dict[str, Any]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(EXPORT_HEADS)
    for invoice in invoices:
        writer.writerows(export_rows(invoice))
    return text.getvalue().encode(BYTES)


async def _drawn(gateway: Gateway, draft: Draft) -> bytes:
    try:
        return await gateway.records.papers.invoice(*draft)
    except BusyError as error:
        raise busy("pdf") from error


def _file(content: bytes, media_type: str, name: str) -> Answer:
    disposition = f'attachment; filename="{name}"'
    return Answer(OK, content, {"Content-Type": media_type, "Content-Disposition": disposition})
