"""The intake guard: doubtful intakes stay in triage."""

from typing import Any

import pytest

from policy.codes import Code
from policy.model import State
from tests.unit.facts_builder import allowed, denied, judge, ticket
from tests.unit.payloads import TECH, WINDOW

DOUBTFUL = {
    "identity_signature": "known",
    "identity_confidence": 84,
    "classification_confidence": 84,
    "sop_handoff_required": True,
}
GUARDED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ticket.triage", {"priority": "URGENT", "incident_type": "Door", "ready_to_schedule": True}),
    ("schedule.propose", {"options": [WINDOW]}),
    ("assignment.dispatch", {"tech_id": str(TECH), "dispatch_mode": "STANDARD"}),
)
GUARD_LADDER: tuple[tuple[dict[str, Any], Code], ...] = (
    ({}, Code.LOW_IDENTITY_CONFIDENCE),
    ({"identity_confidence": None}, Code.LOW_IDENTITY_CONFIDENCE),
    ({"identity_confidence": 85}, Code.LOW_CLASSIFICATION_CONFIDENCE),
    ({"identity_confidence": 85, "classification_confidence": 85}, Code.SOP_HANDOFF_REQUIRED),
)


@pytest.mark.parametrize(("tool", "payload"), GUARDED)
@pytest.mark.parametrize(("fields", "code"), GUARD_LADDER)
def test_a_doubtful_intake_is_stopped_on_its_way_out_of_triage(
    tool: str, payload: dict[str, Any], fields: dict[str, Any], code: Code
) -> None:
    job = ticket(State.TRIAGED, **DOUBTFUL | fields)
    assert denied(judge(tool, payload=payload, ticket=job)).code is code


@pytest.mark.parametrize(("tool", "payload"), GUARDED)
def test_an_acknowledgement_in_row_or_payload_lets_it_pass_for_good(
    tool: str, payload: dict[str, Any]
) -> None:
    sure = DOUBTFUL | {"identity_confidence": 85, "classification_confidence": 85}
    acknowledged = {**payload, "sop_handoff_acknowledged": True}
    for body, fields in ((acknowledged, {}), (payload, {"sop_handoff_acknowledged": True})):
        after = allowed(judge(tool, payload=body, ticket=ticket(State.TRIAGED, **sure | fields)))
        assert after.ticket is not None
        assert after.ticket.sop_handoff_acknowledged
        assert not after.ticket.sop_handoff_required


@pytest.mark.parametrize(("tool", "payload"), GUARDED)
def test_a_ticket_without_a_signature_has_no_guard(tool: str, payload: dict[str, Any]) -> None:
    job = ticket(State.TRIAGED, **DOUBTFUL | {"identity_signature": " "})
    after = allowed(judge(tool, payload=payload, ticket=job)).ticket
    assert after is not None
    assert after.sop_handoff_required


def test_the_guard_says_what_it_compared() -> None:
    job = ticket(State.TRIAGED, **DOUBTFUL)
    details = denied(judge("schedule.propose", ticket=job)).details
    assert details == {
        "evidence": "identity_confidence_below_threshold",
        "identity_confidence": 84,
        "identity_threshold": 85,
    }
