"""tech.check_in (contract 7.13)."""

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.values import DateTime, JsonObject, PayloadModel, format_datetime


class Payload(PayloadModel):
    """When and where the technician arrived."""

    timestamp: DateTime
    location: JsonObject | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Arrive and start work in one step."""
    audit = {"check_in_timestamp": format_datetime(case.payload.timestamp)}
    return case.moved(State.ON_SITE, State.IN_PROGRESS, audit=audit)


TOOL = TicketTool(payload=Payload, decide=decide)
