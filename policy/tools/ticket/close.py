"""ticket.close (contract 7.12)."""

from policy.closeout.closing import NEEDS, closed, closing_gate
from policy.command.effects import Decision
from policy.ticket.case import TicketCase, TicketTool
from policy.values import Name, PayloadModel, Text


class Payload(PayloadModel):
    """Why the ticket is closed."""

    reason: Text | None = None
    closeout_override_code: Name | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Close the ticket, seal its evidence and store the closeout packet."""
    payload, gate = case.payload, closing_gate(case)
    if not gate.ready:
        return gate.denial()
    flags = {
        "closeout_override_code": payload.closeout_override_code,
        "override_code": None,
        "approver_role": None,
        "override_reason": None,
        "policy_override": False,
    }
    audit = {
        "reason": payload.reason,
        "policy_override": False,
        "closeout_check": gate.shape(),
    }
    return closed(case, gate, payload.reason, flags, audit)


TOOL = TicketTool(payload=Payload, decide=decide, needs=NEEDS)
