"""ticket.cancel (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.writes import CancelApprovals
from policy.values import Name, PayloadModel, Text


class Payload(PayloadModel):
    """Why the ticket is cancelled."""

    reason: Text
    cancellation_code: Name | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Cancel the ticket: nobody is assigned, nothing is pending any more."""
    cancelled = CancelApprovals(
        ticket_id=case.ticket.id,
        decided_by=case.actor.actor_id,
        decided_at=case.facts.now,
    )
    payload = case.payload
    return case.moved(
        State.CANCELLED,
        audit={"reason": payload.reason, "cancellation_code": payload.cancellation_code},
        writes=(cancelled,),
        fields={"assigned_tech_id": None, "assigned_provider_id": None},
    )


TOOL = TicketTool(payload=Payload, decide=decide)
