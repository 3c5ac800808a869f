"""Cross-checks of the command log and the stored answers, in SQL.

A statement yields table, row id, ticket id and problem of each fault. Its parameters: ticket and
tenant to look at (null: all), audit rows that broke a chain, tickets that miss audit rows.
"""

_GIVEN = """
WITH given AS NOT MATERIALIZED (
    SELECT $1::uuid AS ticket, $2::text AS tenant, $3::uuid[] AS suspects, $4::uuid[] AS torn
)
"""

# An allowed command without its audit row. A repeat of a key may share the first one's.
_LOST_BY_COMMAND = """
SELECT 'audit_events', NULL::uuid, c.ticket_id,
       format('the row of command %s (%s) is gone', c.command_id, c.tool_name)
  FROM given, command_log c
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR c.tenant_id = given.tenant)
   AND c.decision = 'ALLOW'
   AND NOT EXISTS (SELECT FROM audit_events a WHERE a.command_id = c.command_id)
   AND NOT EXISTS (SELECT FROM audit_events a
                    WHERE a.request_id = c.request_id AND a.actor_id = c.actor_id)
"""
# A transition without its audit row, in a ticket whose commands all have theirs.
_LOST_BY_TRANSITION = """
SELECT DISTINCT ON (s.audit_event_id) 'audit_events', s.audit_event_id, s.ticket_id,
       format('gone, but transition %s refers to it', s.id)
  FROM given, ticket_state_transitions s
 WHERE (given.ticket IS NULL OR s.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR s.tenant_id = given.tenant)
   AND NOT s.ticket_id = ANY (given.torn)
   AND NOT EXISTS (SELECT FROM audit_events a WHERE a.id = s.audit_event_id)
"""

