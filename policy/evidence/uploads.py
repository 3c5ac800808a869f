"""Uploads: where an announced object goes, and whether what came is what was announced (7.10)."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from policy.canonical import canonical_bytes
from policy.codes import Code
from policy.command.effects import Denial
from policy.evidence.model import StoredObject, Upload
from policy.evidence.sniffing import contradicts
from policy.rules.bundle import EvidenceRules

INSPECTION = "inspection"
"""The metadata key under which the server keeps what it saw in the bytes."""
VOUCHING_VERSION = 8
"""The UUID version of an evidence id that vouches for an inspection."""


def object_key(tenant_id: str, ticket_id: UUID, upload_id: UUID, sha256: str) -> str:
    """Return the key of an upload: an address of its content, of no use to another ticket."""
    return f"evidence/{tenant_id}/{ticket_id}/{upload_id}/{sha256}"


def derived_key(object_key: str, name: str) -> str:
    """Return the key of an object that is made from the one under `object_key`."""
    return f"derived/{object_key.removeprefix('evidence/')}/{name}"


def evidence_id_of(given: UUID, upload_id: UUID, inspection: Mapping[str, Any]) -> UUID:
    """Return the id of an upload's evidence row.

    The audit rows record the id but not what the server saw in the bytes, so the id vouches for
    that: it is the given random one only if there is nothing to vouch for.
    """
    if not inspection:
        return given
    digest = hashlib.sha256(upload_id.bytes + canonical_bytes(dict(inspection))).digest()
    number = int.from_bytes(digest[:16]) & ~(0xF << 76 | 0x3 << 62)
    return UUID(int=number | VOUCHING_VERSION << 76 | 0x2 << 62)


def integrity_denial(rules: EvidenceRules, upload: Upload, stored: StoredObject) -> Denial | None:
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
    by_signature = rules.content_sniffing == "signature"
    if contradicts(upload.content_type, stored.sniffed_type, by_signature=by_signature):
        return _mismatch(upload, "CONTENT_TYPE_MISMATCH", upload.content_type, stored.sniffed_type)
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
