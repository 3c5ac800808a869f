"""The answer shapes T, E and V of contract 1.2, key for key."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from policy.clock.ticket_clock import ClockFacts
from policy.deadlines.sla import sla_of
from policy.model import Actor, Ticket
from policy.rules.bundle import Bundle
from policy.ticket.facts import Evidence
from policy.values import format_datetime


def instant(moment: datetime | None) -> str | None:
    """Return the answer form of a moment that may be missing."""
    return None if moment is None else format_datetime(moment)


def identifier(value: object | None) -> str | None:
    """Return an id as text, or None."""
    return None if value is None else str(value)


def actor_shape(actor: Actor, tool_name: str) -> dict[str, Any]:
    """Return A."""
    return {
        "actor_id": actor.actor_id,
        "actor_role": actor.actor_role.value,
        "actor_type": actor.actor_type.value,
        "tool_name": tool_name,
    }


def ticket_shape(
    bundle: Bundle, ticket: Ticket, now: datetime, clock: ClockFacts | None
) -> dict[str, Any]:
    """Return T. `phase` and `escalation_level` are derived for the instant `now`.

    `clock` is what the ticket's SLA clock follows from, None under the standard contract.
    """
    return {
        "id": str(ticket.id),
        "account_id": str(ticket.account_id),
        "site_id": str(ticket.site_id),
        "asset_id": identifier(ticket.asset_id),
        "state": ticket.state.value,
        "priority": ticket.priority.value,
        "incident_type": ticket.incident_type,
        "summary": ticket.summary,
        "description": ticket.description,
        "customer_name": ticket.customer_name,
        "customer_phone": ticket.customer_phone,
        "customer_email": ticket.customer_email,
        "nte_cents": ticket.nte_cents,
        "scheduled_start": instant(ticket.scheduled_start),
        "scheduled_end": instant(ticket.scheduled_end),
        "identity_signature": ticket.identity_signature,
        "identity_confidence": ticket.identity_confidence or 0,
        "classification_confidence": ticket.classification_confidence or 0,
        "sop_handoff_required": ticket.sop_handoff_required,
        "sop_handoff_acknowledged": ticket.sop_handoff_acknowledged,
        "sop_handoff_prompt": ticket.sop_handoff_prompt,
        "assigned_provider_id": identifier(ticket.assigned_provider_id),
        "assigned_tech_id": identifier(ticket.assigned_tech_id),
        "version": ticket.version,
        "created_at": format_datetime(ticket.created_at),
        "updated_at": format_datetime(ticket.updated_at),
        "phase": bundle.phase_of[ticket.state],
        "escalation_level": sla_of(bundle, ticket, now, clock).escalation_level,
    }


def evidence_shape(item: Evidence) -> dict[str, Any]:
    """Return E."""
    return {
        "id": str(item.id),
        "ticket_id": str(item.ticket_id),
        "kind": item.kind,
        "uri": item.uri,
        "checksum": item.checksum,
        "is_immutable": item.is_immutable,
        "immutable_reason": item.immutable_reason,
        "immutable_by": item.immutable_by,
        "immutable_at": instant(item.immutable_at),
        "metadata": dict(item.metadata),
        "created_by": item.created_by,
        "created_at": format_datetime(item.created_at),
        "content_type": item.content_type,
        "size_bytes": item.size_bytes,
        "object_version_id": item.object_version_id,
        "retention_until": instant(item.retention_until),
    }


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
