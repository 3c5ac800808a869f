"""reopen_after_verification (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.values import PayloadModel, Text


class Payload(PayloadModel):
    """Why verified work must go on."""

    reason: Text
    reopen_scope: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Back to work; sealed evidence stays sealed."""
    audit = {
        "reason": case.payload.reason,
        "reopen_scope": case.payload.reopen_scope,
        "invoice_reversal": case.ticket.state is State.INVOICED,
    }
    return case.moved(State.IN_PROGRESS, audit=audit)


TOOL = TicketTool(payload=Payload, decide=decide)
