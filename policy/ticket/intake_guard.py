"""The intake guard: doubtful blind intakes are not scheduled or dispatched (contract 5.4)."""

from typing import Any, Protocol

from policy.codes import Code
from policy.command.effects import Denial
from policy.ticket.case import TicketCase


class _Acknowledging(Protocol):
    @property
    def sop_handoff_acknowledged(self) -> bool | None: ...


def guard_denial(case: TicketCase[Any], payload: _Acknowledging) -> Denial | None:
    """Return why the ticket may not be scheduled or dispatched yet, or None."""
    ticket, intake = case.ticket, case.bundle.intake
    if not (ticket.identity_signature or "").strip():
        return None
    for kind, stored, threshold in (
        ("identity", ticket.identity_confidence or 0, intake.identity_confidence_threshold),
        (
            "classification",
            ticket.classification_confidence or 0,
            intake.classification_confidence_threshold,
        ),
    ):
        if stored < threshold:
            return Denial(
                code=Code(f"LOW_{kind.upper()}_CONFIDENCE"),
                details={
                    "evidence": f"{kind}_confidence_below_threshold",
                    f"{kind}_confidence": stored,
                    f"{kind}_threshold": threshold,
                },
            )
    acknowledged = ticket.sop_handoff_acknowledged or bool(payload.sop_handoff_acknowledged)
    if ticket.sop_handoff_required and not acknowledged:
        return Denial(
            code=Code.SOP_HANDOFF_REQUIRED,
            details={
                "evidence": "sop_handoff_acknowledgment_missing",
                "sop_handoff_prompt": intake.sop_handoff_prompt,
                "identity_signature": ticket.identity_signature,
            },
        )
    return None


def guard_passed(case: TicketCase[Any]) -> dict[str, bool]:
    """Return the fields that a ticket leaves the guard with."""
    if not (case.ticket.identity_signature or "").strip():
        return {}
    return {"sop_handoff_acknowledged": True, "sop_handoff_required": False}
