"""qa.verify (contract 7.13)."""

from typing import Literal

from policy.closeout.gate import run_gate, stored_attempt
from policy.closeout.sealing import seal
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.values import DateTime, PayloadModel, Text, format_datetime


class Payload(PayloadModel):
    """The verdict of quality assurance."""

    timestamp: DateTime
    result: Literal["PASS", "FAIL"]
    notes: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Verify the completion and seal its evidence."""
    payload = case.payload
    if payload.result == "FAIL":
        details = {"ticket_id": str(case.ticket.id), "notes": payload.notes}
        return Denial(code=Code.QA_VERIFICATION_FAILED, details=details)
    attempt = stored_attempt(case.facts.completion)
    gate = run_gate(case.bundle, case.facts, attempt)
    if not gate.ready:
        return gate.denial()
    audit = {
        "verification_result": payload.result,
        "verified_at": format_datetime(payload.timestamp),
        "notes": payload.notes,
        "verification_closeout_check": gate.shape(),
        "verification_evidence_refs": list(attempt.evidence_refs),
    }
    return case.moved(State.VERIFIED, audit=audit, writes=(seal(case),))


TOOL = TicketTool(
    payload=Payload,
    decide=decide,
    needs=frozenset({Need.EVIDENCE, Need.COMPLETION, Need.LOOK_UPS}),
)
