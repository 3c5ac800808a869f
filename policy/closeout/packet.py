"""The closeout packet that ticket.close stores (contract 9.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

from policy.canonical import sha256_hex
from policy.closeout.gate import SIGNATURE_KEY, GateResult
from policy.evidence.model import Evidence
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.ticket.case import TicketCase
from policy.ticket.writes import UpsertArtifact
from policy.values import instant

ARTIFACT_TYPE = "closeout_packet"


def artifact_name(ticket: Ticket) -> str:
    """Return the file name of the ticket's packet."""
    return f"closeout-{ticket.id}.json"


def closeout_packet(
    case: TicketCase[Any],
    ticket: Ticket,
    gate: GateResult,
    reason: str | None,
    override_flags: Mapping[str, Any],
) -> UpsertArtifact:
    """Return the packet of a ticket that is being closed; evidence stands in it as sealed."""
    context = case.facts.completion
    required = requirements(case.bundle, gate)
    payload: dict[str, Any] = {
        "ticket_id": str(ticket.id),
        "ticket_state": ticket.state.value,
        "correlation_id": case.command.correlation_id,
        "closure_reason": reason,
        "generated_at": instant(case.facts.now),
        "actor_ids": _actor(case),
        "override_flags": dict(override_flags),
        "timestamps": _timestamps(case, ticket),
        "evidence_summary": _evidence_summary(case, gate, required),
        "required_evidence_checklist_status": _checklist_status(gate, required),
        "closeout_check": gate.shape(),
        "closeout_context": None if context is None else dict(context.request),
        "evidence_validation": _validation(gate),
        "evidence_items": len(case.facts.evidence),
        "state_history_summary": _history(case, ticket),
        "evidence": [_item(item) for item in case.facts.evidence],
    }
    return UpsertArtifact(
        ticket_id=ticket.id,
        artifact_type=ARTIFACT_TYPE,
        artifact_name=artifact_name(ticket),
        artifact_hash=sha256_hex(payload),
        artifact_payload=payload,
        created_by=case.actor.actor_id,
        request_id=case.request_uuid,
        correlation_id=case.command.correlation_id,
        trace_id=case.command.trace_id,
    )


def requirements(bundle: Bundle, gate: GateResult) -> dict[str, Any]:
    """Return the required keys of the ticket's type, each with whether it is there.

    They are listed also where the gate stopped before it came to the template.
    """
    template = bundle.templates.find(gate.incident_type)
    evidence: Sequence[str] = template.required_evidence_keys if template else ()
    checklist: Sequence[str] = template.required_checklist_keys if template else ()
    present = {*gate.provided_evidence_keys, *gate.excepted_evidence_keys}
    if gate.signature_satisfied:
        present.add(SIGNATURE_KEY)
    return {
        "required_evidence": [{"key": key, "present": key in present} for key in evidence],
        "required_checklist": [{"key": key, "present": key in gate.checked} for key in checklist],
    }


def _actor(case: TicketCase[Any]) -> dict[str, str]:
    return {
        "actor_id": case.actor.actor_id,
        "actor_type": case.actor.actor_type.value,
        "actor_role": case.actor.actor_role.value,
    }


def _timestamps(case: TicketCase[Any], ticket: Ticket) -> dict[str, str | None]:
    return {
        "generated_at": instant(case.facts.now),
        "ticket_created_at": instant(ticket.created_at),
        "ticket_updated_at": instant(ticket.updated_at),
        "close_transition_at": instant(case.facts.now),
    }


def _evidence_summary(
    case: TicketCase[Any], gate: GateResult, required: Mapping[str, Any]
) -> dict[str, Any]:
    count = len(case.facts.evidence)
    return {
        "total_items": count,
        "immutable_items": count,
        **required,
        "evidence_items": count,
        "provided_evidence_keys": list(gate.provided_evidence_keys),
    }


def _checklist_status(gate: GateResult, required: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **gate.shape(),
        **_validation(gate),
        "no_signature_reason": gate.no_signature_reason,
        **required,
    }


def _validation(gate: GateResult) -> dict[str, Any]:
    return {
        "signature_satisfied": gate.signature_satisfied,
        "invalid_evidence_refs": list(gate.invalid_evidence_refs),
    }


def _item(item: Evidence) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "kind": item.kind,
        "uri": item.uri,
        "checksum": item.checksum,
        "evidence_key": item.evidence_key,
        "immutable": True,
    }


def _history(case: TicketCase[Any], ticket: Ticket) -> dict[str, Any]:
    past = [(step.from_state, step.to_state, step.occurred_at) for step in case.facts.transitions]
    past.append((case.ticket.state, ticket.state, case.facts.now))
    return {
        "ticket_id": str(ticket.id),
        "transition_count": len(past),
        "transitions": [
            {"from_state": source, "to_state": target, "occurred_at": instant(moment)}
            for source, target, moment in past
        ],
    }
