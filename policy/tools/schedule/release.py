"""schedule.release (contract 7.8)."""

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.deadlines.hold_notes import notes_of, window_of
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.holds import hold_named, left_hold, missing_hold, not_on_hold
from policy.values import PayloadModel, Uuid


class Payload(PayloadModel):
    """The hold that the customer has confirmed."""

    customer_confirmation_id: Uuid


def decide(case: TicketCase[Payload]) -> Decision:
    """Leave the hold because the customer confirmed in time."""
    hold = case.facts.hold
    if hold is None:
        return missing_hold(case)
    if case.payload.customer_confirmation_id != hold.hold_sequence_id:
        details = {**hold_named(hold), "confirmation_log": notes_of(hold)}
        return Denial(code=Code.HOLD_CONFIRMATION_MISSING, details=details)
    window = window_of(hold)
    if window is None or case.facts.now > window.end:
        asked = None if window is None else window.answer()
        details = {**hold_named(hold), "confirmation_window": asked}
        return Denial(code=Code.CUSTOMER_CONFIRMATION_STALE, details=details)
    return left_hold(case, hold, {})


TOOL = TicketTool(
    payload=Payload, decide=decide, needs=frozenset({Need.HOLD}), wrong_state=not_on_hold
)
