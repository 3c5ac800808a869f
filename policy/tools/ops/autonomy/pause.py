"""ops.autonomy.pause (contract 7.15)."""

from policy.autonomy.control import ControlPayload, control
from policy.command.case import Case, CommandTool
from policy.command.effects import Decision
from policy.ticket.facts import Need


def decide(case: Case[ControlPayload]) -> Decision:
    """Stop automation in a scope."""
    return control(case, paused=True)


TOOL = CommandTool(payload=ControlPayload, decide=decide, needs=frozenset({Need.CONTROL}))
