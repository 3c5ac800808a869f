"""closeout.candidate (contract 7.11)."""

from policy.closeout.completion import NEEDS, CompletionPayload, completion_audit, completion_gate
from policy.closeout.risk import risk_profile
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool


def decide(case: TicketCase[CompletionPayload]) -> Decision:
    """Complete the work without a person, if the gate is ready and the risk low."""
    gate = completion_gate(case)
    if isinstance(gate, Denial):
        return gate
    risk = risk_profile(case.bundle.risk, case.facts)
    if risk["level"] == "high":
        details = {
            **gate.details(),
            "requirement_code": "AUTOMATION_RISK_BLOCK",
            "risk_profile": risk,
        }
        return Denial(code=Code.MANUAL_REVIEW_REQUIRED, details=details)
    audit = {
        **completion_audit(case, gate),
        "risk_profile": risk,
        "evidence_scope": {
            "evidence_items": len(case.facts.evidence),
            "evidence_keys": list(gate.provided_evidence_keys),
            "evidence_refs": list(case.payload.evidence_refs),
        },
    }
    return case.moved(State.COMPLETED_PENDING_VERIFICATION, audit=audit)


TOOL = TicketTool(payload=CompletionPayload, decide=decide, needs=NEEDS)
