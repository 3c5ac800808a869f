"""What ticket.close and ticket.force_close share (contract 7.12)."""

from collections.abc import Mapping
from typing import Any

from policy.closeout.gate import GateResult, run_gate, stored_attempt
from policy.closeout.packet import ARTIFACT_TYPE, artifact_name, closeout_packet
from policy.closeout.sealing import seal
from policy.model import State, Ticket
from policy.ticket.case import TicketCase
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Need

NEEDS = frozenset({Need.EVIDENCE, Need.COMPLETION, Need.TRANSITIONS, Need.LOOK_UPS})


def closing_gate(case: TicketCase[Any]) -> GateResult:
    """Return the gate's verdict on the newest completion and every stored uri."""
    attempt = stored_attempt(case.facts.completion)
    return run_gate(case.bundle, case.facts, attempt, all_uris=True)


def closed(
    case: TicketCase[Any],
    gate: GateResult,
    reason: str | None,
    override_flags: Mapping[str, Any],
    audit: dict[str, Any],
) -> TicketEffects:
    """Return the effects of closing: CLOSED, evidence sealed, closeout packet stored."""
    after = case.changed(state=State.CLOSED)

    def body(ticket: Ticket) -> dict[str, Any]:
        packet = {"artifact_type": ARTIFACT_TYPE, "artifact_name": artifact_name(ticket)}
        return {"ticket": case.shape(ticket), "closeout_packet": packet}

    packet = closeout_packet(case, after, gate, reason, override_flags)
    return case.moved(
        State.CLOSED,
        audit=audit,
        writes=(seal(case), packet),
        body=body,
        counted={"override_code": override_flags["override_code"]},
    )
