"""schedule.rollback (contract 7.8)."""

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.holds import hold_named, left_hold, missing_hold, not_on_hold
from policy.values import PayloadModel, Text, Uuid


class Payload(PayloadModel):
    """The hold to give up, and why."""

    confirmation_id: Uuid
    reason: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Leave the hold, confirmed or not; this is the way out of a stale one."""
    hold = case.facts.hold
    if hold is None:
        return missing_hold(case)
    if case.payload.confirmation_id != hold.hold_sequence_id:
        details = {**hold_named(hold), "confirmation_id": str(case.payload.confirmation_id)}
        return Denial(code=Code.SCHEDULE_HOLD_STATE_CONFLICT, details=details)
    return left_hold(case, hold, {"reason": case.payload.reason})


TOOL = TicketTool(
    payload=Payload, decide=decide, needs=frozenset({Need.HOLD}), wrong_state=not_on_hold
)
