"""ops.autonomy.rollback (contract 7.15)."""

from policy.autonomy.control import ControlPayload, control
from policy.command.case import Case, CommandTool
from policy.command.effects import Decision
from policy.ticket.facts import Need


def decide(case: Case[ControlPayload]) -> Decision:
    """Let automation go on in a scope, also where it was never paused."""
    return control(case, paused=False)


TOOL = CommandTool(payload=ControlPayload, decide=decide, needs=frozenset({Need.CONTROL}))
