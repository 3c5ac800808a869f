"""dispatch.force_hold (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.holds import HoldReason
from policy.values import PayloadModel, Text


class Payload(PayloadModel):
    """Why the work stops."""

    hold_reason: HoldReason | None = None
    reason: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Stop the work; assignment and schedule are kept."""
    hold_reason = case.payload.hold_reason
    audit = {
        "reason": case.payload.reason,
        "hold_reason": None if hold_reason is None else hold_reason.value,
    }
    return case.moved(State.ON_HOLD, audit=audit)


TOOL = TicketTool(payload=Payload, decide=decide)
