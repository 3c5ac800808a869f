"""assignment.dispatch, standard and emergency bypass (contract 7.5)."""

from enum import StrEnum
from typing import Any

from policy.assignment.ranking import matches_service, serves_region, service_type_of
from policy.assignment.roster import Technician
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.intake_guard import guard_denial, guard_passed
from policy.ticket.message import ticket_message
from policy.values import BlankableText, Boolean, PayloadModel, Uuid, identifier


class Mode(StrEnum):
    """How a dispatch is justified."""

    STANDARD = "STANDARD"
    EMERGENCY_BYPASS = "EMERGENCY_BYPASS"


class Payload(PayloadModel):
    """Whom to send, and in a bypass why."""

    tech_id: Uuid
    provider_id: Uuid | None = None
    dispatch_mode: Mode | None = None
    dispatch_rationale: BlankableText | None = None
    dispatch_confirmation: Boolean | None = None
    recommendation_snapshot_id: Uuid | None = None
    sop_handoff_acknowledged: Boolean | None = None

    @property
    def bypass(self) -> bool:
        """Whether the emergency bypass is asked for."""
        return self.dispatch_mode is Mode.EMERGENCY_BYPASS

    @property
    def rationale(self) -> str | None:
        """The rationale trimmed; blank counts as missing."""
        return (self.dispatch_rationale or "").strip() or None


def decide(case: TicketCase[Payload]) -> Decision:
    """Send the technician, if every check of contract 7.5 holds in its order."""
    denial = _mode_denial(case) or _guard(case) or _technician_denial(case)
    if denial is not None:
        return denial
    payload, ticket = case.payload, case.ticket
    mode = None if payload.dispatch_mode is None else payload.dispatch_mode.value
    message = ticket_message(
        case,
        event_type="assignment.dispatch.sms",
        hash_fields={
            "from_state": ticket.state.value,
            "to_state": State.DISPATCHED.value,
            "dispatch_mode": mode,
            "tech_id": str(payload.tech_id),
            "provider_id": identifier(payload.provider_id),
            "requires_ready_to_schedule_stage": ticket.state is State.TRIAGED,
        },
        key_suffix=f":{ticket.version + 1}",
        to=ticket.customer_phone,
        body="A technician is on the way to you.",
    )
    passed = guard_passed(case) if _guarded(case) else {}
    validation = _validation(case)
    return case.moved(
        State.DISPATCHED,
        audit={"dispatch_validation": validation},
        counted={"snapshot_id": validation["recommendation_snapshot_id"]},
        writes=(message,),
        fields={
            "assigned_tech_id": payload.tech_id,
            "assigned_provider_id": payload.provider_id,
            **passed,
        },
    )


def _guarded(case: TicketCase[Payload]) -> bool:
    return case.ticket.state is State.TRIAGED and not case.payload.bypass


def _guard(case: TicketCase[Payload]) -> Denial | None:
    return guard_denial(case, case.payload) if _guarded(case) else None


def _mode_denial(case: TicketCase[Payload]) -> Denial | None:
    payload = case.payload
    if case.ticket.state is State.TRIAGED and payload.dispatch_mode is None:
        details = {
            "from_state": State.TRIAGED.value,
            "to_state": State.DISPATCHED.value,
            "allowed_from_states": [State.SCHEDULED.value],
            "allowed_dispatch_modes": [mode.value for mode in Mode],
            **case.ways_on(),
        }
        return Denial(code=Code.INVALID_STATE_TRANSITION, details=details)
    return _bypass_denial(case) if payload.bypass else None


def _bypass_denial(case: TicketCase[Payload]) -> Denial | None:
    payload, incident_type = case.payload, (case.ticket.incident_type or "").strip()
    details: dict[str, Any] = {"dispatch_mode": Mode.EMERGENCY_BYPASS.value}
    missing = [
        {"field": field, "reason": "required for an emergency bypass"}
        for field, value in (
            ("dispatch_rationale", payload.rationale),
            ("dispatch_confirmation", payload.dispatch_confirmation),
        )
        if value is None
    ]
    if missing:
        details |= {"required_confirmation": True, "missing_fields": missing}
    elif not payload.dispatch_confirmation:
        details |= {"dispatch_rationale": payload.rationale, "required_confirmation": True}
    elif incident_type and case.facts.pending_approvals:
        open_approvals = [str(approval) for approval in case.facts.pending_approvals]
        details |= {"incident_type": incident_type, "open_approvals": open_approvals}
    elif incident_type:
        return None
    return Denial(code=Code.ASSIGNMENT_BYPASS_DENIED, details=details)


def _technician_denial(case: TicketCase[Payload]) -> Denial | None:
    payload, facts, technician = case.payload, case.facts, case.facts.technician
    tech = {"tech_id": str(payload.tech_id)}
    snapshot = {"recommendation_snapshot_id": identifier(payload.recommendation_snapshot_id)}
    if payload.recommendation_snapshot_id is not None and facts.snapshot is None:
        return Denial(code=Code.ASSIGNMENT_NOT_FOUND, details=snapshot)
    if technician is None:
        return Denial(code=Code.ASSIGNMENT_NOT_FOUND, details={**tech, **snapshot})
    if not technician.active:
        return Denial(code=Code.TECH_UNAVAILABLE, details=tech)
    if facts.snapshot is not None and facts.snapshot.recommended_tech_id != payload.tech_id:
        recommended = {"recommended_tech_id": str(facts.snapshot.recommended_tech_id)}
        details = {**snapshot, **recommended, **tech}
        return Denial(code=Code.ASSIGNMENT_RECOMMENDATION_MISMATCH, details=details)
    return _fitness_denial(case, technician, tech, snapshot)


def _fitness_denial(
    case: TicketCase[Payload],
    technician: Technician,
    tech: dict[str, Any],
    snapshot: dict[str, Any],
) -> Denial | None:
    service_type = service_type_of(case.ticket)
    if not matches_service(technician.skills, service_type):
        details = {**tech, "service_type": service_type, **snapshot}
        return Denial(code=Code.ASSIGNMENT_CAPABILITY_MISMATCH, details=details)
    region = case.facts.site.region if case.facts.site else None
    if not serves_region(technician.served, region):
        details = {**tech, "ticket_region": region, **snapshot}
        return Denial(code=Code.ASSIGNMENT_ZONE_MISMATCH, details=details)
    return None


def _validation(case: TicketCase[Payload]) -> dict[str, Any]:
    payload = case.payload
    validation = {
        "tech_id": str(payload.tech_id),
        "selected_service_type": service_type_of(case.ticket),
        "recommendation_snapshot_id": identifier(payload.recommendation_snapshot_id),
        "matched_capability": True,
        "matched_zone": True,
        "bypass_used": payload.bypass,
        "bypass_mode": Mode.EMERGENCY_BYPASS.value if payload.bypass else None,
        "dispatch_confirmation": payload.dispatch_confirmation if payload.bypass else None,
    }
    return validation | ({"dispatch_rationale": payload.rationale} if payload.bypass else {})


TOOL = TicketTool(
    payload=Payload,
    decide=decide,
    needs=frozenset({Need.SITE, Need.TECHNICIAN, Need.SNAPSHOT, Need.PENDING_APPROVALS}),
)
