"""dispatch.resume (contract 7.13)."""

from typing import Any, Literal

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.values import PayloadModel, Text

NOBODY_AND_NO_TIME = (
    *("assigned_tech_id", "assigned_provider_id"),
    *("scheduled_start", "scheduled_end"),
)


class Payload(PayloadModel):
    """Whether the work goes on or is scheduled anew."""

    resume_to: Literal[State.IN_PROGRESS, State.READY_TO_SCHEDULE]
    reason: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Go on, or forget assignment and schedule and start over."""
    target = case.payload.resume_to
    fields: dict[str, Any] = {}
    if target is State.READY_TO_SCHEDULE:
        fields = dict.fromkeys(NOBODY_AND_NO_TIME)
    held_from = next(
        (
            step.from_state.value
            for step in reversed(case.facts.transitions)
            if step.to_state is State.ON_HOLD and step.from_state is not None
        ),
        None,
    )
    audit = {
        "resume_to": target.value,
        "reason": case.payload.reason,
        "held_from_state": held_from,
    }
    return case.moved(target, audit=audit, fields=fields)


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.TRANSITIONS}))
