"""The technician's job packet, read from Postgres and, where configured, the object store."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.reads.evidence_links import link_url
from api.reads.ticket import evidence_items, timeline_events
from api.reads.tools import ReadRequest
from api.reads.view import Seen, reading, visible_ticket
from api.wire.errors import ApiError
from contracts.statements import AUTONOMY, COMPLETION, EXCEPTIONS
from policy.autonomy.model import AutonomyRow
from policy.evidence.model import Evidence
from policy.evidence.references import pinned_versions
from policy.evidence.uploads import INSPECTION
from policy.evidence.variants import Variant
from policy.model import Role, Ticket
from policy.reads.actor import actor_shape
from policy.reads.job_packet import Enclosures, Place, job_packet
from policy.rules.bundle import Bundle
from policy.ticket.binding import binding_denial
from policy.ticket.facts import CompletionContext, TicketFacts
from policy.values import format_datetime
from records.evidence.look_ups import ReferenceStore, look_up_all
from runtime.postgres.pool import Connection, Pool

SITE = """
SELECT id::text, name, timezone, access_instructions, address1, address2, city, region,
       postal_code, country
  FROM sites WHERE id = $1
"""
CONTACT = """
SELECT name, phone, role FROM contacts WHERE site_id = $1
 ORDER BY is_authorized_requester DESC, escalation_level NULLS LAST, created_at, id LIMIT 1
"""
THUMBNAILS = """
SELECT i.id FROM evidence_items i JOIN evidence_uploads u ON u.evidence_item_id = i.id
                       AND i.uri = 's3://' || u.bucket || '/' || u.object_key
 WHERE i.ticket_id = $1 AND i.metadata->'inspection' ? 'thumbnail'
 ORDER BY i.created_at, i.id
"""
RETURNED = """
SELECT tool_name, actor_id, created_at, payload->'reason' AS reason, payload->'findings' AS findings
  FROM audit_events
 WHERE ticket_id = $1 AND (tool_name = 'qa.return'
       OR (after_state = 'COMPLETED_PENDING_VERIFICATION' AND before_state = 'IN_PROGRESS'))
 ORDER BY seq DESC LIMIT 1
"""
ADDRESS = ("address1", "address2", "city", "region", "postal_code", "country")


class JobPackets:
    """Reads job packets."""

    def __init__(self, pool: Pool, bundle: Bundle, store: ReferenceStore) -> None:
        self._pool = pool
        self._bundle = bundle
        self._store = store

    async def read(self, request: ReadRequest) -> dict[str, Any]:
        """Return the answer of tech.job_packet."""
        async with reading(self._pool, request.actor) as conn:
            seen = await visible_ticket(conn, request.actor, request.subject, with_clock=True)
            ticket, at, _ = seen
            denial = binding_denial(request.actor, request.tool, ticket.assigned_tech_id)
            if denial is not None:
                raise ApiError(denial.code, details=denial.details)
            facts = await _facts(conn, seen, request.actor.actor_role)
            enclosures = Enclosures(
                place=await _place(conn, ticket),
                events=await timeline_events(conn, ticket.id),
                thumbnails=await _thumbnails(conn, facts.evidence, ticket),
                returned=await _returned(conn, ticket),
            )
        if self._bundle.evidence.require_head:
            facts = facts.model_copy(
                update={"look_ups": await look_up_all(self._store, pinned_versions(facts.evidence))}
            )
        packet = job_packet(self._bundle, facts, request.actor.actor_role, enclosures)
        return {
            "generated_at": format_datetime(at),
            "actor": actor_shape(request.actor, request.tool),
            "packet": packet,
        }


async def _facts(conn: Connection, seen: Seen, role: Role) -> TicketFacts:
    ticket, at, clock = seen
    excepted = await conn.fetch(EXCEPTIONS, ticket.id)
    completion = await conn.fetchrow(COMPLETION, ticket.id)
    autonomy = await conn.fetch(AUTONOMY, ticket.id, ticket.incident_type or "")
    return TicketFacts(
        now=at,
        ticket=ticket,
        audit_id=ticket.id,  # a read writes no row that would need new ids
        new_ids=(ticket.id, ticket.id),
        clock=clock,
        evidence=tuple(await evidence_items(conn, role, ticket.id)),
        excepted_keys=frozenset(row["key"] for row in excepted),
        completion=None
        if completion is None
        else CompletionContext(
            tool_name=completion["tool_name"], request=completion["request"] or {}
        ),
        autonomy=tuple(AutonomyRow(**row) for row in autonomy),
    )


async def _place(conn: Connection, ticket: Ticket) -> Place:
    row = await conn.fetchrow(SITE, ticket.site_id)
    contact = await conn.fetchrow(CONTACT, ticket.site_id)
    if row is None:
        raise LookupError("a ticket's site exists")
    fields = dict(row)
    address = {name: fields.pop(name) for name in ADDRESS}
    return Place(**fields, address=address, contact=None if contact is None else dict(contact))


async def _returned(conn: Connection, ticket: Ticket) -> dict[str, Any] | None:
    """Return what quality assurance found, unless the work was completed again since."""
    row = await conn.fetchrow(RETURNED, ticket.id)
    if row is None or row["tool_name"] != "qa.return":
        return None
    return {
        "reason": row["reason"],
        "findings": row["findings"],
        "returned_by": row["actor_id"],
        "returned_at": format_datetime(row["created_at"]),
    }


async def _thumbnails(
    conn: Connection, readable: Sequence[Evidence], ticket: Ticket
) -> Mapping[str, str]:
    """Return the link of each thumbnail by evidence id; following it is judged anew."""
    shown = {item.id for item in readable if INSPECTION in item.metadata}
    ids = [row["id"] for row in await conn.fetch(THUMBNAILS, ticket.id) if row["id"] in shown]
    return {str(each): link_url(ticket.id, each, Variant.THUMBNAIL) for each in ids}
