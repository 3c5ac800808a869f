"""dispatch.manual_bypass (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.values import Name, PayloadModel, Text


class Payload(PayloadModel):
    """Why the work counts as complete without a proof."""

    bypass_rationale: Text
    target_tool: Name | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Complete without gate; this becomes the newest completion context, with no checklist."""
    target = State.COMPLETED_PENDING_VERIFICATION
    source = case.ticket.state
    audit = {
        "bypass_rationale": case.payload.bypass_rationale,
        "target_tool": case.payload.target_tool,
        "derived_transitions": [] if source is target else [f"{source}->{target}"],
    }
    return case.moved(target, audit=audit)


TOOL = TicketTool(payload=Payload, decide=decide)
