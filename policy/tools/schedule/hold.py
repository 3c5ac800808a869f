"""schedule.hold (contract 7.8)."""

from typing import Any

from policy.canonical import canonical_bytes
from policy.command.effects import Decision, Denial
from policy.model import State, Ticket
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.holds import HoldReason, hold_conflict
from policy.ticket.writes import InsertHold
from policy.values import PayloadModel, Window


class Payload(PayloadModel):
    """What the visit waits for, and when the customer should have confirmed."""

    hold_reason: HoldReason
    confirmation_window: Window


def decide(case: TicketCase[Payload]) -> Decision:
    """Wait for the customer; state and schedule are kept in a snapshot."""
    payload, ticket = case.payload, case.ticket
    snapshot_id, hold_id = case.facts.new_ids
    said: dict[str, Any] = {
        "hold_reason": payload.hold_reason.value,
        "hold_sequence_id": str(hold_id),
        "confirmation_window": payload.confirmation_window.answer(),
    }
    hold = InsertHold(
        id=snapshot_id,
        ticket_id=ticket.id,
        hold_sequence_id=hold_id,
        requested_by=case.actor.actor_id,
        request_id=case.request_uuid,
        correlation_id=case.command.correlation_id,
        hold_reason_code=payload.hold_reason.value,
        hold_state=ticket.state.value,
        scheduled_start=ticket.scheduled_start,
        scheduled_end=ticket.scheduled_end,
        hold_reason_notes=canonical_bytes(said).decode(),
    )

    def body(after: Ticket) -> dict[str, Any]:
        return {
            "ticket": case.shape(after),
            "hold_id": str(hold_id),
            "snapshot_id": str(snapshot_id),
            "hold_state": ticket.state.value,
            "confirmation_window": said["confirmation_window"],
        }

    audit = {"hold_snapshot_id": str(snapshot_id), **said}
    return case.moved(State.PENDING_CUSTOMER_CONFIRMATION, audit=audit, writes=(hold,), body=body)


def wrong_state(case: TicketCase[Payload]) -> Denial:
    """Return the denial of a hold in another state."""
    return hold_conflict(case, State.PENDING_CUSTOMER_CONFIRMATION.value)


TOOL = TicketTool(payload=Payload, decide=decide, wrong_state=wrong_state)
