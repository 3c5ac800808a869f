"""What gateway and worker ask of Postgres in the same words."""

SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
EXCEPTIONS = """
SELECT DISTINCT unnest(evidence_keys) AS key FROM evidence_exceptions
 WHERE ticket_id = $1 AND granted_role IN ('qa', 'approver') AND expires_at > now()
"""
COMPLETION = """
SELECT tool_name, payload->'request' AS request FROM audit_events
 WHERE ticket_id = $1 AND after_state = 'COMPLETED_PENDING_VERIFICATION'
   AND tool_name IN ('tech.complete', 'closeout.candidate', 'dispatch.manual_bypass')
 ORDER BY seq DESC LIMIT 1
"""
AUTONOMY = """
SELECT scope_type, incident_type, ticket_id, is_paused, reason FROM autonomy_control_state
 WHERE scope_type = 'GLOBAL' OR ticket_id = $1
    OR (scope_type = 'INCIDENT' AND upper(incident_type) = upper($2))
"""
NEWEST_HOLD = """
SELECT id, hold_sequence_id, hold_state, scheduled_start, scheduled_end, hold_reason_notes,
       created_at
  FROM schedule_hold_snapshots WHERE ticket_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1
"""
