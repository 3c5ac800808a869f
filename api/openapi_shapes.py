"""The answer shapes of the contract as JSON Schema, for the OpenAPI document.

A shape is written in words: `name:type`, with `?` for a value that may be null, `[]` for a list and
`#Name` for another shape.
"""

from collections.abc import Mapping
from typing import Any

from policy.model import Priority, State
from policy.sla import SlaStatus

REF = "#/components/schemas/"
TYPES: Mapping[str, Mapping[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "text": {"type": "string"},
    "time": {"type": "string", "format": "date-time", "examples": ["2026-12-01T10:00:00.000Z"]},
    "uri": {"type": "string", "format": "uri-reference"},
    "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "object": {"type": "object"},
    "any": {},
}
ENUMS: Mapping[str, list[str]] = {
    "State": [state.value for state in State],
    "Priority": [priority.value for priority in Priority],
    "SlaStatus": [status.value for status in SlaStatus],
    "Check": ["pass", "warn", "fail"],
}
_VERSIONS = (
    "contract_version:text surface_hash:hash policy_bundle_version:text policy_bundle_sha256:hash"
)
_CHANGE = (
    "scope_type:text incident_type:text? ticket_id:uuid? reason:text? actor_type:text actor_id:text"
    " actor_role:text? request_id:uuid correlation_id:text? trace_id:text? created_at:time"
)
SHAPES: Mapping[str, str] = {
    "Ticket": "id:uuid account_id:uuid site_id:uuid asset_id:uuid? state:#State priority:#Priority"
    " incident_type:text? summary:text description:text? customer_name:text? customer_phone:text?"
    " customer_email:text? nte_cents:int scheduled_start:time? scheduled_end:time?"
    " identity_signature:text? identity_confidence:int classification_confidence:int"
    " sop_handoff_required:bool sop_handoff_acknowledged:bool sop_handoff_prompt:text?"
    " assigned_provider_id:uuid? assigned_tech_id:uuid? version:int created_at:time updated_at:time"
    " phase:text escalation_level:int",
    "Evidence": "id:uuid ticket_id:uuid kind:text uri:text checksum:text? is_immutable:bool"
    " immutable_reason:text? immutable_by:text? immutable_at:time? metadata:object created_by:text?"
    " created_at:time content_type:text? size_bytes:int? object_version_id:text? retention_until:time?",
    "TimelineEvent": "id:uuid ticket_id:uuid? actor_type:text actor_id:text actor_role:text?"
    " tool_name:text request_id:uuid correlation_id:text? trace_id:text? before_state:#State?"
    " after_state:#State? payload:object created_at:time tenant_id:text command_id:uuid? seq:int"
    " policy_bundle_sha256:text prev_hash:hash hash:hash",
    "Actor": "actor_id:text actor_role:text actor_type:text tool_name:text",
    "GateResult": "ready:bool code:text incident_type:text? template_version:text?"
    " missing_evidence_keys:text[] missing_checklist_keys:text[] excepted_evidence_keys:text[]",
    "AutonomyControl": f"id:uuid {_CHANGE} is_paused:bool updated_at:time",
    "AutonomyDecision": "scope_type:text? incident_type:text? ticket_id:uuid? is_paused:bool reason:text?",
    "AutonomyLink": "scope_type:text incident_type:text? ticket_id:uuid? is_paused:bool reason:text?"
    " actor_role:text? created_at:time updated_at:time",
    "AutonomyChange": f"id:uuid {_CHANGE} action:text previous_is_paused:bool next_is_paused:bool"
    " payload:object",
    "Window": "start:time? end:time?",
    "Timeline": "ticket_id:uuid events:#TimelineEvent[] next_cursor:text?",
    "EvidenceList": "ticket_id:uuid evidence:#Evidence[] next_cursor:text?",
    "Action": "action_id:text tool_name:text endpoint:text method:text mutating:bool enabled:bool"
    " policy_error:object?",
    "Site": "id:uuid name:text city:text region:text?",
    "CockpitRow": "ticket_id:uuid state:#State phase:text priority:#Priority incident_type:text?"
    " scheduled_start:time? escalation_level:int site_region:text? site:#Site assigned_tech:uuid?"
    " last_update_at:time last_transition_at:time region_weight:int sla_target_minutes:int"
    " sla_deadline_at:time sla_timer_remaining_minutes:int sla_status:#SlaStatus"
    " sla_timer_remaining:text sla_delay_attribution:text actions:#Action[] more_actions:#Action[]",
    "CockpitFilters": "state:#State[] priority:#Priority[] sla_status:#SlaStatus[] account_id:uuid[]"
    " site_id:uuid[] assigned_tech_id:uuid[] incident_type:text[] ticket_id:uuid?",
    "Cockpit": "generated_at:time actor:#Actor filters_applied:#CockpitFilters queue:#CockpitRow[]"
    " selected_ticket:object? next_cursor:text?",
    "JobPacketBody": "header:object site_and_access:object work_scope:object"
    " evidence_requirements:object checklist:object closeout_gate:#GateResult timeline:object"
    " actions:#Action[] more_actions:#Action[]",
    "JobPacket": "generated_at:time actor:#Actor packet:#JobPacketBody",
    "AutonomyState": "generated_at:time controls:#AutonomyControl[] decision:#AutonomyDecision?"
    " chain:#AutonomyLink[] query:object",
    "AutonomyReplay": "generated_at:time ticket_id:uuid incident_type:text?"
    " decision:#AutonomyDecision chain:#AutonomyLink[] controls:#AutonomyControl[]"
    " history:#AutonomyChange[]",
    "Failure": "name:text status:text status_code:text reason:text",
    "ContractStatus": f"{_VERSIONS} tool_count:int health:object",
    "Tool": "name:text alias:text method:text route:text mutating:bool requires_ticket_id:bool"
    " roles:text[] from_states:#State[]? result_state:#State? success_status:int payload_schema:object",
    "ToolList": f"{_VERSIONS} tools:#Tool[]",
    "ToolAnswer": "tool_name:text endpoint:text request_id:uuid? correlation_id:text status:int data:any",
    "CommandStatus": "command_id:uuid tool_name:text ticket_id:uuid? status:text response_code:int?"
    " response_body:object? submitted_at:time decided_at:time?",
    "Accepted": "command_id:uuid ticket_id:uuid? status:text status_url:text",
    "Health": "status:text service:text generated_at:time runbook:text checks:object failures:#Failure[]",
    "Live": "status:text",
    "Readiness": "status:text failures:#Failure[]",
    "Metrics": "service:text generated_at:time counters:object",
    "Alerts": "service:text generated_at:time window_minutes:int thresholds:object signals:object"
    " alerts:object[] runbooks:object metrics:object",
    "TicketAndQuestions": "ticket:#Ticket questions:text[]",
    "Recommendations": "recommendations:object[] excluded:object[] snapshot_id:uuid evaluated_at:time",
    "Hold": "ticket:#Ticket hold_id:uuid snapshot_id:uuid hold_state:#State confirmation_window:#Window",
    "Release": "ticket:#Ticket hold_id:uuid snapshot_id:uuid restored_state:#State"
    " restored_window:#Window",
    "Rollback": "ticket:#Ticket hold_id:uuid snapshot_id:uuid reason:text? restored_state:#State"
    " restored_window:#Window",
    "Approval": "id:uuid status:text approval_type:text amount_delta_cents:int? reason:text? requested_at:time",
    "TicketAndApproval": "ticket:#Ticket approval:#Approval",
    "Upload": "upload_id:uuid uri:text bucket:text object_key:text kind:text evidence_key:text?"
    " content_type:text size_bytes:int sha256:hash upload:object",
    "PacketName": "artifact_type:text artifact_name:text",
    "TicketAndPacket": "ticket:#Ticket closeout_packet:#PacketName",
    "EvidenceException": "ticket:#Ticket exception_reason:text expires_at:time? evidence_refs:text[]"
    " effective:bool",
    "AutonomyResult": "action:text scope:#AutonomyControl previous_is_paused:bool"
    " current_is_paused:bool history_id:uuid",
    "OutboxResult": "id:uuid status:text aggregate_type:text aggregate_id:text",
}
ANSWERS: Mapping[str, str] = {
    "ticket.request_info": "TicketAndQuestions",
    "assignment.recommend": "Recommendations",
    "schedule.hold": "Hold",
    "schedule.release": "Release",
    "schedule.rollback": "Rollback",
    "tech.request_change": "TicketAndApproval",
    "evidence.presign": "Upload",
    "evidence.finalize": "Evidence",
    "closeout.add_evidence": "Evidence",
    "ticket.close": "TicketAndPacket",
    "ticket.force_close": "TicketAndPacket",
    "closeout.evidence_exception": "EvidenceException",
    "ops.autonomy.pause": "AutonomyResult",
    "ops.autonomy.rollback": "AutonomyResult",
    "outbox.replay": "OutboxResult",
    "ticket.timeline": "Timeline",
    "closeout.list_evidence": "EvidenceList",
    "dispatcher.cockpit": "Cockpit",
    "tech.job_packet": "JobPacket",
    "ops.autonomy.state": "AutonomyState",
    "ops.autonomy.replay": "AutonomyReplay",
    "dispatch_contract_status": "ContractStatus",
}


def shape_schemas() -> dict[str, dict[str, Any]]:
    """Return every shape as JSON Schema. Further keys may come, so none is closed."""
    enums = {name: {"type": "string", "enum": values} for name, values in ENUMS.items()}
    return enums | {name: _object(words) for name, words in SHAPES.items()}


def answer_schema(tool: str) -> dict[str, str]:
    """Return the schema of a tool's answer; most commands answer the ticket."""
    return reference(ANSWERS.get(tool, "Ticket"))


def reference(name: str) -> dict[str, str]:
    """Return a reference to a shape."""
    return {"$ref": REF + name}


def _object(words: str) -> dict[str, Any]:
    members = dict(word.split(":", 1) for word in words.split())
    properties = {name: _schema(kind) for name, kind in members.items()}
    return {"type": "object", "required": list(properties), "properties": properties}


def _schema(kind: str) -> dict[str, Any]:
    if kind.endswith("?"):
        return {"anyOf": [_schema(kind[:-1]), {"type": "null"}]}
    if kind.endswith("[]"):
        return {"type": "array", "items": _schema(kind[:-2])}
    if kind.startswith("#"):
        return dict(reference(kind[1:]))
    return dict(TYPES[kind])
