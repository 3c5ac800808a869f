"""tech.complete, closeout.candidate, qa.verify, ticket.close and ticket.force_close."""

from typing import Any
from uuid import UUID

import pytest

from policy.autonomy.model import AutonomyRow
from policy.autonomy.verdict import deciding_row
from policy.canonical import sha256_hex
from policy.codes import Code
from policy.evidence.writes import SealEvidence
from policy.model import Role, State
from policy.ticket.facts import CompletionContext, PastTransition
from policy.ticket.writes import UpsertArtifact
from tests.unit.facts_builder import NOW, actor, allowed, denied, evidence, judge, ticket
from tests.unit.payloads import (
    CHECKLIST,
    COMPLETION,
    EVIDENCE_KEYS,
    PAYLOADS,
    REQUEST,
    TICKET,
)

WHOLE = tuple(evidence(key) for key in EVIDENCE_KEYS)
BYPASS = CompletionContext(tool_name="dispatch.manual_bypass", request={"bypass_rationale": "x"})
PENDING, WORKING = State.COMPLETED_PENDING_VERIFICATION, State.IN_PROGRESS
FORCED = PAYLOADS["ticket.force_close"]
BROKEN = evidence(uri="nowhere", id=UUID(int=50))


def paused(scope: str, *, is_paused: bool = True) -> AutonomyRow:
    return AutonomyRow(
        scope_type=scope,
        incident_type="DOOR_WONT_LATCH" if scope == "INCIDENT" else None,
        ticket_id=TICKET if scope == "TICKET" else None,
        is_paused=is_paused,
        reason="Recall",
    )


@pytest.mark.parametrize("tool", ["tech.complete", "closeout.candidate"])
@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [("GLOBAL", "GLOBAL"), ("INCIDENT", "DOOR_WONT_LATCH"), ("TICKET", str(TICKET))],
)
def test_paused_autonomy_stops_a_completion_before_the_gate(
    tool: str, scope: str, scope_id: str
) -> None:
    denial = denied(judge(tool, WORKING, evidence=(), autonomy=(paused(scope),)))
    assert denial.code is Code.AUTONOMY_DISABLED
    assert denial.details == {
        "dimension": "policy",
        "scope_type": scope,
        "scope_id": scope_id,
        "reason": "Recall",
        "incident_type": "DOOR_WONT_LATCH",
        "ticket_id": str(TICKET),
    }


def test_the_most_specific_control_decides_paused_or_not() -> None:
    rows = (paused("GLOBAL"), paused("TICKET", is_paused=False), paused("INCIDENT"))
    allowed(judge("tech.complete", WORKING, autonomy=rows))
    decides = deciding_row(rows[::2])
    assert decides is not None
    assert decides.scope_type == "INCIDENT"
    assert deciding_row(()) is None


def test_a_completion_without_proof_is_refused() -> None:
    denial = denied(judge("tech.complete", WORKING, {"checklist_status": {}}))
    assert denial.details["requirement_code"] == "MISSING_CHECKLIST"
    assert denial.status == 409


def test_a_completion_records_what_was_claimed() -> None:
    reason = {"no_signature_reason": " Nobody ", "evidence_refs": [WHOLE[0].uri]}
    effects = allowed(judge("tech.complete", WORKING, COMPLETION | reason))
    assert effects.audit["no_signature_reason"] == "Nobody"
    assert effects.audit["evidence_refs"] == [WHOLE[0].uri]
    assert effects.audit["persisted_evidence_count"] == 4
    assert effects.audit["closeout_check"]["ready"] is True


RISKY_TYPES = {
    "CANNOT_SECURE_ENTRY": (
        *("note_risk_mitigation_and_customer_handoff", "photo_before_security_risk"),
        "photo_after_temporary_or_permanent_securement",
    ),
    "FRAME_OR_GLASS_DAMAGE": (
        *("note_safety_actions_and_follow_up_scope", "photo_after_repair_or_board_up"),
        "photo_before_damage_extent",
    ),
    "AUTO_OPERATOR_FAULT": (
        *("note_cycle_and_sensor_tests", "photo_after_operator_and_sensors"),
        "photo_before_operator_and_sensors",
    ),
}


