"""tech.complete (contract 7.11)."""

from policy.closeout.completion import NEEDS, CompletionPayload, completion_audit, completion_gate
from policy.command.effects import Decision, Denial
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool


def decide(case: TicketCase[CompletionPayload]) -> Decision:
    """Complete the work once the closeout gate is ready."""
    gate = completion_gate(case)
    if isinstance(gate, Denial):
        return gate
    return case.moved(State.COMPLETED_PENDING_VERIFICATION, audit=completion_audit(case, gate))


TOOL = TicketTool(payload=CompletionPayload, decide=decide, needs=NEEDS)
