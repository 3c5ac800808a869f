"""The technician's job packet (contract 10.3): what to do, what to prove, what is missing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from policy.autonomy.verdict import autonomy_denial
from policy.closeout.gate import SIGNATURE_KEY, GateResult, run_gate, stored_attempt
from policy.deadlines.report import sla_shape
from policy.evidence.model import Evidence
from policy.evidence.shape import evidence_shape
from policy.model import Frozen, Role, Ticket
from policy.reads.actions import (
    PACKET_ACTIONS,
    PACKET_MORE_ACTIONS,
    Situation,
    actions_of,
)
from policy.rules.bundle import Bundle
from policy.ticket.facts import TicketFacts
from policy.values import identifier, instant

GATED = ("closeout.candidate", "tech.complete")
LATEST = 10


class Place(Frozen):
    """The site of a job, and whom to ask for there."""

    id: str
    name: str
    timezone: str
    access_instructions: str | None
    address: Mapping[str, str | None]
    contact: Mapping[str, str | None] | None


class Enclosures(NamedTuple):
    """What a packet shows and judges nothing by: the place, the timeline, and thumbnails.

    `thumbnails` are links, by evidence id, that answer where the picture is for a short time.
    `returned` is what quality assurance sent the job back for, until it is completed again.
    """

    place: Place
    events: Sequence[Mapping[str, Any]]
    thumbnails: Mapping[str, str]
    returned: Mapping[str, Any] | None


def job_packet(
    bundle: Bundle, facts: TicketFacts, role: Role, enclosures: Enclosures
) -> dict[str, Any]:
    """Return the packet of the ticket of `facts`."""
    ticket = facts.ticket
    if ticket is None:
        raise LookupError("a packet belongs to a ticket")
    gate = run_gate(bundle, facts, stored_attempt(facts.completion, needed=False), all_uris=True)
    paused = autonomy_denial(facts.autonomy, ticket)
    obstacles = [*(() if gate.ready else (gate.denial(),)), *((paused,) if paused else ())]
    place, events, thumbnails, returned = enclosures
    situation = Situation(role, ticket.state, str(ticket.id), dict.fromkeys(GATED, obstacles))
    return {
        "header": _header(ticket),
        "site_and_access": _site_and_access(place),
        "work_scope": {
            "summary": ticket.summary,
            "customer_description": ticket.description,
            "nte_cents": ticket.nte_cents,
            "authorized_scope_constraints": None,
        },
        "evidence_requirements": {
            **_requirements(bundle, facts, gate),
            "thumbnails": [
                {"evidence_item_id": item, "link_url": url} for item, url in thumbnails.items()
            ],
        },
        "checklist": _checklist(bundle, facts, gate),
        "returned": returned,
        "closeout_gate": {
            **gate.shape(),
            "invalid_evidence_refs": list(gate.invalid_evidence_refs),
            "signature_satisfied": gate.signature_satisfied,
            "no_signature_reason": gate.no_signature_reason,
        },
        "sla": None if facts.clock is None else sla_shape(bundle, ticket, facts.now, facts.clock),
        "timeline": {"events": events, "latest_events": events[-LATEST:]},
        "actions": actions_of(bundle, PACKET_ACTIONS, situation),
        "more_actions": actions_of(bundle, PACKET_MORE_ACTIONS, situation),
    }


def _header(ticket: Ticket) -> dict[str, Any]:
    return {
        "ticket_id": str(ticket.id),
        "priority": ticket.priority.value,
        "incident_type": ticket.incident_type,
        "current_state": ticket.state.value,
        "scheduled_window": {
            "start": instant(ticket.scheduled_start),
            "end": instant(ticket.scheduled_end),
        },
        "assigned_provider_id": identifier(ticket.assigned_provider_id),
        "assigned_tech_id": identifier(ticket.assigned_tech_id),
    }


def _site_and_access(place: Place) -> dict[str, Any]:
    return {
        "site_id": place.id,
        "site_name": place.name,
        "address": place.address,
        "timezone": place.timezone,
        "access_instructions": place.access_instructions,
        "onsite_contact": place.contact,
    }


def _requirements(bundle: Bundle, facts: TicketFacts, gate: GateResult) -> dict[str, Any]:
    """Return what must be proven, whatever kept the gate from getting that far."""
    template = bundle.templates.find(gate.incident_type)
    present = _keys(facts.evidence) | facts.excepted_keys
    if gate.signature_satisfied:
        present |= {SIGNATURE_KEY}
    keys = template.required_evidence_keys if template else ()
    return {
        "template_version": template.version if template else None,
        "required_evidence": [{"key": key, "present": key in present} for key in keys],
        "evidence_items": [evidence_shape(item) for item in facts.evidence],
    }


def _checklist(bundle: Bundle, facts: TicketFacts, gate: GateResult) -> dict[str, Any]:
    template = bundle.templates.find(gate.incident_type)
    keys = template.required_checklist_keys if template else ()
    attempted = facts.completion is not None
    return {
        "required_items": [{"key": key, "checked": key in gate.checked} for key in keys],
        "source": "latest_completion_attempt" if attempted else "none_recorded",
    }


def _keys(evidence: Sequence[Evidence]) -> frozenset[str]:
    return frozenset(item.evidence_key for item in evidence if item.evidence_key)
