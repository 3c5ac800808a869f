"""Every command writes exactly the audit keys that the contract lists for it."""

import pytest

from policy.model import State
from tests.unit.facts_builder import allowed, bundle, judge

COMPLETION_KEYS = {
    *("closeout_check", "no_signature_reason", "evidence_refs", "persisted_evidence_count"),
}
HOLD_KEYS = {"hold_snapshot_id", "hold_sequence_id", "confirmation_window", "restored_state"}
CONTROL_KEYS = {
    *("previous_is_paused", "current_is_paused", "control_state_id", "control_history_id", "scope"),
}
KEYS: dict[str, set[str]] = {
    "ticket.create": set(),
    "ticket.blind_intake": {
        *("state_recommendation", "readiness", "identity_signature", "policy"),
        *("sop_handoff_required", "sop_handoff_acknowledged"),
    },
    "ticket.triage": {"workflow_outcome", "derived_transitions"},
    "ticket.request_info": {"questions", "reason"},
    "schedule.propose": {"options", "selected_window_hint", "derived_transitions"},
    "schedule.confirm": {"confirmation_window", "confirmation_ordinal"},
    "assignment.dispatch": {"dispatch_validation"},
    "assignment.recommend": {
        *("service_type", "recommendation_limit", "recommendation_snapshot_id"),
        *("candidate_count", "preferred_window"),
    },
    "schedule.hold": {
        *("hold_snapshot_id", "hold_sequence_id", "hold_reason", "confirmation_window"),
    },
    "schedule.release": HOLD_KEYS,
    "schedule.rollback": HOLD_KEYS | {"reason"},
    "tech.check_in": {"check_in_timestamp", "derived_transitions"},
    "tech.request_change": {"approval_id", "approval_status"},
    "approval.decide": {"approval_id", "decision", "target_state", "notes"},
    "evidence.presign": {"upload_id", "kind", "evidence_key", "object_key"},
    "evidence.finalize": {"evidence_item_id", "upload_id", "object_version_id"},
    "closeout.add_evidence": {"evidence_item_id"},
    "closeout.candidate": COMPLETION_KEYS | {"risk_profile", "evidence_scope"},
    "tech.complete": COMPLETION_KEYS,
    "qa.verify": {
        *("verification_result", "verified_at", "notes"),
        *("verification_closeout_check", "verification_evidence_refs"),
    },
    "billing.generate_invoice": {"invoice_generated"},
    "qa.return": {"reason", "findings"},
    "ticket.reclassify": {
        *("previous_incident_type", "incident_type", "previous_priority", "priority", "reason"),
    },
    "ticket.close": {"reason", "policy_override", "closeout_check"},
    "ticket.force_close": {
        *("reason", "override_code", "approver_role", "policy_override", "invoice_reversal"),
        *("closeout_check", "gate_waived"),
    },
    "ticket.cancel": {"reason", "cancellation_code"},
    "dispatch.force_hold": {"reason", "hold_reason"},
    "dispatch.resume": {"resume_to", "reason", "held_from_state"},
    "dispatch.force_unassign": {"reason", "reassign_type"},
    "dispatch.manual_bypass": {"bypass_rationale", "target_tool", "derived_transitions"},
    "reopen_after_verification": {"reason", "reopen_scope", "invoice_reversal"},
    "closeout.evidence_exception": {
        *("exception_reason", "expires_at", "evidence_refs", "effective"),
    },
    "escalation.acknowledge": {"escalation_ids", "note"},
    "escalation.snooze": {"until", "kind", "reason"},
    "ops.autonomy.pause": CONTROL_KEYS,
    "ops.autonomy.rollback": CONTROL_KEYS,
    "outbox.replay": {"outbox_id"},
}


@pytest.mark.parametrize("tool", bundle().commands)
def test_the_audit_keys_are_exactly_those_of_the_contract(tool: str) -> None:
    state = (bundle().tools[tool].from_states or (State.NEW,))[0]
    effects = allowed(judge(tool, state))
    assert set(effects.audit) == KEYS[tool]
    assert effects.request_recorded is (tool != "outbox.replay")


@pytest.mark.parametrize(
    ("tool", "state"),
    [("ticket.triage", State.TRIAGED), ("schedule.propose", State.READY_TO_SCHEDULE)],
)
def test_a_single_transition_is_not_listed_as_derived(tool: str, state: State) -> None:
    effects = allowed(judge(tool, state))
    assert set(effects.audit) == KEYS[tool] - {"derived_transitions"}


def test_two_transitions_are_listed_in_their_order() -> None:
    effects = allowed(judge("tech.check_in", State.DISPATCHED))
    assert effects.audit["derived_transitions"] == ["DISPATCHED->ON_SITE", "ON_SITE->IN_PROGRESS"]


def test_a_bypass_lists_the_pair_it_writes_if_any() -> None:
    first = allowed(judge("dispatch.manual_bypass", State.IN_PROGRESS))
    again = allowed(judge("dispatch.manual_bypass", State.COMPLETED_PENDING_VERIFICATION))
    pair = "IN_PROGRESS->COMPLETED_PENDING_VERIFICATION"
    assert first.audit["derived_transitions"] == [pair]
    assert (again.audit["derived_transitions"], again.pairs) == ([], ())
