"""The shape V of an audit row (contract 1.2), key for key: exactly this is hashed."""

from collections.abc import Mapping
from typing import Any

from policy.values import format_datetime, identifier


def timeline_shape(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return V without `hash`, from a row of `audit_events`; exactly this is hashed (13.2)."""
    return {
        "id": str(row["id"]),
        "ticket_id": identifier(row["ticket_id"]),
        "actor_type": row["actor_type"],
        "actor_id": row["actor_id"],
        "actor_role": row["actor_role"],
        "tool_name": row["tool_name"],
        "request_id": str(row["request_id"]),
        "correlation_id": row["correlation_id"],
        "trace_id": row["trace_id"],
        "before_state": row["before_state"],
        "after_state": row["after_state"],
        "payload": row["payload"],
        "created_at": format_datetime(row["created_at"]),
        "tenant_id": row["tenant_id"],
        "command_id": identifier(row["command_id"]),
        "seq": row["seq"],
        "policy_bundle_sha256": row["policy_bundle_sha256"],
        "prev_hash": row["prev_hash"],
    }
