"""ops.autonomy.pause (contract 7.15)."""

from policy.autonomy.control import ControlPayload, control
from policy.command.effects import Decision
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need


def decide(case: TicketCase[ControlPayload]) -> Decision:
    """Stop automation in a scope."""
    return control(case, paused=True)


TOOL = TicketTool(payload=ControlPayload, decide=decide, needs=frozenset({Need.CONTROL}))