_LOG_GONE = """
SELECT 'command_log', a.command_id, a.ticket_id, format('gone; audit seq %s is what it did', a.seq)
  FROM given, audit_events a
 WHERE (given.ticket IS NULL OR a.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR a.tenant_id = given.tenant)
   AND a.command_id IS NOT NULL AND NOT a.id = ANY (given.suspects)
   AND NOT EXISTS (SELECT FROM command_log c WHERE c.command_id = a.command_id)
"""
_LOG_AND_AUDIT = """
SELECT 'command_log', c.command_id, c.ticket_id,
       format('%s not as audit seq %s recorded', coalesce(d.names, 'the answer is'), a.seq)
  FROM given, audit_events a
  JOIN command_log c ON c.command_id = a.command_id
 CROSS JOIN LATERAL (
    SELECT string_agg(key, ', ' ORDER BY key) AS names
      FROM jsonb_each(to_jsonb(c)) l
      JOIN jsonb_each(to_jsonb(a) || jsonb_build_object('endpoint', a.payload->'endpoint')) r
     USING (key)
     WHERE l.value <> r.value
 ) d
 WHERE (given.ticket IS NULL OR a.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR a.tenant_id = given.tenant)
   AND NOT a.id = ANY (given.suspects)
   AND ((c.tenant_id, c.tool_name, c.endpoint, c.actor_type, c.actor_id, c.actor_role,
         c.request_id, c.correlation_id, c.trace_id, c.policy_bundle_sha256)
        IS DISTINCT FROM
        (a.tenant_id, a.tool_name, a.payload->>'endpoint', a.actor_type, a.actor_id, a.actor_role,
         a.request_id, a.correlation_id, a.trace_id, a.policy_bundle_sha256)
        OR c.ticket_id <> a.ticket_id
        OR c.decision IS DISTINCT FROM 'ALLOW' OR c.code IS NOT NULL OR c.dimension IS NOT NULL
        OR c.response_code IS NULL OR c.response_code NOT BETWEEN 200 AND 299
        OR coalesce(c.response_body->'ticket'->>'state', c.response_body->>'state')
           <> a.after_state::text)
"""
_LOG_ITSELF = """
SELECT 'command_log', c.command_id, c.ticket_id,
       CASE WHEN (c.decision IS NULL) <> (c.decided_at IS NULL)
            THEN 'decision and decided_at contradict each other'
            ELSE 'response_text, response_body and code contradict each other' END
  FROM given, command_log c
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR c.tenant_id = given.tenant)
   AND ((c.decision IS NULL) <> (c.decided_at IS NULL)
        OR CASE WHEN pg_input_is_valid(c.response_text, 'jsonb')
                THEN c.response_text::jsonb IS DISTINCT FROM c.response_body
                ELSE c.decision IS NOT NULL OR c.response_text IS NOT NULL END
        OR c.decision = 'DENY' AND c.code IS DISTINCT FROM c.response_body->'error'->>'code')
"""
_ANSWER_GONE = """
SELECT 'idempotency_keys', NULL::uuid, c.ticket_id,
       format('the stored answer of command %s (%s) is gone', c.command_id, c.tool_name)
  FROM given, command_log c
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR c.tenant_id = given.tenant)
   AND c.decision = 'ALLOW' AND c.actor_type <> 'SYSTEM'
   AND NOT EXISTS (SELECT FROM idempotency_keys i WHERE i.command_id = c.command_id)
   AND NOT EXISTS (SELECT FROM idempotency_keys i
                    WHERE i.actor_id = c.actor_id AND i.endpoint = c.endpoint
                      AND i.request_id = c.request_id)
"""
# The log's text and body bear each other out, so it is the third that was changed.
_ANSWER_AND_LOG = """
SELECT 'idempotency_keys', i.id, c.ticket_id,
       format('%s not as command %s answered', d.names, c.command_id)
  FROM given, idempotency_keys i
  JOIN command_log c ON c.command_id = i.command_id
 CROSS JOIN LATERAL (
    SELECT string_agg(key, ', ' ORDER BY key) AS names
      FROM jsonb_each(to_jsonb(i)) l JOIN jsonb_each(to_jsonb(c)) r USING (key)
     WHERE l.value <> r.value
 ) d
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR i.tenant_id = given.tenant)
   AND (i.tenant_id, i.actor_id, i.endpoint, i.request_id, i.request_hash, i.response_code,
        i.response_body)
       IS DISTINCT FROM
       (c.tenant_id, c.actor_id, c.endpoint, c.request_id, c.request_hash, c.response_code,
        c.response_body)
   AND NOT c.command_id = ANY (given.suspects)
"""
_ANSWER_STRAY = """
SELECT 'idempotency_keys', i.id, NULL::uuid, 'no command gave this answer'
  FROM given, idempotency_keys i
 WHERE given.ticket IS NULL AND (given.tenant IS NULL OR i.tenant_id = given.tenant)
   AND NOT EXISTS (SELECT FROM command_log c WHERE c.command_id = i.command_id)
   AND NOT EXISTS (SELECT FROM audit_events a WHERE a.command_id = i.command_id)
"""
# The ticket against the newest answer that showed it.
_TICKET_AND_ANSWER = """
SELECT 'tickets', t.id, t.id, format('%s not as version %s was answered', d.names, s.version)
  FROM given, tickets t
 CROSS JOIN LATERAL (
    SELECT shown, (shown->>'version')::bigint AS version
      FROM command_log c,
           LATERAL (SELECT CASE WHEN c.response_body->'ticket' ? 'nte_cents'
                                THEN c.response_body->'ticket' ELSE c.response_body END) b (shown)
     WHERE c.ticket_id = t.id AND c.decision = 'ALLOW' AND shown ? 'nte_cents'
     ORDER BY version DESC LIMIT 1
 ) s
 CROSS JOIN LATERAL (
    SELECT string_agg(key, ', ' ORDER BY key) AS names
      FROM jsonb_each(to_jsonb(t)) l JOIN jsonb_each(s.shown) r USING (key)
     WHERE CASE WHEN key IN ('scheduled_start', 'scheduled_end', 'created_at')
                THEN date_trunc('milliseconds', (l.value#>>'{}')::timestamptz)
                     IS DISTINCT FROM (r.value#>>'{}')::timestamptz
                WHEN key IN ('identity_confidence', 'classification_confidence')
                THEN coalesce(nullif(l.value, 'null'), '0') <> r.value
                ELSE l.value <> r.value AND key <> 'updated_at' END
 ) d
 WHERE (given.ticket IS NULL OR t.id = given.ticket)
   AND (given.tenant IS NULL OR t.tenant_id = given.tenant)
   AND NOT t.id = ANY (given.torn) AND d.names IS NOT NULL
"""


def _complete(*statements: str) -> tuple[str, ...]:
    return tuple(_GIVEN + statement for statement in statements)


# In the order in which they run: what one finds, the next ones leave out.
LOST_ROWS = _complete(_LOST_BY_COMMAND, _LOST_BY_TRANSITION)
LOG_CHECKS = _complete(_LOG_GONE, _LOG_AND_AUDIT, _LOG_ITSELF)
ANSWER_CHECKS = _complete(_ANSWER_GONE, _ANSWER_AND_LOG, _ANSWER_STRAY, _TICKET_AND_ANSWER)
