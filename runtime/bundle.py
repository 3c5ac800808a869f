"""The policy bundle as an installation's settings adjust it."""

from typing import Any

from policy.rules.bundle import Bundle, load_bundle
from runtime.settings import Settings


def installed_bundle(settings: Settings) -> Bundle:
    """Return the shipped bundle with this installation's thresholds and evidence rules."""
    intake: dict[str, Any] = {
        "identity_confidence_threshold": settings.intake_identity_confidence_threshold,
        "classification_confidence_threshold": settings.intake_classification_confidence_threshold,
        "duplicate_window_minutes": settings.intake_duplicate_window_minutes,
    }
    if settings.intake_sop_handoff_prompt is not None:
        intake["sop_handoff_prompt"] = settings.intake_sop_handoff_prompt
    evidence = {
        "schemes": settings.object_store_schemes,
        "require_head": settings.evidence_require_head,
        "require_checksum": settings.evidence_require_checksum,
        "content_types": settings.evidence_content_types,
        "max_bytes": settings.evidence_max_bytes,
    }
    holds = {"expiry_grace_seconds": settings.hold_expiry_grace_seconds}
    recipients: dict[str, dict[str, list[str]]] = {}
    for recipient in settings.escalation_recipients:
        role, channel, address = recipient.split(":")
        recipients.setdefault(role, {}).setdefault(channel, []).append(address)
    return load_bundle(
        {
            "holds": holds,
            "intake": intake,
            "evidence": evidence,
            "escalation": {"recipients": recipients},
        }
    )
