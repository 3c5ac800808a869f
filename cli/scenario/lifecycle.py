"""The canonical lifecycle as data: what `dispatch demo` calls, and what must come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policy.model import Role, State

CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)


@dataclass(frozen=True)
class Step:
    """One command and what must be true after it.

    A text `{name}` in `payload` or `expects` stands for a value known before the walk or kept by
    an earlier step. `expects` and `keeps` name members of the answer by dotted path. Without
    `status`, the tool's own success status is expected.
    """

    tool: str
    role: Role
    story: str
    payload: Mapping[str, Any]
    state: State
    version: int
    status: int | None = None
    expects: Mapping[str, Any] = field(default_factory=dict)
    keeps: Mapping[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether the command is meant to take effect."""
        return self.status is None


def _evidence(key: str, kind: str, version: int) -> Step:
    return Step(
        tool="closeout.add_evidence",
        role=Role.TECHNICIAN,
        story=f"the technician adds {key}",
        payload={
            "kind": kind,
            "uri": f"s3://demo-evidence/{{ticket_id}}/{key}",
            "evidence_key": key,
        },
        state=State.IN_PROGRESS,
        version=version,
        expects={"kind": kind, "metadata.evidence_key": key, "is_immutable": False},
    )


LIFECYCLE: Sequence[Step] = (
    Step(
        tool="ticket.create",
        role=Role.DISPATCHER,
        story="a customer reports a door that does not latch",
        payload={
            "account_id": "{account_id}",
            "site_id": "{site_id}",
            "summary": "Front door does not latch",
            "description": "It springs open when the wind blows.",
            "nte_cents": 25_000,
        },
        state=State.NEW,
        version=0,
        expects={"account_id": "{account_id}", "priority": "ROUTINE"},
        keeps={"ticket_id": "id"},
    ),
    Step(
        tool="ticket.triage",
        role=Role.AGENT,
        story="an agent triages it",
        payload={
            "priority": "URGENT",
            "incident_type": "DOOR_WONT_LATCH",
            "workflow_outcome": "READY_TO_SCHEDULE",
        },
        state=State.READY_TO_SCHEDULE,
        version=1,
        expects={"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"},
    ),
    Step(
        tool="schedule.propose",
        role=Role.AGENT,
        story="the agent proposes two windows",
        payload={
            "options": [
                {"start": "{window_start}", "end": "{window_end}"},
                {"start": "{later_start}", "end": "{later_end}"},
            ]
        },
        state=State.SCHEDULE_PROPOSED,
        version=2,
        expects={"scheduled_start": "{window_start}"},
    ),
    Step(
        tool="schedule.confirm",
        role=Role.DISPATCHER,
        story="the dispatcher confirms the second one",
        payload={"start": "{later_start}", "end": "{later_end}"},
        state=State.SCHEDULED,
        version=3,
        expects={"scheduled_start": "{later_start}", "scheduled_end": "{later_end}"},
    ),
    Step(
        tool="assignment.dispatch",
        role=Role.DISPATCHER,
        story="and sends a technician",
        payload={"tech_id": "{tech_id}"},
        state=State.DISPATCHED,
        version=4,
        expects={"assigned_tech_id": "{tech_id}"},
    ),
    Step(
        tool="tech.check_in",
        role=Role.TECHNICIAN,
        story="the technician arrives and starts work",
        payload={"timestamp": "{later_start}"},
        state=State.IN_PROGRESS,
        version=5,
    ),
    Step(
        tool="tech.request_change",
        role=Role.TECHNICIAN,
        story="the strike is worn out: it will cost more",
        payload={
            "approval_type": "NTE_INCREASE",
            "amount_delta_cents": 12_000,
            "reason": "The strike has to be replaced.",
        },
        state=State.APPROVAL_REQUIRED,
        version=6,
        expects={"approval.status": "PENDING", "approval.amount_delta_cents": 12_000},
        keeps={"approval_id": "approval.id"},
    ),
    Step(
        tool="approval.decide",
        role=Role.APPROVER,
        story="the approver agrees; work goes on",
        payload={"approval_id": "{approval_id}", "decision": "APPROVED", "notes": "Go ahead."},
        state=State.IN_PROGRESS,
        version=7,
    ),
    _evidence("photo_before_door_edge_and_strike", "PHOTO", 7),
    _evidence("note_adjustments_and_test_cycles", "NOTE", 7),
    Step(
        tool="tech.complete",
        role=Role.TECHNICIAN,
        story="completion is refused: the closeout is incomplete",
        payload={
            "checklist_status": dict.fromkeys(CHECKLIST[1:], True),
            "no_signature_reason": "Nobody was on site to sign.",
        },
        state=State.IN_PROGRESS,
        version=7,
        status=409,
        expects={
            "error.code": "CLOSEOUT_REQUIREMENTS_INCOMPLETE",
            "error.requirement_code": "MISSING_REQUIREMENTS",
            "error.missing_evidence_keys": ["photo_after_latched_alignment"],
            "error.missing_checklist_keys": [CHECKLIST[0]],
        },
    ),
    _evidence("photo_after_latched_alignment", "PHOTO", 7),
    Step(
        tool="tech.complete",
        role=Role.TECHNICIAN,
        story="now nothing is missing",
        payload={
            "checklist_status": dict.fromkeys(CHECKLIST, True),
            "no_signature_reason": "Nobody was on site to sign.",
        },
        state=State.COMPLETED_PENDING_VERIFICATION,
        version=8,
    ),
    Step(
        tool="qa.verify",
        role=Role.QA,
        story="quality assurance verifies; the evidence is sealed",
        payload={"timestamp": "{later_end}", "result": "PASS"},
        state=State.VERIFIED,
        version=9,
    ),
    Step(
        tool="billing.generate_invoice",
        role=Role.FINANCE,
        story="finance invoices",
        payload={},
        state=State.INVOICED,
        version=10,
    ),
    Step(
        tool="ticket.close",
        role=Role.FINANCE,
        story="and closes the ticket; its workflow ends",
        payload={"reason": "Invoiced and done."},
        state=State.CLOSED,
        version=11,
        expects={
            "closeout_packet.artifact_type": "closeout_packet",
            "closeout_packet.artifact_name": "closeout-{ticket_id}.json",
        },
    ),
)
