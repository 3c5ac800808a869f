"""How each kind of write becomes a row: one statement, fed with the write as JSON."""

from collections.abc import Mapping

from activities.gathering import Connection
from policy.writes import (
    CancelApprovals,
    DecideApproval,
    InsertApproval,
    InsertEvidence,
    InsertOutbox,
    SealEvidence,
    UpsertArtifact,
    Write,
)

STATEMENTS: Mapping[type[Write], str] = {
    InsertApproval: """
        INSERT INTO approvals (id, tenant_id, ticket_id, requested_by, requested_at, approval_type,
                               amount_delta_cents, reason, evidence)
        SELECT r.id, $2, r.ticket_id, r.requested_by, r.requested_at, r.approval_type,
               r.amount_delta_cents, r.reason, r.evidence
          FROM jsonb_populate_record(NULL::approvals, $1) r
    """,
    DecideApproval: """
        UPDATE approvals a
           SET status = r.status, decided_by = r.decided_by, decided_at = r.decided_at,
               reason = coalesce(r.reason, a.reason)
          FROM jsonb_populate_record(NULL::approvals, $1) r
         WHERE a.id = r.id AND a.tenant_id = $2
    """,
    CancelApprovals: """
        UPDATE approvals a
           SET status = 'CANCELLED', decided_by = r.decided_by, decided_at = r.decided_at
          FROM jsonb_populate_record(NULL::approvals, $1) r
         WHERE a.ticket_id = r.ticket_id AND a.status = 'PENDING' AND a.tenant_id = $2
    """,
    InsertEvidence: """
        INSERT INTO evidence_items (id, tenant_id, ticket_id, kind, uri, checksum, metadata,
                                    content_type, size_bytes, object_version_id, retention_until,
                                    created_by, created_at)
        SELECT r.id, $2, r.ticket_id, r.kind, r.uri, r.checksum, r.metadata,
               r.content_type, r.size_bytes, r.object_version_id, r.retention_until,
               r.created_by, r.created_at
          FROM jsonb_populate_record(NULL::evidence_items, $1) r
    """,
    SealEvidence: """
        UPDATE evidence_items e
           SET is_immutable = true, immutable_reason = 'closeout_verification',
               immutable_by = r.immutable_by, immutable_request_id = r.immutable_request_id,
               immutable_at = r.immutable_at
          FROM jsonb_populate_record(NULL::evidence_items, $1) r
         WHERE e.ticket_id = r.ticket_id AND NOT e.is_immutable AND e.tenant_id = $2
    """,
    UpsertArtifact: """
        INSERT INTO closeout_artifacts (tenant_id, ticket_id, artifact_type, artifact_name,
                                        artifact_hash, artifact_payload, created_by, request_id,
                                        correlation_id, trace_id)
        SELECT $2, r.ticket_id, r.artifact_type, r.artifact_name, r.artifact_hash,
               r.artifact_payload, r.created_by, r.request_id, r.correlation_id, r.trace_id
          FROM jsonb_populate_record(NULL::closeout_artifacts, $1) r
        ON CONFLICT (ticket_id, artifact_type) DO UPDATE
           SET artifact_name = excluded.artifact_name, artifact_hash = excluded.artifact_hash,
               artifact_payload = excluded.artifact_payload, created_by = excluded.created_by,
               request_id = excluded.request_id, correlation_id = excluded.correlation_id,
               trace_id = excluded.trace_id
    """,
    InsertOutbox: """
        INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                                     idempotency_key)
        SELECT $2, r.aggregate_type, r.aggregate_id, r.event_type, r.payload, r.idempotency_key
          FROM jsonb_populate_record(NULL::dispatch_outbox, $1) r
    """,
}
OUTBOX_KEY_TAKEN = "SELECT EXISTS (SELECT FROM dispatch_outbox WHERE idempotency_key = $1)"


async def write(conn: Connection, tenant_id: str, change: Write) -> None:
    """Execute one write of a decision within its transaction."""
    await conn.execute(STATEMENTS[type(change)], change.model_dump(mode="json"), tenant_id)


async def taken_outbox_key(conn: Connection, writes: tuple[Write, ...]) -> InsertOutbox | None:
    """Return the first message whose idempotency key exists already, or None."""
    for change in writes:
        if isinstance(change, InsertOutbox) and await conn.fetchval(
            OUTBOX_KEY_TAKEN, change.idempotency_key
        ):
            return change
    return None
