"""Paths that answer with evidence, and the variants of it that they lead to."""

from uuid import UUID

LINK_PATH = "/tickets/{ticketId}/evidence/{evidenceId}/link"
UPLOAD_PATH = "/tickets/{ticketId}/evidence/uploads/{uploadId}"
ORIGINAL, REDACTED, THUMBNAIL = VARIANTS = ("original", "redacted", "thumbnail")


def link_url(ticket_id: UUID, evidence_id: UUID, variant: str) -> str:
    """Return the path that answers a link to a variant of evidence."""
    path = LINK_PATH.replace("{ticketId}", str(ticket_id))
    return f"{path.replace('{evidenceId}', str(evidence_id))}?variant={variant}"
