"""What the model is told, and what it is compared with."""

SEEN = """
SELECT c.correlation_id, c.submitted_at, c.decided_at, a.id AS audit_id,
       (SELECT id FROM approvals WHERE ticket_id = c.ticket_id
         ORDER BY requested_at DESC LIMIT 1) AS approval_id,
       (SELECT id FROM evidence_items WHERE ticket_id = c.ticket_id
         ORDER BY created_at DESC LIMIT 1) AS evidence_id,
       h.id AS snapshot_id, h.hold_sequence_id AS hold_id
  FROM command_log c
  LEFT JOIN audit_events a ON a.command_id = c.command_id
  LEFT JOIN LATERAL (SELECT id, hold_sequence_id FROM schedule_hold_snapshots
                      WHERE ticket_id = c.ticket_id ORDER BY created_at DESC LIMIT 1) h ON true
 WHERE c.command_id = $1
"""
SITE = "SELECT id, account_id, region, timezone FROM sites WHERE id = $1"
TECHNICIANS = """
SELECT t.id, t.name, t.active, t.home_region,
       ARRAY(SELECT skill FROM technician_skills WHERE technician_id = t.id) AS skills,
       ARRAY(SELECT region FROM technician_regions WHERE technician_id = t.id) AS regions
  FROM technicians t WHERE t.tenant_id = 'default'
"""
TICKETS = "SELECT * FROM tickets WHERE id = ANY ($1)"
AUDIT = """
SELECT id, ticket_id, actor_type::text, actor_id, actor_role, tool_name, request_id,
       correlation_id, trace_id, before_state::text, after_state::text, payload, tenant_id,
       command_id, policy_bundle_sha256, created_at, seq, prev_hash, hash
  FROM audit_events WHERE ticket_id = $1 ORDER BY seq
"""
TRANSITIONS = """
SELECT from_state::text, to_state::text, created_at
  FROM ticket_state_transitions WHERE ticket_id = $1 ORDER BY seq
"""
EVIDENCE = """
SELECT id, ticket_id, kind, uri, checksum, metadata, created_by, created_at, content_type,
       size_bytes, object_version_id, retention_until, is_immutable, immutable_reason,
       immutable_by, immutable_at
  FROM evidence_items WHERE ticket_id = $1 ORDER BY created_at, id
"""
LOG = """
SELECT command_id, decision, code, dimension, response_code, response_body
  FROM command_log WHERE correlation_id LIKE $1
"""
STORED = """
SELECT actor_id, endpoint, request_id, request_hash, command_id, response_code, response_body
  FROM idempotency_keys WHERE actor_id LIKE $1
"""
APPROVALS = "SELECT id, status::text, reason FROM approvals WHERE ticket_id = ANY ($1)"
OUTBOX = """
SELECT idempotency_key, payload FROM dispatch_outbox
 WHERE aggregate_type = 'ticket' AND aggregate_id = ANY ($1)
"""
PACKETS = "SELECT ticket_id, artifact_hash FROM closeout_artifacts WHERE ticket_id = ANY ($1)"