@pytest.mark.parametrize(("incident_type", "keys"), RISKY_TYPES.items())
def test_a_candidate_of_a_risky_type_needs_a_person(
    incident_type: str, keys: tuple[str, ...]
) -> None:
    proof = tuple(evidence(key) for key in (*keys, "signature_or_no_signature_reason"))
    job = ticket(WORKING, incident_type=incident_type.lower())
    denial = denied(judge("closeout.candidate", ticket=job, evidence=proof))
    assert denial.code is Code.MANUAL_REVIEW_REQUIRED
    profile = denial.details["risk_profile"]
    outstanding = denial.details["outstanding"]
    assert not any(outstanding.values())
    told = set(denial.details) - {"risk_profile", "outstanding"}
    assert {name: denial.details[name] for name in told} == {
        "requirement_code": "AUTOMATION_RISK_BLOCK",
        "incident_type": incident_type,
        "template_version": "1.0.0",
        "missing_evidence_keys": [],
        "missing_checklist_keys": [],
        "invalid_evidence_refs": [],
        "excepted_evidence_keys": [],
    }
    assert (profile["level"], profile["evidence_items"]) == ("high", 4)
    assert profile["evidence_keys"] == sorted(proof_key.evidence_key or "" for proof_key in proof)
    hazards = {"AUTO_OPERATOR_FAULT": 1, "FRAME_OR_GLASS_DAMAGE": 2, "CANNOT_SECURE_ENTRY": 3}
    assert len(profile["reasons"]) == hazards[incident_type]
    allowed(judge("tech.complete", ticket=job, evidence=proof))


def test_one_hazardous_key_is_enough_for_a_high_risk() -> None:
    hazard = evidence("photo_before_security_risk", id=UUID(int=60))
    denial = denied(judge("closeout.candidate", WORKING, evidence=(*WHOLE, hazard)))
    assert len(denial.details["risk_profile"]["reasons"]) == 1


def test_a_failed_verification_changes_nothing_and_comes_before_the_gate() -> None:
    payload = {"timestamp": "2026-11-20T12:00:00Z", "result": "FAIL", "notes": "Jams"}
    denial = denied(judge("qa.verify", PENDING, payload, evidence=(), completion=None))
    assert (denial.code, denial.details) == (
        Code.QA_VERIFICATION_FAILED,
        {"ticket_id": str(TICKET), "notes": "Jams"},
    )


@pytest.mark.parametrize(
    ("tool", "state"),
    [("qa.verify", PENDING), ("ticket.close", State.VERIFIED), ("ticket.force_close", PENDING)],
)
def test_without_a_completion_context_nothing_is_verified_or_closed(
    tool: str, state: State
) -> None:
    denial = denied(judge(tool, state, completion=None))
    assert denial.details["requirement_code"] == "MISSING_COMPLETION_CONTEXT"


def test_verification_judges_the_references_of_the_context_and_closing_all_uris() -> None:
    request = {**COMPLETION, "evidence_refs": [WHOLE[0].uri]}
    context = CompletionContext(tool_name="tech.complete", request=request)
    known: dict[str, Any] = {"completion": context, "evidence": (*WHOLE, BROKEN)}
    effects = allowed(judge("qa.verify", PENDING, **known))
    assert effects.audit["verification_evidence_refs"] == [WHOLE[0].uri]
    for tool, state in (("ticket.close", State.INVOICED), ("ticket.force_close", PENDING)):
        denial = denied(judge(tool, state, **known))
        assert denial.details["invalid_evidence_refs"] == ["nowhere"]


@pytest.mark.parametrize(
    ("tool", "state"),
    [("qa.verify", PENDING), ("ticket.close", State.VERIFIED), ("ticket.force_close", PENDING)],
)
def test_judged_evidence_is_sealed(tool: str, state: State) -> None:
    seal = allowed(judge(tool, state)).writes[0]
    assert seal == SealEvidence(
        ticket_id=TICKET, immutable_by="someone", immutable_request_id=REQUEST, immutable_at=NOW
    )


