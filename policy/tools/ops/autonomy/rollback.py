"""ops.autonomy.rollback (contract 7.15)."""

from policy.autonomy.control import ControlPayload, control
from policy.command.effects import Decision
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need


def decide(case: TicketCase[ControlPayload]) -> Decision:
    """Let automation go on in a scope, also where it was never paused."""
    return control(case, paused=False)


TOOL = TicketTool(payload=ControlPayload, decide=decide, needs=frozenset({Need.CONTROL}))
