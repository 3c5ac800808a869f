"""closeout.add_evidence (contract 7.9)."""

from pydantic import Field

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.evidence.model import Evidence, Upload
from policy.evidence.references import look_up_failure, place_of
from policy.evidence.shape import evidence_shape
from policy.evidence.writes import InsertEvidence
from policy.rules.vocabulary import key_warnings, noted
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.values import JsonObject, Name, PayloadModel, Text


class Payload(PayloadModel):
    """One piece of evidence, by reference."""

    kind: Name
    uri: Text
    checksum: Name | None = None
    evidence_key: Name | None = None
    metadata: JsonObject = Field(default_factory=dict)


def decide(case: TicketCase[Payload]) -> Decision:
    """Record the reference, unless it is an upload of ours that finalizing would judge.

    With look-ups on it must exist.
    """
    payload, upload = case.payload, case.facts.upload
    if upload is not None and upload.evidence_item_id is None and _names(payload.uri, upload):
        details = {"upload_id": str(upload.id)}
        return Denial(code=Code.EVIDENCE_UPLOAD_NOT_FINALIZED, details=details)
    metadata = dict(payload.metadata)
    if payload.evidence_key is not None:
        metadata["evidence_key"] = payload.evidence_key
    item = Evidence(
        id=case.facts.new_ids[0],
        ticket_id=case.ticket.id,
        kind=payload.kind,
        uri=payload.uri,
        checksum=payload.checksum,
        metadata=metadata,
        created_by=case.actor.actor_id,
        created_at=case.facts.now,
    )
    denial = _look_up_denial(case, item)
    if denial is not None:
        return denial
    warnings = key_warnings(case.bundle, case.ticket.incident_type, [item.evidence_key])
    columns = {name: getattr(item, name) for name in InsertEvidence.model_fields}
    return case.recorded(
        audit={"evidence_item_id": str(item.id)},
        writes=(InsertEvidence(**columns),),
        body=noted(evidence_shape(item), warnings),
    )


def _names(uri: str, upload: Upload) -> bool:
    place = place_of(uri)
    return place is not None and (place.bucket, place.normal_key) == (
        upload.bucket,
        upload.object_key,
    )


def _look_up_denial(case: TicketCase[Payload], item: Evidence) -> Denial | None:
    if case.facts.look_ups is None:
        return None
    found = case.facts.look_ups.get(item.uri)
    failure = look_up_failure(case.bundle.evidence, item, found)
    if failure is None:
        return None
    incident_type = (case.ticket.incident_type or "").strip().upper() or None
    return Denial(
        code=Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE,
        details={
            "requirement_code": "INVALID_EVIDENCE_REFERENCE",
            "incident_type": incident_type,
            "template_version": None,
            "missing_evidence_keys": [],
            "missing_checklist_keys": [],
            "invalid_evidence_refs": [item.uri],
            "excepted_evidence_keys": [],
            "head_check_failure": failure,
            "head_check_message": found.message if found else None,
            "checksum_enforced": case.bundle.evidence.require_checksum,
        },
    )


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.LOOK_UPS, Need.UPLOAD}))
