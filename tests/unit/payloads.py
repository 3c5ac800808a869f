"""The smallest valid payload of every command, and the ids and times that are named in it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from policy.model import Role

START, END = "2026-11-21T09:00:00.000Z", "2026-11-21T11:00:00.000Z"
WINDOW = {"start": START, "end": END}
SHA256 = "ab" * 32


def uuid_of(number: int) -> UUID:
    """Return a readable id."""
    return UUID(int=number)


TICKET, ACCOUNT, SITE, TECH = uuid_of(1), uuid_of(2), uuid_of(3), uuid_of(4)
APPROVAL, HOLD, SNAPSHOT_ROW, UPLOAD, OUTBOX = (uuid_of(number) for number in range(5, 10))
AUDIT, REQUEST, COMMAND = uuid_of(10), uuid_of(11), uuid_of(12)
NEW_IDS = (uuid_of(13), uuid_of(14))
UPLOAD_KEY = f"evidence/default/{TICKET}/{UPLOAD}/{SHA256}"
UPLOAD_URI = f"s3://evidence/{UPLOAD_KEY}"
CHECKLIST = dict.fromkeys(
    (
        *("billing_authorization", "onsite_photos_after", "parts_used_or_needed"),
        *("resolution_status", "work_performed"),
    ),
    True,
)
EVIDENCE_KEYS = (
    *("note_adjustments_and_test_cycles", "photo_after_latched_alignment"),
    *("photo_before_door_edge_and_strike", "signature_or_no_signature_reason"),
)
INTAKE = {
    "account_id": str(ACCOUNT),
    "site_id": str(SITE),
    "summary": "Door does not latch",
    "incident_type": "DOOR_WONT_LATCH",
    "customer_name": "Ada",
    "priority": "ROUTINE",
    "identity_confidence": 90,
    "classification_confidence": 90,
    "contact_phone": "+1 555 0100",
    "sop_handoff_acknowledged": True,
}
COMPLETION = {"checklist_status": CHECKLIST}
PAYLOADS: Mapping[str, dict[str, Any]] = {
    "ticket.create": {"account_id": str(ACCOUNT), "site_id": str(SITE), "summary": "Door"},
    "ticket.blind_intake": INTAKE,
    "ticket.triage": {
        "priority": "URGENT",
        "incident_type": "DOOR_WONT_LATCH",
        "workflow_outcome": "READY_TO_SCHEDULE",
    },
    "ticket.request_info": {"questions": ["Which door?"]},
    "schedule.propose": {"options": [WINDOW]},
    "schedule.confirm": WINDOW,
    "assignment.dispatch": {"tech_id": str(TECH), "dispatch_mode": "STANDARD"},
    "assignment.recommend": {"service_type": "DOOR_WONT_LATCH"},
    "schedule.hold": {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": WINDOW},
    "schedule.release": {"customer_confirmation_id": str(HOLD)},
    "schedule.rollback": {"confirmation_id": str(HOLD)},
    "tech.check_in": {"timestamp": START},
    "tech.request_change": {"approval_type": "PROPOSAL", "reason": "A new strike is needed"},
    "approval.decide": {"approval_id": str(APPROVAL), "decision": "APPROVED"},
    "evidence.presign": {
        "kind": "PHOTO",
        "content_type": "image/jpeg",
        "size_bytes": 7,
        "sha256": SHA256,
    },
    "evidence.finalize": {"uri": UPLOAD_URI},
    "closeout.add_evidence": {"kind": "PHOTO", "uri": "s3://evidence/photo.jpg"},
    "closeout.candidate": COMPLETION,
    "tech.complete": COMPLETION,
    "qa.verify": {"timestamp": START, "result": "PASS"},
    "billing.generate_invoice": {},
    "ticket.reclassify": {"priority": "EMERGENCY", "reason": "The door stands open"},
    "qa.return": {"reason": "The latch does not close"},
    "ticket.close": {},
    "ticket.force_close": {
        "override_code": "OVERRIDE-1",
        "override_reason": "The customer moved out yesterday",
        "approver_role": "dispatcher",
    },
    "ticket.cancel": {"reason": "Not needed any more"},
    "dispatch.force_hold": {},
    "dispatch.resume": {"resume_to": "IN_PROGRESS"},
    "dispatch.force_unassign": {},
    "dispatch.manual_bypass": {"bypass_rationale": "The tablet was lost"},
    "reopen_after_verification": {"reason": "The door jams again"},
    "closeout.evidence_exception": {"exception_reason": "No camera on site"},
    "escalation.acknowledge": {},
    "escalation.snooze": {"until": START},
    "ops.autonomy.pause": {},
    "ops.autonomy.rollback": {},
    "outbox.replay": {"outbox_id": str(OUTBOX)},
}


def payload_for(tool: str, role: Role) -> dict[str, Any]:
    """Return the smallest valid payload of a tool for a role."""
    payload = dict(PAYLOADS[tool])
    if tool == "ticket.force_close":
        payload["approver_role"] = role.value
    return payload
