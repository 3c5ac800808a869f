"""The risk of a closeout: what a person must look at before it counts (contract 9.7)."""

from typing import Any

from policy.rules.bundle import RiskRules
from policy.ticket.facts import TicketFacts


def risk_profile(rules: RiskRules, facts: TicketFacts) -> dict[str, Any]:
    """Return the risk profile of the ticket of `facts`; it is high with the first reason."""
    stored = (facts.ticket.incident_type if facts.ticket else None) or ""
    incident_type = stored.strip().upper()
    keys = sorted({row.evidence_key for row in facts.evidence if row.evidence_key})
    reasons = [f"evidence {key} tells of a hazard" for key in keys if key in rules.evidence_keys]
    if incident_type in rules.incident_types:
        reasons.insert(0, f"incident type {incident_type} is high risk")
    return {
        "level": "high" if reasons else "low",
        "reasons": reasons,
        "evidence_keys": keys,
        "evidence_items": len(facts.evidence),
        "incident_type": incident_type,
    }
