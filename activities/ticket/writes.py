"""The statements of all that a ticket's commands may write besides the ticket."""

from activities.command.writes import AUTONOMY, DELIVERY, Statements
from activities.evidence.writes import EVIDENCE
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

TICKET: Statements = {
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
}
WRITES: Statements = {**DELIVERY, **AUTONOMY, **EVIDENCE, **TICKET}
