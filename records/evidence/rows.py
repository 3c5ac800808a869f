"""Rows of evidence and of uploads: their columns, and how one or all of a ticket are read."""

from uuid import UUID

from policy.evidence.model import Evidence, Upload
from policy.evidence.references import place_of
from runtime.postgres.pool import Connection

ITEM_COLUMNS = ", ".join(f"i.{name}" for name in Evidence.model_fields)
UPLOAD_COLUMNS = ", ".join(
    f"u.{name}" if name != "abandoned" else "u.abandoned_at IS NOT NULL AS abandoned"
    for name in Upload.model_fields
)
ITEMS = f"""
SELECT {ITEM_COLUMNS} FROM evidence_items i WHERE ticket_id = $1 ORDER BY created_at, id
"""  # noqa: S608  our own columns
REDACTIONS = "SELECT * FROM redactions_of($1)"
UPLOAD = f"""
SELECT {UPLOAD_COLUMNS} FROM evidence_uploads u WHERE u.bucket = $1 AND u.object_key = $2
"""  # noqa: S608
TWIN = f"""
SELECT {ITEM_COLUMNS}
  FROM evidence_uploads u JOIN evidence_items i ON i.id = u.evidence_item_id
 WHERE u.ticket_id = $1 AND u.sha256 = $2 AND u.kind = $3 AND u.evidence_key = $4
   AND u.finalized_at IS NOT NULL
 ORDER BY u.finalized_at, u.id LIMIT 1
"""  # noqa: S608
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
    return tuple(Evidence(**row) for row in await conn.fetch(ITEMS, ticket_id))
