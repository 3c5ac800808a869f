"""evidence.finalize (contract 7.10)."""

from pydantic import Field

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.evidence.model import Evidence, StoredObject, Upload
from policy.evidence.shape import evidence_shape
from policy.evidence.uploads import INSPECTION, evidence_id_of, integrity_denial
from policy.evidence.writes import FinalizeUpload, InsertEvidence
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.values import JsonObject, PayloadModel, Text


class Payload(PayloadModel):
    """The upload that is done, by the uri of its announcement."""

    uri: Text
    metadata: JsonObject = Field(default_factory=dict)


def decide(case: TicketCase[Payload]) -> Decision:
    """Record the upload as evidence, if the store holds exactly what was announced.

    Bytes that the ticket has already under this kind and evidence key are recorded once: the
    answer is the evidence that the first upload became.
    """
    upload, stored = case.facts.upload, case.facts.stored
    uri = {"uri": case.payload.uri}
    if upload is None or upload.abandoned or not _is_announced(case, upload):
        return Denial(code=Code.EVIDENCE_UPLOAD_NOT_FOUND, details=uri)
    if upload.evidence_item_id is not None:
        details = {**uri, "evidence_item_id": str(upload.evidence_item_id)}
        return Denial(code=Code.EVIDENCE_UPLOAD_FINALIZED, details=details)
    if stored is None:
        return Denial(code=Code.OBJECT_STORE_UNAVAILABLE)
    denial = integrity_denial(case.bundle.evidence, upload, stored)
    if denial is not None:
        return denial
    twin = case.facts.twin
    item = twin or _item(case, upload, stored)
    finalized = FinalizeUpload(id=upload.id, finalized_at=case.facts.now, evidence_item_id=item.id)
    columns = {name: getattr(item, name) for name in InsertEvidence.model_fields}
    inserted = () if twin else (InsertEvidence(**columns),)
    audit = {
        "evidence_item_id": str(item.id),
        "upload_id": str(upload.id),
        "object_version_id": item.object_version_id,
    }
    return case.recorded(
        audit=audit,
        writes=(*inserted, finalized),
        body=evidence_shape(item),
    )


def _is_announced(case: TicketCase[Payload], upload: Upload) -> bool:
    return (upload.ticket_id, upload.uri) == (case.ticket.id, case.payload.uri)


def _item(case: TicketCase[Payload], upload: Upload, stored: StoredObject) -> Evidence:
    sent = {name: value for name, value in case.payload.metadata.items() if name != INSPECTION}
    metadata = {
        **sent,
        "evidence_key": upload.evidence_key,
        "upload_id": str(upload.id),
        "sha256": upload.sha256,
        **({INSPECTION: stored.inspection} if stored.inspection else {}),
    }
    return Evidence(
        id=evidence_id_of(case.facts.new_ids[0], upload.id, stored.inspection),
        ticket_id=case.ticket.id,
        kind=upload.kind,
        uri=upload.uri,
        checksum=upload.sha256,
        metadata=metadata,
        created_by=case.actor.actor_id,
        created_at=case.facts.now,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        object_version_id=stored.version_id,
        retention_until=stored.retention_until,
    )


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.UPLOAD, Need.STORED}))
