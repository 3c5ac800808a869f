"""closeout.evidence_exception (contract 7.14)."""

from policy.command.effects import Decision
from policy.evidence.writes import InsertException
from policy.model import Role
from policy.rules.vocabulary import key_warnings, noted
from policy.ticket.case import TicketCase, TicketTool
from policy.values import DateOrDateTime, NameList, PayloadModel, Text, instant

GRANTING_ROLES = frozenset({Role.QA, Role.APPROVER})


class Payload(PayloadModel):
    """Which evidence keys may be missing, why and until when."""

    exception_reason: Text
    evidence_refs: NameList = ()
    expires_at: DateOrDateTime | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Record the exception; it counts while someone entitled granted it and it lasts."""
    payload, actor = case.payload, case.actor
    lasts = payload.expires_at is not None and payload.expires_at > case.facts.now
    said = {
        "exception_reason": payload.exception_reason,
        "expires_at": instant(payload.expires_at),
        "evidence_refs": list(payload.evidence_refs),
        "effective": lasts and actor.actor_role in GRANTING_ROLES,
    }
    exception = InsertException(
        ticket_id=case.ticket.id,
        evidence_keys=payload.evidence_refs,
        exception_reason=payload.exception_reason,
        expires_at=payload.expires_at,
        granted_by=actor.actor_id,
        granted_role=actor.actor_role.value,
        audit_event_id=case.facts.audit_id,
        request_id=case.request_uuid,
    )
    warnings = key_warnings(case.bundle, case.ticket.incident_type, payload.evidence_refs)
    body = noted({"ticket": case.shape(case.ticket), **said}, warnings)
    return case.recorded(audit=said, writes=(exception,), body=body)


TOOL = TicketTool(payload=Payload, decide=decide)
