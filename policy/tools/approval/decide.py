"""approval.decide (contract 7.7)."""

from typing import Literal

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.writes import DecideApproval
from policy.values import PayloadModel, Text, Uuid


class Payload(PayloadModel):
    """The decision on one pending approval."""

    approval_id: Uuid
    decision: Literal["APPROVED", "DENIED"]
    notes: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Approve, and go back to where the request came from, or deny, and go back to TRIAGED."""
    payload, approval = case.payload, case.facts.approval
    if approval is None:
        return Denial(code=Code.APPROVAL_NOT_FOUND)
    if approval.status != "PENDING":
        return Denial(code=Code.APPROVAL_NOT_PENDING)
    target = State.TRIAGED
    if payload.decision == "APPROVED":
        back = approval.return_state or State.READY_TO_SCHEDULE
        if back not in {State.READY_TO_SCHEDULE, State.IN_PROGRESS}:
            return Denial(
                code=Code.INVALID_APPROVAL_TARGET_STATE,
                details={"return_state": approval.return_state},
            )
        target = State(back)
    decided = DecideApproval(
        id=approval.id,
        status=payload.decision,
        decided_by=case.actor.actor_id,
        decided_at=case.facts.now,
        reason=payload.notes,
    )
    audit = {
        "approval_id": str(approval.id),
        "decision": payload.decision,
        "target_state": target.value,
        "notes": payload.notes,
    }
    return case.moved(target, audit=audit, writes=(decided,))


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.APPROVAL}))
