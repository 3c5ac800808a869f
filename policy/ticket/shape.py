"""The shape T of a ticket (contract 1.2), key for key."""

from datetime import datetime
from typing import Any

from policy.clock.ticket_clock import ClockFacts, clock_of
from policy.deadlines.sla import resolution_due, sla_at
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.values import format_datetime, identifier, instant


def ticket_shape(
    bundle: Bundle, ticket: Ticket, now: datetime, clock: ClockFacts | None
) -> dict[str, Any]:
    """Return T. `phase` and `escalation_level` are derived for the instant `now`.

    `clock` is what the ticket's SLA clock follows from, None under the standard contract. What of
    it could not be followed is told as `sla_problems`.
    """
    judged_by = clock_of(bundle.sla, ticket, clock)
    sla = sla_at(bundle, resolution_due(judged_by, ticket), ticket.state, now)
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
        "escalation_level": sla.escalation_level,
        **({"sla_problems": list(judged_by.problems)} if judged_by.problems else {}),
    }
