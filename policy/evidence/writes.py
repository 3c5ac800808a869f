"""The rows that commands on evidence write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.command.writes import Write


class InsertEvidence(Write):
    """A new evidence row."""

    id: UUID
    ticket_id: UUID
    kind: str
    uri: str
    checksum: str | None
    metadata: Mapping[str, Any]
    created_by: str
    created_at: datetime
    content_type: str | None = None
    size_bytes: int | None = None
    object_version_id: str | None = None
    retention_until: datetime | None = None


class SealEvidence(Write):
    """All evidence of the ticket that is still open becomes immutable (contract 9.6)."""

    ticket_id: UUID
    immutable_by: str
    immutable_request_id: UUID
    immutable_at: datetime


class InsertUpload(Write):
    """An announced upload: what the client may put under which key until when."""

    id: UUID
    ticket_id: UUID
    bucket: str
    object_key: str
    kind: str
    evidence_key: str | None
    content_type: str
    size_bytes: int
    sha256: str
    created_by: str
    request_id: UUID
    expires_at: datetime
    multipart_id: str | None
    part_bytes: int | None


class FinalizeUpload(Write):
    """The upload is recorded as evidence."""

    id: UUID
    finalized_at: datetime
    evidence_item_id: UUID


class InsertException(Write):
    """A granted evidence exception (contract 7.14)."""

    ticket_id: UUID
    evidence_keys: Sequence[str]
    exception_reason: str
    expires_at: datetime | None
    granted_by: str
    granted_role: str
    audit_event_id: UUID
    request_id: UUID
