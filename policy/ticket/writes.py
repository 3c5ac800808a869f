"""The rows a decision may write besides those of every command; fields are named as columns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.model import Frozen


class Write(Frozen):
    """One more row to write, in the transaction of the decision."""


class InsertApproval(Write):
    """A new approval, PENDING."""

    id: UUID
    ticket_id: UUID
    requested_by: str
    requested_at: datetime
    approval_type: str
    amount_delta_cents: int | None
    reason: str
    evidence: Mapping[str, Any]


class DecideApproval(Write):
    """A pending approval gets its decision; a null reason keeps the old one."""

    id: UUID
    status: str
    decided_by: str
    decided_at: datetime
    reason: str | None


class CancelApprovals(Write):
    """All pending approvals of the ticket become CANCELLED."""

    ticket_id: UUID
    decided_by: str
    decided_at: datetime


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


class UpsertArtifact(Write):
    """The closeout packet of the ticket (contract 9.8)."""

    ticket_id: UUID
    artifact_type: str
    artifact_name: str
    artifact_hash: str
    artifact_payload: Mapping[str, Any]
    created_by: str
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None


class InsertRecommendation(Write):
    """A snapshot of whom a recommendation named, and why."""

    ticket_id: UUID
    recommendation_snapshot_id: UUID
    ticket_state: str
    requested_by: str
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None
    recommendation_limit: int
    incident_type: str
    site_region: str | None
    candidates: Sequence[Mapping[str, Any]]
    recommended_tech_id: UUID


class InsertHold(Write):
    """A snapshot of the state and schedule that a hold interrupts."""

    id: UUID
    ticket_id: UUID
    hold_sequence_id: UUID
    requested_by: str
    request_id: UUID
    correlation_id: str | None
    hold_reason_code: str
    hold_state: str
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    hold_reason_notes: str


class UpsertAutonomy(Write):
    """The one row of an autonomy scope (contract 7.15)."""

    id: UUID
    scope_type: str
    incident_type: str | None
    ticket_id: UUID | None
    is_paused: bool
    reason: str | None
    actor_type: str
    actor_id: str
    actor_role: str | None
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None
    created_at: datetime
    updated_at: datetime


class InsertAutonomyHistory(Write):
    """One change of an autonomy scope."""

    id: UUID
    control_state_id: UUID
    scope_type: str
    incident_type: str | None
    ticket_id: UUID | None
    action: str
    previous_is_paused: bool
    next_is_paused: bool
    actor_type: str
    actor_id: str
    actor_role: str
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None
    reason: str | None
    payload: Mapping[str, Any]


class InsertOutbox(Write):
    """A message to deliver; a taken idempotency key aborts the command (contract 14.1)."""

    aggregate_type: str
    aggregate_id: str
    event_type: str
    idempotency_key: str
    payload: Mapping[str, Any]


class AcknowledgeEscalations(Write):
    """Escalations that somebody sees to."""

    ids: tuple[UUID, ...]
    acknowledged_by: str
    acknowledged_at: datetime
    note: str | None


class SnoozeEscalations(Write):
    """Until when the ticket's escalations of a kind wait; the newest snooze of a kind counts."""

    ticket_id: UUID
    kind: str
    snoozed_until: datetime
    snoozed_by: str
    reason: str | None
    updated_at: datetime


class ReplayOutbox(Write):
    """A dead-lettered message is due again, as if it had never been tried."""

    id: UUID
    next_attempt_at: datetime
