"""The rows a decision may write besides those of every command; fields are named as columns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.command.writes import Write


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
