"""How each kind of write becomes a row: one statement, fed with the write as JSON."""

from collections.abc import Mapping

from policy.autonomy.writes import InsertAutonomyHistory, UpsertAutonomy
from policy.command.writes import Write
from policy.delivery.rows import InsertOutbox, ReplayOutbox
from policy.evidence.writes import (
    FinalizeUpload,
    InsertEvidence,
    InsertException,
    InsertUpload,
    SealEvidence,
)
from policy.ticket.writes import (
    AcknowledgeEscalations,
    CancelApprovals,
    DecideApproval,
    InsertApproval,
    InsertHold,
    InsertRecommendation,
    SnoozeEscalations,
    UpsertArtifact,
)
from runtime.postgres.pool import Connection

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
    InsertUpload: """
        INSERT INTO evidence_uploads (id, tenant_id, ticket_id, bucket, object_key, kind,
                                      evidence_key, content_type, size_bytes, sha256, created_by,
                                      request_id, expires_at, multipart_id, part_bytes)
        SELECT r.id, $2, r.ticket_id, r.bucket, r.object_key, r.kind, r.evidence_key,
               r.content_type, r.size_bytes, r.sha256, r.created_by, r.request_id, r.expires_at,
               r.multipart_id, r.part_bytes
          FROM jsonb_populate_record(NULL::evidence_uploads, $1) r
    """,
    FinalizeUpload: """
        UPDATE evidence_uploads u
           SET finalized_at = r.finalized_at, evidence_item_id = r.evidence_item_id
          FROM jsonb_populate_record(NULL::evidence_uploads, $1) r
         WHERE u.id = r.id AND u.tenant_id = $2
    """,
    InsertException: """
        INSERT INTO evidence_exceptions (tenant_id, ticket_id, evidence_keys, exception_reason,
                                         expires_at, granted_by, granted_role, audit_event_id,
                                         request_id)
        SELECT $2, r.ticket_id, r.evidence_keys, r.exception_reason, r.expires_at, r.granted_by,
               r.granted_role, r.audit_event_id, r.request_id
          FROM jsonb_populate_record(NULL::evidence_exceptions, $1) r
    """,
    InsertRecommendation: """
        INSERT INTO assignment_recommendation_snapshots (
               tenant_id, ticket_id, recommendation_snapshot_id, ticket_state, requested_by,
               request_id, correlation_id, trace_id, recommendation_limit, incident_type,
               site_region, candidates, recommended_tech_id)
        SELECT $2, r.ticket_id, r.recommendation_snapshot_id, r.ticket_state, r.requested_by,
               r.request_id, r.correlation_id, r.trace_id, r.recommendation_limit,
               r.incident_type, r.site_region, r.candidates, r.recommended_tech_id
          FROM jsonb_populate_record(NULL::assignment_recommendation_snapshots, $1) r
    """,
    InsertHold: """
        INSERT INTO schedule_hold_snapshots (
               id, tenant_id, ticket_id, hold_sequence_id, requested_by, request_id,
               correlation_id, hold_reason_code, hold_state, scheduled_start, scheduled_end,
               hold_reason_notes)
        SELECT r.id, $2, r.ticket_id, r.hold_sequence_id, r.requested_by, r.request_id,
               r.correlation_id, r.hold_reason_code, r.hold_state, r.scheduled_start,
               r.scheduled_end, r.hold_reason_notes
          FROM jsonb_populate_record(NULL::schedule_hold_snapshots, $1) r
    """,
    UpsertAutonomy: """
        INSERT INTO autonomy_control_state (
               id, tenant_id, scope_type, incident_type, ticket_id, is_paused, reason, actor_type,
               actor_id, actor_role, request_id, correlation_id, trace_id, created_at, updated_at)
        SELECT r.id, $2, r.scope_type, r.incident_type, r.ticket_id, r.is_paused, r.reason,
               r.actor_type, r.actor_id, r.actor_role, r.request_id, r.correlation_id, r.trace_id,
               r.created_at, r.updated_at
          FROM jsonb_populate_record(NULL::autonomy_control_state, $1) r
        ON CONFLICT (id) DO UPDATE
           SET incident_type = excluded.incident_type, is_paused = excluded.is_paused,
               reason = excluded.reason, actor_type = excluded.actor_type,
               actor_id = excluded.actor_id, actor_role = excluded.actor_role,
               request_id = excluded.request_id, correlation_id = excluded.correlation_id,
               trace_id = excluded.trace_id, updated_at = excluded.updated_at
    """,
    InsertAutonomyHistory: """
        INSERT INTO autonomy_control_history (
               id, tenant_id, control_state_id, scope_type, incident_type, ticket_id, action,
               previous_is_paused, next_is_paused, actor_type, actor_id, actor_role, request_id,
               correlation_id, trace_id, reason, payload)
        SELECT r.id, $2, r.control_state_id, r.scope_type, r.incident_type, r.ticket_id, r.action,
               r.previous_is_paused, r.next_is_paused, r.actor_type, r.actor_id, r.actor_role,
               r.request_id, r.correlation_id, r.trace_id, r.reason, r.payload
          FROM jsonb_populate_record(NULL::autonomy_control_history, $1) r
    """,
    AcknowledgeEscalations: """
        UPDATE ticket_escalations e
           SET acknowledged_by = r->>'acknowledged_by',
               acknowledged_at = (r->>'acknowledged_at')::timestamptz,
               details = e.details || jsonb_strip_nulls(jsonb_build_object('note', r->'note'))
          FROM (SELECT $1::jsonb AS r) one
         WHERE e.id IN (SELECT jsonb_array_elements_text(r->'ids')::uuid) AND e.tenant_id = $2
           AND e.acknowledged_at IS NULL
    """,
    SnoozeEscalations: """
        INSERT INTO ticket_snoozes (ticket_id, tenant_id, kind, snoozed_until, snoozed_by, reason,
                                    updated_at)
        SELECT r.ticket_id, $2, r.kind, r.snoozed_until, r.snoozed_by, r.reason, r.updated_at
          FROM jsonb_populate_record(NULL::ticket_snoozes, $1) r
        ON CONFLICT (ticket_id, kind) DO UPDATE
           SET snoozed_until = excluded.snoozed_until, snoozed_by = excluded.snoozed_by,
               reason = excluded.reason, updated_at = excluded.updated_at
    """,
    ReplayOutbox: """
        UPDATE dispatch_outbox o
           SET status = 'PENDING', attempt_count = 0, next_attempt_at = r.next_attempt_at,
               last_error = NULL, updated_at = r.next_attempt_at
          FROM jsonb_populate_record(NULL::dispatch_outbox, $1) r
         WHERE o.id = r.id AND o.tenant_id = $2
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
