"""billing.generate_invoice (contract 7.13)."""

from policy.case import Case, CommandTool
from policy.effects import Decision
from policy.model import State
from policy.values import EmptyPayload


def decide(case: Case[EmptyPayload]) -> Decision:
    """Record that the verified work was invoiced."""
    return case.moved(State.INVOICED, audit={"invoice_generated": True})


TOOL = CommandTool(payload=EmptyPayload, decide=decide)
