"""Uploads: where an announced object goes, and whether what came is what was announced (7.10)."""

from typing import Any
from uuid import UUID

from policy.codes import Code
from policy.effects import Denial
from policy.facts import StoredObject, Upload


def object_key(tenant_id: str, ticket_id: UUID, upload_id: UUID, sha256: str) -> str:
    """Return the key of an upload: an address of its content, of no use to another ticket."""
    return f"evidence/{tenant_id}/{ticket_id}/{upload_id}/{sha256}"


def integrity_denial(upload: Upload, stored: StoredObject) -> Denial | None:
    """Return why the stored object is not the announced one, or None when it is."""
    if stored.size_bytes is None:
        return _mismatch(upload, "OBJECT_NOT_FOUND", upload.object_key, None)
    for failure, expected, actual in (
        ("SIZE_MISMATCH", upload.size_bytes, stored.size_bytes),
        ("SHA256_MISMATCH", upload.sha256, stored.sha256),
        ("CONTENT_TYPE_MISMATCH", upload.content_type, stored.content_type),
    ):
        if expected != actual:
            return _mismatch(upload, failure, expected, actual)
    return None


def _mismatch(
    upload: Upload,
    failure: str,
    expected: Any,  # noqa: ANN401  a size or a text
    actual: Any,  # noqa: ANN401
) -> Denial:
    return Denial(
        code=Code.EVIDENCE_INTEGRITY_MISMATCH,
        details={"uri": upload.uri, "failure": failure, "expected": expected, "actual": actual},
    )
