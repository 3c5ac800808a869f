"""What somebody with the database's keys may do to the records, and which row shows it.

`CHANGES` are (table, statement, change): one row of a closed ticket, $1, is updated and its id
returned. `GONE` are (table, condition): the rows of that ticket to delete.
"""

SECOND_EVENT = "(SELECT id FROM audit_events WHERE ticket_id = $1 AND seq = 2)"
NEWEST = "(SELECT max(seq) FROM audit_events WHERE ticket_id = $1)"

AUDIT = "UPDATE audit_events SET {} WHERE ticket_id = $1 AND seq = 3 RETURNING id"
TRANSITION = (
    "UPDATE ticket_state_transitions SET {} WHERE ticket_id = $1 AND to_state = 'SCHEDULED'"
    " RETURNING id"
)
FIRST_EVIDENCE = (
    "UPDATE evidence_items SET {} WHERE ticket_id = $1 AND uri LIKE '%cycles' RETURNING id"
)
UPLOADED = "UPDATE evidence_items SET {} WHERE ticket_id = $1 AND content_type > '' RETURNING id"
SECRET = "UPDATE evidence_items SET {} WHERE ticket_id = $1 AND checksum = 'c1' RETURNING id"
LATE = "UPDATE evidence_items SET {} WHERE ticket_id = $1 AND uri LIKE '%late' RETURNING id"
PACKET = "UPDATE closeout_artifacts SET {} WHERE ticket_id = $1 RETURNING id"
LOG = (
    "UPDATE command_log SET {} WHERE ticket_id = $1 AND tool_name = 'schedule.confirm'"
    " RETURNING command_id"
)
DENIED = "UPDATE command_log SET {} WHERE ticket_id = $1 AND decision = 'DENY' RETURNING command_id"
ANSWER = (
    "UPDATE idempotency_keys SET {} WHERE command_id = (SELECT command_id FROM command_log"
    " WHERE ticket_id = $1 AND tool_name = 'schedule.confirm') RETURNING id"
)
TICKET = "UPDATE tickets SET {} WHERE id = $1 RETURNING id"
CHANGES = (
    ("audit_events", AUDIT, 'payload = payload || \'{"requested_at": "x"}\''),
    ("audit_events", AUDIT, "actor_id = 'somebody'"),
    ("audit_events", AUDIT, "actor_role = null"),
    ("audit_events", AUDIT, "command_id = gen_random_uuid()"),
    ("audit_events", AUDIT, "after_state = 'CLOSED'"),
    ("audit_events", AUDIT, "tenant_id = 'other'"),
    ("audit_events", AUDIT, "created_at = created_at + interval '1 millisecond'"),
    ("audit_events", AUDIT, "hash = repeat('0', 64)"),
    ("audit_events", AUDIT, "prev_hash = repeat('0', 64)"),
    ("ticket_state_transitions", TRANSITION, "to_state = 'PENDING_CUSTOMER_CONFIRMATION'"),
    ("ticket_state_transitions", TRANSITION, "from_state = 'ON_HOLD'"),
    ("ticket_state_transitions", TRANSITION, "created_at = created_at - interval '1 day'"),
    ("ticket_state_transitions", TRANSITION, f"audit_event_id = {SECOND_EVENT}"),
    ("ticket_state_transitions", TRANSITION, "audit_event_id = gen_random_uuid()"),
    ("evidence_items", FIRST_EVIDENCE, "ticket_id = gen_random_uuid()"),
    ("ticket_state_transitions", TRANSITION, "tenant_id = 'other'"),
    ("evidence_items", FIRST_EVIDENCE, "uri = 's3://evidence/other'"),
    ("evidence_items", FIRST_EVIDENCE, "checksum = 'other'"),
    ("evidence_items", FIRST_EVIDENCE, "kind = 'NOTE'"),
    ("evidence_items", FIRST_EVIDENCE, "metadata = '{}'"),
    ("evidence_items", FIRST_EVIDENCE, "created_by = 'somebody'"),
    ("evidence_items", FIRST_EVIDENCE, "created_at = created_at - interval '1 hour'"),
    ("evidence_items", FIRST_EVIDENCE, "size_bytes = 1"),
    ("evidence_items", FIRST_EVIDENCE, "retention_until = now()"),
    ("evidence_items", FIRST_EVIDENCE, "is_immutable = false"),
    ("evidence_items", FIRST_EVIDENCE, "immutable_by = 'somebody'"),
    ("evidence_items", FIRST_EVIDENCE, "immutable_at = now()"),
    ("evidence_items", SECRET, 'metadata = metadata || \'{"access_code": "9999"}\''),
    ("evidence_items", SECRET, "metadata = metadata || '{\"weight\": 1.6}'"),
    ("evidence_items", UPLOADED, "object_version_id = 'v2'"),
    ("evidence_items", UPLOADED, "checksum = repeat('c', 64)"),
    ("evidence_items", UPLOADED, "content_type = 'text/plain'"),
    ("evidence_items", LATE, "immutable_request_id = gen_random_uuid()"),
    ("closeout_artifacts", PACKET, "artifact_hash = repeat('0', 64)"),
    ("closeout_artifacts", PACKET, "artifact_payload = artifact_payload || '{\"evidence\": []}'"),
    ("closeout_artifacts", PACKET, "created_by = 'somebody'"),
    ("command_log", LOG, "actor_id = 'somebody'"),
    ("command_log", LOG, "decision = 'DENY', code = 'FORBIDDEN'"),
    ("command_log", LOG, "response_code = 409"),
    ("command_log", LOG, "response_text = '{}'"),
    ("command_log", LOG, "response_text = 'no JSON'"),
    ("command_log", LOG, "response_body = '{}'"),
    ("command_log", LOG, "policy_bundle_sha256 = ''"),
    ("command_log", DENIED, "response_body = '{}'"),
    ("command_log", DENIED, "code = 'FORBIDDEN'"),
    ("idempotency_keys", ANSWER, "response_body = response_body || '{\"nte_cents\": 1}'"),
    ("idempotency_keys", ANSWER, "response_code = 201"),
    ("idempotency_keys", ANSWER, "request_hash = repeat('0', 64)"),
    ("idempotency_keys", ANSWER, "actor_id = 'somebody'"),
    ("idempotency_keys", ANSWER, "command_id = gen_random_uuid()"),
    ("tickets", TICKET, "state = 'IN_PROGRESS'"),
    ("tickets", TICKET, "nte_cents = 1"),
    ("tickets", TICKET, "version = version + 1"),
    ("tickets", TICKET, "assigned_tech_id = null"),
    ("tickets", TICKET, "scheduled_end = scheduled_end + interval '1 hour'"),
)
GONE = (
    ("audit_events", "seq = 1"),
    ("audit_events", "seq = 4"),
    ("audit_events", f"seq = {NEWEST}"),
    ("ticket_state_transitions", "to_state = 'TRIAGED'"),
    ("ticket_state_transitions", "to_state = 'CLOSED'"),
    ("evidence_items", "uri LIKE '%late'"),
    ("closeout_artifacts", "true"),
    ("command_log", "tool_name = 'ticket.close'"),
    ("idempotency_keys", "tool_name = 'ticket.close'"),
    ("tickets", "true"),
)
MADE_UP = (
    """
    INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id)
    SELECT ticket_id, 'INVOICED', 'IN_PROGRESS', id FROM audit_events
     WHERE ticket_id = $1 AND seq = 2 RETURNING id
    """,
    "INSERT INTO evidence_items (ticket_id, kind, uri) VALUES ($1, 'PHOTO', 's3://x') RETURNING id",
    """
    INSERT INTO idempotency_keys (actor_id, endpoint, request_id, request_hash, response_code,
                                  response_body)
    VALUES ('a', $1::uuid::text, gen_random_uuid(), 'h', 200, '{}') RETURNING id
    """,
)
