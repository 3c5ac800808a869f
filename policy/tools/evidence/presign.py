"""evidence.presign (contract 7.10)."""

import re
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.command.payload import invalid_request
from policy.evidence.model import SignedUpload
from policy.evidence.writes import InsertUpload
from policy.json_levels import SAFE_INTEGER
from policy.rules.bundle import Bundle
from policy.rules.vocabulary import key_warnings, noted
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.values import Name, PayloadModel, format_datetime, whole_number

_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def _sha256(value: object) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError("must be 64 hex digits")
    return value.lower()


class Payload(PayloadModel):
    """The object that the client is going to upload."""

    kind: Name
    evidence_key: Name | None = None
    content_type: Name
    size_bytes: Annotated[
        int,
        PlainValidator(whole_number(1, SAFE_INTEGER)),
        WithJsonSchema({"type": "integer", "minimum": 1}),
    ]
    sha256: Annotated[
        str,
        PlainValidator(_sha256),
        WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
    ]


def check(bundle: Bundle, payload: Payload) -> Denial | None:
    """Refuse content that this installation does not take."""
    rules = bundle.evidence
    faults = []
    if payload.content_type not in rules.content_types:
        faults.append(("/content_type", f"must be one of {', '.join(rules.content_types)}"))
    if payload.size_bytes > rules.max_bytes:
        faults.append(("/size_bytes", f"must be at most {rules.max_bytes}"))
    return invalid_request("evidence.presign", faults) if faults else None


def decide(case: TicketCase[Payload]) -> Decision:
    """Announce the upload, and allow exactly that one."""
    payload, signed = case.payload, case.facts.presigned
    if signed is None:
        return Denial(code=Code.OBJECT_STORE_UNAVAILABLE)
    upload = InsertUpload(
        id=signed.upload_id,
        ticket_id=case.ticket.id,
        bucket=signed.bucket,
        object_key=signed.object_key,
        kind=payload.kind,
        evidence_key=payload.evidence_key,
        content_type=payload.content_type,
        size_bytes=payload.size_bytes,
        sha256=payload.sha256,
        created_by=case.actor.actor_id,
        request_id=case.request_uuid,
        expires_at=signed.expires_at,
        multipart_id=signed.multipart and signed.multipart.multipart_id,
        part_bytes=signed.multipart and signed.multipart.part_bytes,
    )
    named = {"kind": upload.kind, "evidence_key": upload.evidence_key}
    body = {
        "upload_id": str(upload.id),
        "uri": f"s3://{upload.bucket}/{upload.object_key}",
        "bucket": upload.bucket,
        "object_key": upload.object_key,
        **named,
        **upload.model_dump(include={"content_type", "size_bytes", "sha256"}),
        "upload": {
            "method": "PUT",
            "url": signed.url,
            "headers": dict(signed.headers),
            "expires_at": format_datetime(signed.expires_at),
        },
        **_multipart(signed),
    }
    audit = {"upload_id": str(upload.id), **named, "object_key": upload.object_key}
    warnings = key_warnings(case.bundle, case.ticket.incident_type, [upload.evidence_key])
    return case.recorded(audit=audit, writes=(upload,), body=noted(body, warnings))


def _multipart(signed: SignedUpload) -> dict[str, Any]:
    """Return what the answer gains when the client may upload in parts instead."""
    if signed.multipart is None:
        return {}
    parts = [{"method": "PUT", **part.model_dump()} for part in signed.multipart.parts]
    return {
        "multipart": {
            "part_bytes": signed.multipart.part_bytes,
            "parts": parts,
            "expires_at": format_datetime(signed.expires_at),
        }
    }


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.PRESIGNED}), check=check)
