"""Cross-checks of the command log and the stored answers, in SQL.

A statement takes the ticket and the tenant to look at (null: all). It yields table, row id, ticket
id and problem of each fault, and the witness: the id of the row that the judgement relies on.
"""

_GIVEN = "WITH given AS NOT MATERIALIZED (SELECT $1::uuid AS ticket, $2::text AS tenant)"

# An allowed command without its audit row. A repeat of a key may share the first one's.
_LOST_ROWS = """
SELECT 'audit_events', NULL::uuid, c.ticket_id,
       format('the row of command %s (%s) is gone', c.command_id, c.tool_name), c.command_id
  FROM given, command_log c
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR c.tenant_id = given.tenant)
   AND c.decision = 'ALLOW'
   AND NOT EXISTS (SELECT FROM audit_events a WHERE a.command_id = c.command_id)
   AND NOT EXISTS (SELECT FROM audit_events a
                    WHERE a.request_id = c.request_id AND a.actor_id = c.actor_id)
"""

# A transition of one ticket, tied to an audit row of another.
_MISPLACED_TRANSITIONS = """
SELECT 'ticket_state_transitions', s.id, a.ticket_id,
       format('ticket_id is not that of audit seq %s, which it names', a.seq), a.id
  FROM given, ticket_state_transitions s
  JOIN audit_events a ON a.id = s.audit_event_id
 WHERE (given.ticket IS NULL OR given.ticket IN (s.ticket_id, a.ticket_id))
   AND (given.tenant IS NULL OR given.tenant IN (s.tenant_id, a.tenant_id))
   AND s.ticket_id IS DISTINCT FROM a.ticket_id
"""
_LOG_GONE = """
SELECT 'command_log', a.command_id, a.ticket_id,
       format('gone; audit seq %s is what it did', a.seq), a.id
  FROM given, audit_events a
 WHERE (given.ticket IS NULL OR a.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR a.tenant_id = given.tenant)
   AND a.command_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM command_log c WHERE c.command_id = a.command_id)
"""
_LOG_AND_AUDIT = """
SELECT 'command_log', c.command_id, c.ticket_id,
       format('%s not as audit seq %s recorded', coalesce(d.names, 'the answer is'), a.seq), a.id
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
            ELSE 'response_text, response_body and code contradict each other' END, NULL::uuid
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
       format('the stored answer of command %s (%s) is gone', c.command_id, c.tool_name),
       c.command_id
  FROM given, command_log c
 WHERE (given.ticket IS NULL OR c.ticket_id = given.ticket)
   AND (given.tenant IS NULL OR c.tenant_id = given.tenant)
   AND c.decision = 'ALLOW' AND c.actor_type <> 'SYSTEM'
   AND NOT EXISTS (SELECT FROM idempotency_keys i WHERE i.command_id = c.command_id)
   AND NOT EXISTS (SELECT FROM idempotency_keys i
                    WHERE i.tenant_id = c.tenant_id AND i.actor_id = c.actor_id
                      AND i.endpoint = c.endpoint AND i.request_id = c.request_id)
"""
# The log's text and body bear each other out, so it is the third that was changed.
_ANSWER_AND_LOG = """
SELECT 'idempotency_keys', i.id, c.ticket_id,
       format('%s not as command %s answered', d.names, c.command_id), c.command_id
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
"""
_ANSWER_STRAY = """
SELECT 'idempotency_keys', i.id, NULL::uuid, 'no command gave this answer', NULL::uuid
  FROM given, idempotency_keys i
 WHERE given.ticket IS NULL AND (given.tenant IS NULL OR i.tenant_id = given.tenant)
   AND NOT EXISTS (SELECT FROM command_log c WHERE c.command_id = i.command_id)
   AND NOT EXISTS (SELECT FROM audit_events a WHERE a.command_id = i.command_id)
"""
# The ticket against the newest answer that showed it: the highest version of the last few.
_TICKET_AND_ANSWER = """
SELECT 'tickets', t.id, t.id, format('%s not as version %s was answered', d.names, s.version), t.id
  FROM given, tickets t
 CROSS JOIN LATERAL (
    SELECT body AS shown, (body->>'version')::bigint AS version
      FROM (SELECT body
              FROM (SELECT response_body FROM command_log c
                     WHERE c.ticket_id = t.id AND c.decision = 'ALLOW'
                     ORDER BY c.decided_at DESC OFFSET 0) newest,
                   LATERAL (SELECT coalesce(response_body->'ticket', response_body) AS body) b
             WHERE body ? 'nte_cents' LIMIT 3) last
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
   AND d.names IS NOT NULL
"""


def _complete(*statements: str) -> tuple[str, ...]:
    return tuple(f"{_GIVEN}{statement}" for statement in statements)


# In the order in which they count: a row that one names is no witness for the next.
LOST_ROWS = _complete(_LOST_ROWS, _MISPLACED_TRANSITIONS)
LOG_CHECKS = _complete(
    _LOG_GONE,
    _LOG_AND_AUDIT,
    _LOG_ITSELF,
    _ANSWER_GONE,
    _ANSWER_AND_LOG,
    _ANSWER_STRAY,
    _TICKET_AND_ANSWER,
)
