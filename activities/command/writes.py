"""How each kind of write becomes a row: one statement, fed with the write as JSON."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from policy.autonomy.writes import InsertAutonomyHistory, UpsertAutonomy
from policy.command.writes import Write
from policy.delivery.rows import InsertOutbox, ReplayOutbox
from runtime.postgres.pool import Connection

Statements: TypeAlias = Mapping[type[Write], str]
"""By the kind of write: $1 is the write as JSON, $2 the tenant."""
DELIVERY: Statements = {
    InsertOutbox: """
        INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                                     idempotency_key)
        SELECT $2, r.aggregate_type, r.aggregate_id, r.event_type, r.payload, r.idempotency_key
          FROM jsonb_populate_record(NULL::dispatch_outbox, $1) r
    """,
    ReplayOutbox: """
        UPDATE dispatch_outbox o
           SET status = 'PENDING', attempt_count = 0, next_attempt_at = r.next_attempt_at,
               last_error = NULL, updated_at = r.next_attempt_at
          FROM jsonb_populate_record(NULL::dispatch_outbox, $1) r
         WHERE o.id = r.id AND o.tenant_id = $2
    """,
}
AUTONOMY: Statements = {
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
}
OUTBOX_KEY_TAKEN = "SELECT EXISTS (SELECT FROM dispatch_outbox WHERE idempotency_key = $1)"


async def write(
    conn: Connection, statements: Statements, tenant_id: str, changes: Iterable[Write]
) -> None:
    """Execute the writes of a decision, in their order, within its transaction."""
    for change in changes:
        await conn.execute(statements[type(change)], change.model_dump(mode="json"), tenant_id)


async def taken_outbox_key(conn: Connection, changes: Iterable[Write]) -> InsertOutbox | None:
    """Return the first message whose idempotency key exists already, or None."""
    for change in changes:
        if isinstance(change, InsertOutbox) and await conn.fetchval(
            OUTBOX_KEY_TAKEN, change.idempotency_key
        ):
            return change
    return None
