"""tech.request_change (contract 7.7)."""

from typing import Any, Literal

from policy.command.effects import Decision
from policy.model import State, Ticket
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.writes import InsertApproval
from policy.values import Cents, PayloadModel, Text, TextList, format_datetime


class Payload(PayloadModel):
    """What must be approved before work goes on."""

    approval_type: Literal["NTE_INCREASE", "PROPOSAL"]
    reason: Text
    amount_delta_cents: Cents | None = None
    evidence_refs: TextList = ()


def decide(case: TicketCase[Payload]) -> Decision:
    """Ask for an approval; an approved one leads back to IN_PROGRESS."""
    payload = case.payload
    approval = InsertApproval(
        id=case.facts.new_ids[0],
        ticket_id=case.ticket.id,
        requested_by=case.actor.actor_id,
        requested_at=case.facts.now,
        approval_type=payload.approval_type,
        amount_delta_cents=payload.amount_delta_cents,
        reason=payload.reason,
        evidence={
            "source": "tech.request_change",
            "return_state": State.IN_PROGRESS,
            "evidence_refs": list(payload.evidence_refs),
        },
    )

    def body(ticket: Ticket) -> dict[str, Any]:
        return {
            "ticket": case.shape(ticket),
            "approval": {
                "id": str(approval.id),
                "status": "PENDING",
                "approval_type": approval.approval_type,
                "amount_delta_cents": approval.amount_delta_cents,
                "reason": approval.reason,
                "requested_at": format_datetime(approval.requested_at),
            },
        }

    audit = {"approval_id": str(approval.id), "approval_status": "PENDING"}
    return case.moved(State.APPROVAL_REQUIRED, audit=audit, writes=(approval,), body=body)


TOOL = TicketTool(payload=Payload, decide=decide)
