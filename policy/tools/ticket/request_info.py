"""ticket.request_info (contract 7.3)."""

from typing import Annotated, Any

from pydantic import Field

from policy.command.effects import Decision
from policy.model import State, Ticket
from policy.ticket.case import TicketCase, TicketTool
from policy.values import PayloadModel, Text, at_most

MOST_QUESTIONS = 20


class Payload(PayloadModel):
    """What must be asked before the ticket can be triaged."""

    questions: Annotated[
        tuple[Text, ...], Field(min_length=1, max_length=MOST_QUESTIONS), at_most(MOST_QUESTIONS)
    ]
    reason: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Wait for answers; ticket.triage leads out again."""
    questions = list(case.payload.questions)

    def body(ticket: Ticket) -> dict[str, Any]:
        return {"ticket": case.shape(ticket), "questions": questions}

    audit = {"questions": questions, "reason": case.payload.reason}
    return case.moved(State.NEEDS_INFO, audit=audit, body=body)


TOOL = TicketTool(payload=Payload, decide=decide)
