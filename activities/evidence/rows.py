"""Rows of evidence and of uploads, as activities read them."""

from uuid import UUID

from contracts import statements
from policy.evidence.model import Evidence, Upload
from policy.evidence.references import place_of
from runtime.postgres.pool import Connection

UPLOAD = """
SELECT u.id, u.ticket_id, u.bucket, u.object_key, u.kind, u.evidence_key, u.content_type,
       u.size_bytes, u.sha256, u.evidence_item_id, u.multipart_id, u.part_bytes, u.created_at,
       u.abandoned_at IS NOT NULL AS abandoned
  FROM evidence_uploads u WHERE u.bucket = $1 AND u.object_key = $2
"""
TWIN = """
SELECT e.id, e.ticket_id, e.kind, e.uri, e.checksum, e.metadata, e.created_by, e.created_at,
       e.content_type, e.size_bytes, e.object_version_id, e.retention_until, e.is_immutable,
       e.immutable_reason, e.immutable_by, e.immutable_at
  FROM evidence_uploads u JOIN evidence_items e ON e.id = u.evidence_item_id
 WHERE u.ticket_id = $1 AND u.sha256 = $2 AND u.kind = $3 AND u.evidence_key = $4
   AND u.finalized_at IS NOT NULL
 ORDER BY u.finalized_at, u.id LIMIT 1
"""
STATE = "SELECT state::text FROM tickets WHERE id = $1"


async def upload_of(conn: Connection, uri: str) -> Upload | None:
    """Return the tenant's upload that a uri names, however it is spelt, or None."""
    place = place_of(uri)
    row = await conn.fetchrow(UPLOAD, place.bucket, place.normal_key) if place else None
    return Upload(**row) if row else None


async def twin_of(conn: Connection, upload: Upload) -> Evidence | None:
    """Return the ticket's evidence of the same bytes, kind and evidence key, or None."""
    wanted = (upload.ticket_id, upload.sha256, upload.kind, upload.evidence_key)
    row = await conn.fetchrow(TWIN, *wanted)
    return Evidence(**row) if row else None


async def evidence_of(conn: Connection, ticket_id: UUID | None) -> tuple[Evidence, ...]:
    """Return all evidence of a ticket, oldest first."""
    return tuple(Evidence(**row) for row in await conn.fetch(statements.EVIDENCE, ticket_id))
