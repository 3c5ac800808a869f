"""Messages to deliver, and what is left to see of their delivery."""

from typing import Any
from uuid import UUID

import asyncpg
import orjson

from policy.audit.chain import check_timeline
from policy.audit.shape import timeline_shape
from runtime.postgres.pool import Connection

MESSAGE = """
    INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                                 idempotency_key, created_at)
    SELECT $1, 'ticket', $2, 'schedule.confirm.sms',
           jsonb_build_object('channel', 'SMS', 'to', '15550100', 'body', 'We come at ' || n,
                              'message_key', $2 || ':' || n),
           $2 || ':' || n, now() - interval '1 hour' + n * interval '1 second'
      FROM generate_series(1, $3) n
"""
ROWS = "SELECT * FROM dispatch_outbox ORDER BY created_at, id"
EVENTS = """
    SELECT id, ticket_id, actor_type::text, actor_id, actor_role, tool_name, request_id,
           correlation_id, trace_id, before_state::text, after_state::text, payload, created_at,
           tenant_id, command_id, seq, policy_bundle_sha256, prev_hash, hash
      FROM audit_events WHERE ticket_id IS NOT DISTINCT FROM $1 ORDER BY seq
"""
STATUSES = "SELECT status, count(*)::int FROM dispatch_outbox GROUP BY status"


async def add_messages(
    conn: Connection, aggregate_id: UUID | str, count: int = 1, tenant: str = "default"
) -> None:
    """Add messages to an aggregate, one second apart, the oldest first."""
    await conn.execute(MESSAGE, tenant, str(aggregate_id), count)


async def outbox(conn: Connection) -> list[dict[str, Any]]:
    """Return every message, the oldest first."""
    return [_read(row) for row in await conn.fetch(ROWS)]


async def statuses(conn: Connection) -> dict[str, int]:
    """Return how many messages there are in each status."""
    return {row["status"]: row["count"] for row in await conn.fetch(STATUSES)}


async def timeline(conn: Connection, ticket_id: UUID | None) -> list[dict[str, Any]]:
    """Return the events of a chain, after checking that it is whole."""
    events = [
        {**timeline_shape(_read(row)), "hash": row["hash"]}
        for row in await conn.fetch(EVENTS, ticket_id)
    ]
    assert check_timeline(events) == []
    return events


def _read(row: asyncpg.Record) -> dict[str, Any]:
    return {**row, "payload": orjson.loads(row["payload"])}