def test_the_closeout_packet_tells_the_whole_story() -> None:
    steps = (PastTransition(from_state=None, to_state=State.NEW, occurred_at=NOW),)
    payload = {"reason": "Done", "closeout_override_code": "C1"}
    effects = allowed(judge("ticket.close", State.VERIFIED, payload, transitions=steps))
    packet = effects.writes[1]
    assert isinstance(packet, UpsertArtifact)
    story = packet.artifact_payload
    assert list(story) == [
        *("ticket_id", "ticket_state", "correlation_id", "closure_reason", "generated_at"),
        *("actor_ids", "override_flags", "timestamps", "evidence_summary"),
        *("required_evidence_checklist_status", "closeout_check", "closeout_context"),
        *("evidence_validation", "evidence_items", "state_history_summary", "evidence"),
    ]
    assert packet.artifact_hash == sha256_hex(dict(story))
    assert (packet.artifact_type, packet.artifact_name) == (
        "closeout_packet",
        f"closeout-{TICKET}.json",
    )
    assert story["override_flags"] == {
        "closeout_override_code": "C1",
        "override_code": None,
        "approver_role": None,
        "override_reason": None,
        "policy_override": False,
    }
    assert story["closeout_context"] == COMPLETION
    assert story["state_history_summary"]["transitions"][-1]["to_state"] == "CLOSED"
    assert all(row["present"] for row in story["evidence_summary"]["required_evidence"])
    assert [row["key"] for row in story["evidence_summary"]["required_checklist"]] == sorted(
        CHECKLIST
    )
    assert all(item["immutable"] for item in story["evidence"])
    assert effects.body is not None
    assert effects.body["closeout_packet"]["artifact_name"] == f"closeout-{TICKET}.json"


@pytest.mark.parametrize(
    ("field", "value", "extras"),
    [
        ("override_code", " C1  ", {"field": "override_code", "min_length": 5}),
        ("override_code", " ", {"field": "override_code", "min_length": 5}),
        ("override_reason", "Too short", {"field": "override_reason", "min_length": 20}),
        ("approver_role", "qa", {"approver_role": "qa"}),
        ("approver_role", 5, {"approver_role": 5}),
    ],
)
def test_a_forced_closing_says_which_of_its_fields_is_wrong(
    field: str, value: object, extras: dict[str, object]
) -> None:
    denial = denied(judge("ticket.force_close", PENDING, {**FORCED, field: value}))
    assert denial.code is Code.INVALID_REQUEST
    assert {name: denial.details[name] for name in extras} == extras


def test_nobody_forces_a_closing_in_a_role_of_somebody_else() -> None:
    denial = denied(judge("ticket.force_close", PENDING, FORCED, actor(Role.APPROVER)))
    assert (denial.code, denial.details) == (
        Code.FORBIDDEN,
        {"approver_role": "dispatcher", "actor_role": "approver"},
    )


def test_a_forced_closing_passes_the_gate_like_any_other() -> None:
    denial = denied(judge("ticket.force_close", PENDING, evidence=()))
    assert denial.details["requirement_code"] == "MISSING_SIGNATURE_CONFIRMATION"
    assert allowed(judge("ticket.force_close", PENDING)).audit["gate_waived"] is False


def test_after_a_manual_bypass_only_an_invalid_reference_refuses() -> None:
    effects = allowed(judge("ticket.force_close", PENDING, completion=BYPASS, evidence=()))
    assert effects.audit["gate_waived"] is True
    assert effects.audit["closeout_check"]["code"] == "MISSING_SIGNATURE_CONFIRMATION"
    denial = denied(judge("ticket.force_close", PENDING, completion=BYPASS, evidence=(BROKEN,)))
    assert denial.details["requirement_code"] == "INVALID_EVIDENCE_REFERENCE"
    assert denial.details["invalid_evidence_refs"] == ["nowhere"]
    untyped = ticket(PENDING, incident_type=None)
    allowed(judge("ticket.force_close", ticket=untyped, completion=BYPASS, evidence=()))
