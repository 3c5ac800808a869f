"""The shape E of evidence (contract 1.2), key for key."""

from typing import Any

from policy.evidence.model import Evidence
from policy.values import format_datetime, instant


def evidence_shape(item: Evidence) -> dict[str, Any]:
    """Return E."""
    return {
        "id": str(item.id),
        "ticket_id": str(item.ticket_id),
        "kind": item.kind,
        "uri": item.uri,
        "checksum": item.checksum,
        "is_immutable": item.is_immutable,
        "immutable_reason": item.immutable_reason,
        "immutable_by": item.immutable_by,
        "immutable_at": instant(item.immutable_at),
        "metadata": dict(item.metadata),
        "created_by": item.created_by,
        "created_at": format_datetime(item.created_at),
        "content_type": item.content_type,
        "size_bytes": item.size_bytes,
        "object_version_id": item.object_version_id,
        "retention_until": instant(item.retention_until),
    }
