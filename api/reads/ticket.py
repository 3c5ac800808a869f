"""The reads of a ticket, from Postgres only (contract 10.1)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api.reads.query import encoded, read
from api.reads.tools import ReadRequest
from api.reads.view import reading, visible_ticket
from policy.audit.shape import timeline_shape
from policy.evidence.model import Evidence
from policy.evidence.shape import evidence_shape
from policy.evidence.variants import Redaction, readable
from policy.model import Role
from policy.rules.bundle import Bundle
from policy.ticket.shape import ticket_shape
from policy.values import parse_datetime, parse_uuid
from records.audit.rows import EVENT_COLUMNS
from records.evidence.rows import ITEM_COLUMNS, REDACTIONS
from runtime.postgres.pool import Connection, Pool

TIMELINE = f"""
SELECT {EVENT_COLUMNS} FROM audit_events
 WHERE ticket_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""  # noqa: S608  our own columns
EVIDENCE = f"""
SELECT {ITEM_COLUMNS} FROM evidence_items i
 WHERE ticket_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
 ORDER BY created_at, id LIMIT $4
"""  # noqa: S608
UNPAGED = 10_000


class TicketReads:
    """What can be read of one ticket. Rows of another tenant do not exist."""

    def __init__(self, pool: Pool, bundle: Bundle) -> None:
        self._pool = pool
        self._bundle = bundle

    async def ticket(self, request: ReadRequest) -> dict[str, Any]:
        """Return T."""
        async with reading(self._pool, request.actor) as conn:
            seen = await visible_ticket(conn, request.actor, request.subject)
        return ticket_shape(self._bundle, *seen)

    async def timeline(self, request: ReadRequest) -> dict[str, Any]:
        """Return the audit events of a ticket in order of seq."""
        limit, after = request.query.limit(UNPAGED), request.query.cursor()
        seq = 0 if after is None else read("cursor", _seq, after.get("seq"))
        async with reading(self._pool, request.actor) as conn:
            await visible_ticket(conn, request.actor, request.subject)
            events = await timeline_events(conn, request.subject, seq, limit + 1)
        cursor = {"seq": events[limit - 1]["seq"]} if len(events) > limit else None
        return {
            "ticket_id": str(request.subject),
            "events": events[:limit],
            "next_cursor": encoded(cursor),
        }

    async def evidence(self, request: ReadRequest) -> dict[str, Any]:
        """Return the evidence of a ticket, oldest first."""
        limit, after = request.query.limit(UNPAGED), request.query.cursor()
        last = None
        if after is not None:
            at = read("cursor", parse_datetime, after.get("at"))
            last = (at, read("cursor", parse_uuid, after.get("id")))
        async with reading(self._pool, request.actor) as conn:
            await visible_ticket(conn, request.actor, request.subject)
            role = request.actor.actor_role
            items = await evidence_items(conn, role, request.subject, last, limit + 1)
        cursor = None
        if len(items) > limit:
            newest = items[limit - 1]
            cursor = {"at": newest.created_at.isoformat(), "id": str(newest.id)}
        return {
            "ticket_id": str(request.subject),
            "evidence": [evidence_shape(item) for item in items[:limit]],
            "next_cursor": encoded(cursor),
        }


async def timeline_events(
    conn: Connection, ticket_id: UUID, after_seq: int = 0, limit: int = UNPAGED
) -> Sequence[dict[str, Any]]:
    """Return the ticket's events after `after_seq` as V, in order of seq."""
    rows = await conn.fetch(TIMELINE, ticket_id, after_seq, limit)
    return [{**timeline_shape(dict(row)), "hash": row["hash"]} for row in rows]


async def evidence_items(
    conn: Connection,
    role: Role,
    ticket_id: UUID,
    after: tuple[datetime, UUID] | None = None,
    limit: int = UNPAGED,
) -> Sequence[Evidence]:
    """Return the ticket's evidence after a position as a role may read it, oldest first."""
    rows = await conn.fetch(EVIDENCE, ticket_id, *(after or (None, None)), limit)
    redactions = [Redaction(**row) for row in await conn.fetch(REDACTIONS, ticket_id)]
    return [each.item for each in readable(role, (Evidence(**row) for row in rows), redactions)]


def _seq(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("not a seq")
    return value
