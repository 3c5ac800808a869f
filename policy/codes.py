"""The closed list of error codes: what each means on the wire (contract 8.2)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Code(StrEnum):
    """Every error code of the product, in the order of contract 8.2."""

    NOT_FOUND = "NOT_FOUND"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    INVALID_JSON = "INVALID_JSON"
    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_TICKET_ID = "INVALID_TICKET_ID"
    INVALID_QUERY = "INVALID_QUERY"
    MISSING_IDEMPOTENCY_KEY = "MISSING_IDEMPOTENCY_KEY"
    INVALID_IDEMPOTENCY_KEY = "INVALID_IDEMPOTENCY_KEY"
    IDEMPOTENCY_PAYLOAD_MISMATCH = "IDEMPOTENCY_PAYLOAD_MISMATCH"
    MISSING_ACTOR_CONTEXT = "MISSING_ACTOR_CONTEXT"
    INVALID_ACTOR_CONTEXT = "INVALID_ACTOR_CONTEXT"
    AUTH_REQUIRED = "AUTH_REQUIRED"
    INVALID_AUTH_TOKEN = "INVALID_AUTH_TOKEN"  # noqa: S105  a code, not a secret
    INVALID_AUTH_CLAIMS = "INVALID_AUTH_CLAIMS"
    AUTH_CONFIG_ERROR = "AUTH_CONFIG_ERROR"
    FORBIDDEN = "FORBIDDEN"
    TOOL_NOT_ALLOWED = "TOOL_NOT_ALLOWED"
    UNKNOWN_TOOL = "UNKNOWN_TOOL"
    TOOL_ROLE_FORBIDDEN = "TOOL_ROLE_FORBIDDEN"
    FORBIDDEN_SCOPE = "FORBIDDEN_SCOPE"
    TICKET_NOT_FOUND = "TICKET_NOT_FOUND"
    COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    SITE_NOT_FOUND = "SITE_NOT_FOUND"
    ASSET_NOT_FOUND = "ASSET_NOT_FOUND"
    SITE_ACCOUNT_MISMATCH = "SITE_ACCOUNT_MISMATCH"
    INVALID_STATE_TRANSITION = "INVALID_STATE_TRANSITION"
    DUPLICATE_INTAKE = "DUPLICATE_INTAKE"
    BLIND_INTAKE_VALIDATION_FAILED = "BLIND_INTAKE_VALIDATION_FAILED"
    LOW_IDENTITY_CONFIDENCE = "LOW_IDENTITY_CONFIDENCE"
    LOW_CLASSIFICATION_CONFIDENCE = "LOW_CLASSIFICATION_CONFIDENCE"
    SOP_HANDOFF_REQUIRED = "SOP_HANDOFF_REQUIRED"
    APPROVAL_NOT_FOUND = "APPROVAL_NOT_FOUND"
    APPROVAL_NOT_PENDING = "APPROVAL_NOT_PENDING"
    INVALID_APPROVAL_TARGET_STATE = "INVALID_APPROVAL_TARGET_STATE"
    ESCALATION_NOT_FOUND = "ESCALATION_NOT_FOUND"
    ASSIGNMENT_BYPASS_DENIED = "ASSIGNMENT_BYPASS_DENIED"
    ASSIGNMENT_NOT_FOUND = "ASSIGNMENT_NOT_FOUND"
    TECH_UNAVAILABLE = "TECH_UNAVAILABLE"
    ASSIGNMENT_CAPABILITY_MISMATCH = "ASSIGNMENT_CAPABILITY_MISMATCH"
    ASSIGNMENT_ZONE_MISMATCH = "ASSIGNMENT_ZONE_MISMATCH"
    ASSIGNMENT_RECOMMENDATION_MISMATCH = "ASSIGNMENT_RECOMMENDATION_MISMATCH"
    ASSIGNMENT_RECOMMENDATION_CONTEXT_MISSING = "ASSIGNMENT_RECOMMENDATION_CONTEXT_MISSING"
    ASSIGNMENT_RECOMMENDATION_UNAVAILABLE = "ASSIGNMENT_RECOMMENDATION_UNAVAILABLE"
    SCHEDULE_HOLD_STATE_CONFLICT = "SCHEDULE_HOLD_STATE_CONFLICT"
    HOLD_SNAPSHOT_MISSING = "HOLD_SNAPSHOT_MISSING"
    HOLD_CONFIRMATION_MISSING = "HOLD_CONFIRMATION_MISSING"
    CUSTOMER_CONFIRMATION_STALE = "CUSTOMER_CONFIRMATION_STALE"
    CLOSEOUT_REQUIREMENTS_INCOMPLETE = "CLOSEOUT_REQUIREMENTS_INCOMPLETE"
    EVIDENCE_UPLOAD_NOT_FOUND = "EVIDENCE_UPLOAD_NOT_FOUND"
    EVIDENCE_UPLOAD_FINALIZED = "EVIDENCE_UPLOAD_FINALIZED"
    EVIDENCE_UPLOAD_NOT_FINALIZED = "EVIDENCE_UPLOAD_NOT_FINALIZED"
    EVIDENCE_INTEGRITY_MISMATCH = "EVIDENCE_INTEGRITY_MISMATCH"
    MANUAL_REVIEW_REQUIRED = "MANUAL_REVIEW_REQUIRED"
    AUTONOMY_DISABLED = "AUTONOMY_DISABLED"
    QA_VERIFICATION_FAILED = "QA_VERIFICATION_FAILED"
    NTE_EXCEEDED = "NTE_EXCEEDED"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    MESSAGE_ALREADY_ATTACHED = "MESSAGE_ALREADY_ATTACHED"
    OUTBOX_NOT_FOUND = "OUTBOX_NOT_FOUND"
    OUTBOX_REPLAY_INVALID_STATE = "OUTBOX_REPLAY_INVALID_STATE"
    OUTBOX_CONFLICT = "OUTBOX_CONFLICT"
    RATE_LIMITED = "RATE_LIMITED"
    ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    OBJECT_STORE_UNAVAILABLE = "OBJECT_STORE_UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class CodeSpec(NamedTuple):
    """HTTP status, `policy_error.dimension` if the code has one, and the default message."""

    status: int
    dimension: str | None
    message: str


_SPECS = {
    Code.NOT_FOUND: CodeSpec(404, None, "There is no such route."),
    Code.PAYLOAD_TOO_LARGE: CodeSpec(413, None, "The body is larger than the limit."),
    Code.INVALID_JSON: CodeSpec(400, None, "The body is not valid I-JSON in UTF-8."),
    Code.INVALID_REQUEST: CodeSpec(400, None, "The payload is not valid for this tool."),
    Code.INVALID_TICKET_ID: CodeSpec(400, None, "The ticket id is missing or not a UUID."),
    Code.INVALID_QUERY: CodeSpec(400, None, "A query parameter is not valid."),
    Code.MISSING_IDEMPOTENCY_KEY: CodeSpec(
        400, None, "Send a UUID in the Idempotency-Key header; repeat it to retry safely."
    ),
    Code.INVALID_IDEMPOTENCY_KEY: CodeSpec(400, None, "The Idempotency-Key must be a UUID."),
    Code.IDEMPOTENCY_PAYLOAD_MISMATCH: CodeSpec(
        409, None, "This idempotency key was already used for a different request."
    ),
    Code.MISSING_ACTOR_CONTEXT: CodeSpec(
        400, "role", "Send X-Actor-Id and X-Actor-Role, or a bearer token."
    ),
    Code.INVALID_ACTOR_CONTEXT: CodeSpec(400, None, "An actor header cannot be read."),
    Code.AUTH_REQUIRED: CodeSpec(401, None, "Send a token: Authorization: Bearer <token>."),
    Code.INVALID_AUTH_TOKEN: CodeSpec(401, "policy", "The token cannot be verified."),
    Code.INVALID_AUTH_CLAIMS: CodeSpec(401, None, "A claim of the token is not acceptable."),
    Code.AUTH_CONFIG_ERROR: CodeSpec(
        503, "policy", "A token was sent, but nothing is available here to verify it with."
    ),
    Code.FORBIDDEN: CodeSpec(403, "role", "This role may not use this tool."),
    Code.TOOL_NOT_ALLOWED: CodeSpec(403, "tool", "X-Tool-Name names the tool of another route."),
    Code.UNKNOWN_TOOL: CodeSpec(404, "tool", "There is no tool of this name."),
    Code.TOOL_ROLE_FORBIDDEN: CodeSpec(403, "role", "This role may not call this tool."),
    Code.FORBIDDEN_SCOPE: CodeSpec(403, "scope", "This is outside the scope of the actor."),
    Code.TICKET_NOT_FOUND: CodeSpec(404, None, "There is no ticket with this id."),
    Code.COMMAND_NOT_FOUND: CodeSpec(404, None, "There is no command with this id."),
    Code.ACCOUNT_NOT_FOUND: CodeSpec(404, None, "There is no account with this id."),
    Code.SITE_NOT_FOUND: CodeSpec(404, None, "There is no site with this id."),
    Code.ASSET_NOT_FOUND: CodeSpec(404, None, "There is no asset with this id at this site."),
    Code.SITE_ACCOUNT_MISMATCH: CodeSpec(409, None, "The site belongs to another account."),
    Code.INVALID_STATE_TRANSITION: CodeSpec(
        409, "state", "The tool is not allowed in the ticket's present state."
    ),
    Code.DUPLICATE_INTAKE: CodeSpec(
        409, "identity", "A recent ticket already covers this customer and incident."
    ),
    Code.BLIND_INTAKE_VALIDATION_FAILED: CodeSpec(
        400, "identity", "The intake payload is not valid."
    ),
    Code.LOW_IDENTITY_CONFIDENCE: CodeSpec(
        409, "identity", "The customer's identity is not certain enough."
    ),
    Code.LOW_CLASSIFICATION_CONFIDENCE: CodeSpec(
        409, "identity", "The classification of the incident is not certain enough."
    ),
    Code.SOP_HANDOFF_REQUIRED: CodeSpec(
        409, "policy", "The SOP handoff must be acknowledged first."
    ),
    Code.APPROVAL_NOT_FOUND: CodeSpec(404, None, "There is no such approval of this ticket."),
    Code.APPROVAL_NOT_PENDING: CodeSpec(409, None, "The approval is already decided."),
    Code.INVALID_APPROVAL_TARGET_STATE: CodeSpec(
        409, None, "The approval cannot return the ticket to its earlier state."
    ),
    Code.ESCALATION_NOT_FOUND: CodeSpec(404, None, "There is no such escalation of this ticket."),
    Code.ASSIGNMENT_BYPASS_DENIED: CodeSpec(
        409, "policy", "The emergency bypass is not allowed for this ticket."
    ),
    Code.ASSIGNMENT_NOT_FOUND: CodeSpec(409, "assignment", "There is no such technician."),
    Code.TECH_UNAVAILABLE: CodeSpec(409, "assignment", "The technician is not available."),
    Code.ASSIGNMENT_CAPABILITY_MISMATCH: CodeSpec(
        409, "assignment", "The technician lacks the skill this ticket needs."
    ),
    Code.ASSIGNMENT_ZONE_MISMATCH: CodeSpec(
        409, "assignment", "The technician does not serve this region."
    ),
    Code.ASSIGNMENT_RECOMMENDATION_MISMATCH: CodeSpec(
        409, "assignment", "The technician is not in the recommendation named."
    ),
    Code.ASSIGNMENT_RECOMMENDATION_CONTEXT_MISSING: CodeSpec(
        409, "assignment", "The ticket lacks what a recommendation needs."
    ),
    Code.ASSIGNMENT_RECOMMENDATION_UNAVAILABLE: CodeSpec(
        409, "assignment", "No technician fits this ticket."
    ),
    Code.SCHEDULE_HOLD_STATE_CONFLICT: CodeSpec(
        409, "scheduling", "The ticket's present state does not allow this hold command."
    ),
    Code.HOLD_SNAPSHOT_MISSING: CodeSpec(409, "scheduling", "The ticket has no open hold."),
    Code.HOLD_CONFIRMATION_MISSING: CodeSpec(
        409, "scheduling", "The customer's confirmation is missing."
    ),
    Code.CUSTOMER_CONFIRMATION_STALE: CodeSpec(
        409, "scheduling", "The customer's confirmation is for an expired window."
    ),
    Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE: CodeSpec(
        409, "evidence", "The closeout requirements are not met."
    ),
    Code.EVIDENCE_UPLOAD_NOT_FOUND: CodeSpec(404, "evidence", "This ticket has no such upload."),
    Code.EVIDENCE_UPLOAD_FINALIZED: CodeSpec(
        409, "evidence", "The upload is already recorded as evidence."
    ),
    Code.EVIDENCE_UPLOAD_NOT_FINALIZED: CodeSpec(
        409, "evidence", "This is an upload that is not finalized."
    ),
    Code.EVIDENCE_INTEGRITY_MISMATCH: CodeSpec(
        409, "evidence", "The stored object is not the one that was announced."
    ),
    Code.MANUAL_REVIEW_REQUIRED: CodeSpec(
        409, "policy", "The risk is high: a person must complete this ticket."
    ),
    Code.AUTONOMY_DISABLED: CodeSpec(409, "policy", "Autonomy is paused for this ticket."),
    Code.QA_VERIFICATION_FAILED: CodeSpec(
        409, None, "Quality assurance did not pass; qa.return sends the work back."
    ),
    Code.NTE_EXCEEDED: CodeSpec(
        409, "policy", "The invoice is above what the customer has allowed."
    ),
    Code.MESSAGE_NOT_FOUND: CodeSpec(404, None, "There is no received message with this id."),
    Code.MESSAGE_ALREADY_ATTACHED: CodeSpec(
        409, None, "The message belongs to another ticket already."
    ),
    Code.OUTBOX_NOT_FOUND: CodeSpec(404, None, "There is no outbox row with this id."),
    Code.OUTBOX_REPLAY_INVALID_STATE: CodeSpec(
        409, None, "Only a dead-lettered outbox row can be replayed."
    ),
    Code.OUTBOX_CONFLICT: CodeSpec(409, None, "This message already exists in the outbox."),
    Code.RATE_LIMITED: CodeSpec(
        429, "policy", "Too many calls; wait for Retry-After, then repeat with the same key."
    ),
    Code.ENGINE_UNAVAILABLE: CodeSpec(
        503, None, "The workflow engine cannot be reached; repeat with the same key."
    ),
    Code.DATABASE_UNAVAILABLE: CodeSpec(
        503, None, "The database cannot be reached; repeat with the same key."
    ),
    Code.OBJECT_STORE_UNAVAILABLE: CodeSpec(
        503, None, "The object store cannot be reached; repeat with the same key."
    ),
    Code.INTERNAL_ERROR: CodeSpec(500, None, "Something failed here; quote the reference."),
}

CODES: Mapping[Code, CodeSpec] = MappingProxyType(_SPECS)
