"""What a decision is: a denial, or effects to be written in one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from policy.codes import CODES, Code
from policy.envelope import error_body, policy_error
from policy.model import Frozen, State, Ticket


class Denial(Frozen):
    """The command is not allowed; `details` are the extra fields of contract 8.2."""

    code: Code
    details: Mapping[str, Any] = Field(default_factory=dict)
    message: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status

    @property
    def dimension(self) -> str | None:
        """The `policy_error.dimension` of the code."""
        return CODES[self.code].dimension

    def body(self, request_id: str | None, correlation_id: str) -> dict[str, object]:
        """Return the envelope that the caller gets."""
        policy = policy_error(self.code, self.details)
        return error_body(
            self.code,
            message=self.message,
            request_id=request_id,
            details=self.details,
            correlation_id=correlation_id,
            policy_error=policy,
        )


class Write(Frozen):
    """One more row to write besides those every command writes. Fields are named as columns."""


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


class InsertOutbox(Write):
    """A message to deliver; a taken idempotency key aborts the command (contract 14.1)."""

    aggregate_type: str
    aggregate_id: str
    event_type: str
    idempotency_key: str
    payload: Mapping[str, Any]


class Effects(Frozen):
    """What an allowed command changes.

    `ticket` is the row after the command (None for tools without a ticket), `pairs` the legal
    transitions it makes, `audit` the tool's own keys of the audit payload, `body` the answer
    (None answers the ticket), `before` the state before.
    """

    ticket: Ticket | None
    before: State | None
    pairs: tuple[tuple[State | None, State], ...] = ()
    audit: Mapping[str, Any]
    writes: tuple[Write, ...] = ()
    body: Mapping[str, Any] | None = None


Decision = Effects | Denial
