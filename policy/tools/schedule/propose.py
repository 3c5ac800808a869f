"""schedule.propose (contract 7.4)."""

from typing import Annotated, Any

from pydantic import Field

from policy.command.effects import Decision
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.intake_guard import guard_denial, guard_passed
from policy.values import Boolean, PayloadModel, Window, at_most

MOST_OPTIONS = 50


class Payload(PayloadModel):
    """The windows to offer; the first becomes the ticket's own."""

    options: Annotated[
        tuple[Window, ...], Field(min_length=1, max_length=MOST_OPTIONS), at_most(MOST_OPTIONS)
    ]
    sop_handoff_acknowledged: Boolean | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Propose the first window; a triaged ticket passes the intake guard on the way."""
    first = case.payload.options[0]
    fields: dict[str, Any] = {"scheduled_start": first.start, "scheduled_end": first.end}
    states: tuple[State, ...] = (State.SCHEDULE_PROPOSED,)
    if case.ticket.state is State.TRIAGED:
        denial = guard_denial(case, case.payload)
        if denial is not None:
            return denial
        fields |= guard_passed(case)
        states = (State.READY_TO_SCHEDULE, *states)
    audit = {
        "options": [option.answer() for option in case.payload.options],
        "selected_window_hint": first.answer(),
    }
    return case.moved(*states, audit=audit, fields=fields)


TOOL = TicketTool(payload=Payload, decide=decide)
