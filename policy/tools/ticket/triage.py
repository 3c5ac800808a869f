"""ticket.triage (contract 7.3)."""

from typing import Any, Literal

from policy.command.effects import Decision
from policy.command.writes import Write
from policy.model import Priority, State
from policy.rules.vocabulary import type_warnings
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.intake_guard import guard_denial, guard_passed
from policy.ticket.writes import InsertApproval
from policy.values import Boolean, Cents, Name, PayloadModel, Text

Outcome = Literal[State.TRIAGED, State.READY_TO_SCHEDULE, State.APPROVAL_REQUIRED]


class Payload(PayloadModel):
    """Priority and incident type, and where the ticket goes from here."""

    priority: Priority
    incident_type: Name
    nte_cents: Cents | None = None
    workflow_outcome: Outcome | None = None
    ready_to_schedule: Boolean | None = None
    requires_approval: Boolean | None = None
    approval_reason: Text = "TRIAGE_REQUIRES_APPROVAL"
    approval_amount_delta_cents: Cents | None = None
    sop_handoff_acknowledged: Boolean | None = None

    @property
    def target(self) -> State:
        """The state that the payload asks for."""
        if self.workflow_outcome is not None:
            return self.workflow_outcome
        if self.requires_approval:
            return State.APPROVAL_REQUIRED
        return State.READY_TO_SCHEDULE if self.ready_to_schedule else State.TRIAGED


def decide(case: TicketCase[Payload]) -> Decision:
    """Set priority and type, and move towards approval or scheduling."""
    payload, ticket, target = case.payload, case.ticket, case.payload.target
    if ticket.state is State.TRIAGED and target is State.TRIAGED:
        return case.illegal(to_state=State.TRIAGED)
    fields: dict[str, Any] = {
        "priority": payload.priority,
        "incident_type": payload.incident_type,
        "nte_cents": ticket.nte_cents if payload.nte_cents is None else payload.nte_cents,
    }
    if target is State.READY_TO_SCHEDULE:
        denial = guard_denial(case, payload)
        if denial is not None:
            return denial
        fields |= guard_passed(case)
    states = (target,) if State.TRIAGED in {ticket.state, target} else (State.TRIAGED, target)
    audit = {"workflow_outcome": target.value}
    body = case.told(type_warnings(case.bundle, payload.incident_type))
    return case.moved(
        *states, audit=audit, writes=_approval(case, target), fields=fields, body=body
    )


def _approval(case: TicketCase[Payload], target: State) -> tuple[Write, ...]:
    if target is not State.APPROVAL_REQUIRED:
        return ()
    return (
        InsertApproval(
            id=case.facts.new_ids[0],
            ticket_id=case.ticket.id,
            requested_by=case.actor.actor_id,
            requested_at=case.facts.now,
            approval_type="NTE_INCREASE",
            amount_delta_cents=case.payload.approval_amount_delta_cents,
            reason=case.payload.approval_reason,
            evidence={"source": "ticket.triage", "return_state": State.READY_TO_SCHEDULE},
        ),
    )


TOOL = TicketTool(payload=Payload, decide=decide)
