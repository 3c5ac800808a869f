"""What tech.complete and closeout.candidate share: payload, checks and audit (contract 7.11)."""

from typing import Any

from policy.autonomy.verdict import autonomy_denial
from policy.closeout.gate import Attempt, GateResult, run_gate
from policy.command.effects import Denial
from policy.ticket.case import TicketCase
from policy.ticket.facts import Need
from policy.values import BlankableText, JsonObject, PayloadModel, TextList

NEEDS = frozenset({Need.AUTONOMY, Need.EVIDENCE, Need.LOOK_UPS})


class CompletionPayload(PayloadModel):
    """What was done, and the reason if nobody signed."""

    checklist_status: JsonObject
    no_signature_reason: BlankableText | None = None
    evidence_refs: TextList = ()

    @property
    def reason(self) -> str | None:
        """The reason trimmed; blank counts as missing."""
        return (self.no_signature_reason or "").strip() or None


def completion_gate(case: TicketCase[CompletionPayload]) -> GateResult | Denial:
    """Return the gate's verdict on the payload, or why the completion is refused."""
    paused = autonomy_denial(case.facts.autonomy, case.ticket)
    if paused is not None:
        return paused
    attempt = Attempt(
        checklist=case.payload.checklist_status,
        no_signature_reason=case.payload.reason,
        evidence_refs=case.payload.evidence_refs,
    )
    gate = run_gate(case.bundle, case.facts, attempt)
    return gate if gate.ready else gate.denial()


def completion_audit(case: TicketCase[CompletionPayload], gate: GateResult) -> dict[str, Any]:
    """Return the audit keys of a completion."""
    return {
        "closeout_check": gate.shape(),
        "no_signature_reason": case.payload.reason,
        "evidence_refs": list(case.payload.evidence_refs),
        "persisted_evidence_count": len(case.facts.evidence),
    }
