"""Customer holds: their reasons, their notes and the way out of them (contract 7.8)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from policy.codes import Code
from policy.command.effects import Denial
from policy.deadlines.hold_notes import HoldSnapshot, window_of
from policy.model import State, Ticket
from policy.ticket.case import TicketCase
from policy.ticket.effects import TicketEffects
from policy.values import instant

HOLD_EXPIRED = "hold_expired"


class HoldReason(StrEnum):
    """Why a visit waits."""

    CUSTOMER_PENDING = "CUSTOMER_PENDING"
    CUSTOMER_UNREACHABLE = "CUSTOMER_UNREACHABLE"
    CUSTOMER_CONFIRMATION_STALE = "CUSTOMER_CONFIRMATION_STALE"


def hold_conflict(case: TicketCase[Any], to_state: str | None) -> Denial:
    """Return the denial of a hold tool in the wrong state."""
    details = {"from_state": case.ticket.state.value, "to_state": to_state, **case.ways_on()}
    return Denial(code=Code.SCHEDULE_HOLD_STATE_CONFLICT, details=details)


def not_on_hold(case: TicketCase[Any]) -> Denial:
    """Return the denial of leaving a hold that the ticket does not rest in."""
    return hold_conflict(case, case.facts.hold.hold_state if case.facts.hold else None)


def hold_named(hold: HoldSnapshot) -> dict[str, Any]:
    """Return the two ids that every answer about a hold gives."""
    return {"snapshot_id": str(hold.id), "hold_id": str(hold.hold_sequence_id)}


def missing_hold(case: TicketCase[Any]) -> Denial:
    """Return the denial when the ticket has no hold to leave."""
    details = {"ticket_id": str(case.ticket.id)}
    return Denial(code=Code.HOLD_SNAPSHOT_MISSING, details=details)


def left_hold(
    case: TicketCase[Any], hold: HoldSnapshot, reason: Mapping[str, str | None]
) -> TicketEffects | Denial:
    """Return the effects of restoring state and schedule, with `reason` in answer and audit."""
    if (case.ticket.state, hold.hold_state) not in case.bundle.pairs:
        details = {**hold_named(hold), "target_state": hold.hold_state}
        return Denial(code=Code.HOLD_SNAPSHOT_MISSING, details=details)
    window = window_of(hold)

    def body(ticket: Ticket) -> dict[str, Any]:
        return {
            "ticket": case.shape(ticket),
            "hold_id": str(hold.hold_sequence_id),
            "snapshot_id": str(hold.id),
            **reason,
            "restored_state": hold.hold_state,
            "restored_window": {
                "start": instant(hold.scheduled_start),
                "end": instant(hold.scheduled_end),
            },
        }

    audit = {
        "hold_snapshot_id": str(hold.id),
        "hold_sequence_id": str(hold.hold_sequence_id),
        "confirmation_window": window.answer() if window else None,
        "restored_state": hold.hold_state,
        **reason,
    }
    schedule = {"scheduled_start": hold.scheduled_start, "scheduled_end": hold.scheduled_end}
    return case.moved(State(hold.hold_state), audit=audit, body=body, fields=schedule)
