"""dispatch.force_unassign (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.values import Name, PayloadModel, Text


class Payload(PayloadModel):
    """Why the assignment ends."""

    reason: Text | None = None
    reassign_type: Name | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Take the job from whoever has it; the schedule is kept."""
    payload = case.payload
    return case.moved(
        State.SCHEDULED,
        audit={"reason": payload.reason, "reassign_type": payload.reassign_type},
        fields={"assigned_tech_id": None, "assigned_provider_id": None},
    )


TOOL = TicketTool(payload=Payload, decide=decide)
