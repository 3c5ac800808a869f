"""The questions that gathering asks of Postgres; the tenant is already set."""

PLACE = """
SELECT EXISTS (SELECT FROM accounts WHERE id = $1) AS account_exists,
       s.id, s.account_id, s.region, s.timezone, s.country, a.site_id AS asset_site_id,
       sla_facts(NULL, $1, $2) AS clock
  FROM (SELECT) one
  LEFT JOIN sites s ON s.id = $2
  LEFT JOIN assets a ON a.id = $3
"""
SITE = "SELECT id, account_id, region, timezone, country FROM sites WHERE id = $1"
TECHNICIAN = """
SELECT t.id, t.name, t.active, t.home_region,
       ARRAY(SELECT skill FROM technician_skills WHERE technician_id = t.id) AS skills,
       ARRAY(SELECT region FROM technician_regions WHERE technician_id = t.id) AS regions
  FROM technicians t WHERE t.id = $1
"""
ASSIGNED_PHONE = "SELECT phone FROM technicians WHERE id = $1"
SNAPSHOT = """
SELECT recommendation_snapshot_id, recommended_tech_id
  FROM assignment_recommendation_snapshots
 WHERE ticket_id = $1 AND recommendation_snapshot_id = $2
"""
APPROVAL = """
SELECT id, status::text, evidence->>'return_state' AS return_state
  FROM approvals WHERE ticket_id = $1 AND id = $2
"""
# No more than every reader of JSON reads as it is.
APPROVED_INCREASE = """
SELECT least(coalesce(sum(amount_delta_cents), 0), 9007199254740991)::bigint FROM approvals
 WHERE ticket_id = $1 AND status = 'APPROVED' AND approval_type = 'NTE_INCREASE'
"""
PENDING_APPROVALS = """
SELECT id FROM approvals WHERE ticket_id = $1 AND status = 'PENDING' ORDER BY created_at, id
"""
EARLIER_CONFIRMATIONS = """
SELECT count(*) FROM audit_events
 WHERE ticket_id = $1 AND tool_name = 'schedule.confirm'
   AND payload->'confirmation_window' = $2
"""
TRANSITIONS = """
SELECT from_state::text, to_state::text, created_at AS occurred_at
  FROM ticket_state_transitions WHERE ticket_id = $1 ORDER BY seq
"""
DUPLICATE_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('intake ' || $1, 0))"
DUPLICATE = """
SELECT id, state::text, created_at FROM tickets
 WHERE account_id = $1 AND site_id = $2 AND identity_signature = $3
   AND state NOT IN ('CLOSED', 'CANCELLED')
 ORDER BY created_at DESC LIMIT 1
"""
# The states are spelled out as in the index idx_tickets_load, or it would not serve.
ENGAGEMENTS = """
SELECT t.id, load AS active_load, coalesce(tickets, '{}') AS overlapping_ticket_ids,
       coalesce(hours, '{}') AS hours
  FROM unnest($1::uuid[]) t (id),
       LATERAL (SELECT count(*) AS load,
                       array_agg(k.id ORDER BY k.id)
                       FILTER (WHERE k.id <> $2 AND scheduled_start < $4 AND scheduled_end > $3)
                       AS tickets
                  FROM tickets k
                 WHERE assigned_tech_id = t.id
                   AND state NOT IN ('COMPLETED_PENDING_VERIFICATION', 'VERIFIED', 'INVOICED',
                                     'CLOSED', 'CANCELLED')) engaged,
       LATERAL (SELECT array_agg(ARRAY[weekday, extract(epoch FROM start_time)::int,
                                       extract(epoch FROM end_time)::int]
                                 ORDER BY weekday, start_time) AS hours
                  FROM technician_availability WHERE technician_id = t.id) available
"""
LADDERS = """
SELECT l.*, s.country FROM ticket_ladders($1) l
  LEFT JOIN tickets t ON t.id = $1 LEFT JOIN sites s ON s.id = t.site_id
"""
CONTROL = """
SELECT id, is_paused, created_at FROM autonomy_control_state
 WHERE scope_type = $1 AND upper(incident_type) IS NOT DISTINCT FROM upper($2)
   AND ticket_id IS NOT DISTINCT FROM $3
"""
SUBJECT = "SELECT account_id, site_id FROM tickets WHERE id = $1"
OUTBOX = """
SELECT o.id, o.status, o.aggregate_type, o.aggregate_id, t.id AS ticket_id
  FROM dispatch_outbox o
  LEFT JOIN tickets t ON o.aggregate_type = 'ticket'
       AND t.id = CASE WHEN pg_input_is_valid(o.aggregate_id, 'uuid') THEN o.aggregate_id::uuid END
 WHERE o.id = $1 FOR UPDATE OF o
"""
