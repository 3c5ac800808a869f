"""ticket.reclassify: urgency and diagnosis change in real life (contract 7.17)."""

from typing import Any, Self

from pydantic import model_validator

from policy.command.effects import Decision
from policy.command.payload import invalid_request
from policy.model import Priority
from policy.rules.vocabulary import type_warnings
from policy.ticket.case import TicketCase, TicketTool
from policy.values import ClosedPayload, Name, Text


class Payload(ClosedPayload):
    """What the ticket is from now on, and why; what is not named stays."""

    incident_type: Name | None = None
    priority: Priority | None = None
    reason: Text

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.incident_type is None and self.priority is None:
            raise ValueError("incident_type or priority is needed, or both")
        return self


def decide(case: TicketCase[Payload]) -> Decision:
    """Change type, priority or both; what follows from them is judged by the new ones at once."""
    payload, ticket = case.payload, case.ticket
    fields: dict[str, Any] = {
        "incident_type": payload.incident_type or ticket.incident_type,
        "priority": payload.priority or ticket.priority,
    }
    if fields == {"incident_type": ticket.incident_type, "priority": ticket.priority}:
        return invalid_request(case.command.tool, [("", "nothing would change")])
    audit = {
        "previous_incident_type": ticket.incident_type,
        "incident_type": fields["incident_type"],
        "previous_priority": ticket.priority.value,
        "priority": fields["priority"].value,
        "reason": payload.reason,
    }
    body = case.told(type_warnings(case.bundle, payload.incident_type))
    return case.moved(ticket.state, audit=audit, fields=fields, body=body)


TOOL = TicketTool(payload=Payload, decide=decide)
