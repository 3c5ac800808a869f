"""closeout.add_evidence, evidence.presign, evidence.finalize and closeout.evidence_exception."""

from typing import Any
from uuid import UUID

import pytest

from policy.codes import Code
from policy.command.payload import parse_payload
from policy.evidence.model import LookUp, StoredObject
from policy.evidence.writes import FinalizeUpload, InsertEvidence, InsertException, InsertUpload
from policy.model import Role, State
from policy.rules.bundle import load_bundle
from policy.values import PayloadModel
from tests.unit.facts_builder import NOW, actor, allowed, denied, judge, upload
from tests.unit.payloads import (
    AUDIT,
    NEW_IDS,
    PAYLOADS,
    SHA256,
    UPLOAD,
    UPLOAD_KEY,
    UPLOAD_URI,
)

ITEM = PAYLOADS["closeout.add_evidence"]
PRESIGN = PAYLOADS["evidence.presign"]


def test_an_evidence_key_overwrites_that_of_the_metadata() -> None:
    payload = {**ITEM, "evidence_key": " k ", "metadata": {"evidence_key": "x", "a": 1}}
    effects = allowed(judge("closeout.add_evidence", payload=payload))
    (row,) = effects.writes
    assert isinstance(row, InsertEvidence)
    assert row.metadata == {"evidence_key": "k", "a": 1}
    assert effects.body is not None
    assert effects.body["id"] == effects.audit["evidence_item_id"] == str(NEW_IDS[0])
    assert effects.body["is_immutable"] is False


@pytest.mark.parametrize(
    "uri",
    [
        UPLOAD_URI,
        UPLOAD_URI.replace("s3", "MINIO", 1),
        UPLOAD_URI.replace("default/", "default//./x/../"),
    ],
)
def test_an_upload_of_ours_is_no_reference_before_it_is_finalized(uri: str) -> None:
    payload = {**ITEM, "uri": uri}
    denial = denied(judge("closeout.add_evidence", payload=payload, look_ups={}))
    assert denial.code is Code.EVIDENCE_UPLOAD_NOT_FINALIZED
    assert denial.details == {"upload_id": str(UPLOAD)}
    done = upload(evidence_item_id=NEW_IDS[1])
    allowed(judge("closeout.add_evidence", payload=payload, upload=done))


@pytest.mark.parametrize(
    ("look_ups", "failure", "message"),
    [
        ({}, "UNSUPPORTED_SCHEME", None),
        ({ITEM["uri"]: LookUp(failure="HEAD_TIMEOUT", message="late")}, "HEAD_TIMEOUT", "late"),
    ],
)
def test_a_failed_look_up_refuses_the_reference(
    look_ups: dict[str, LookUp], failure: str, message: str | None
) -> None:
    denial = denied(judge("closeout.add_evidence", look_ups=look_ups))
    assert denial.code is Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE
    assert denial.details == {
        "requirement_code": "INVALID_EVIDENCE_REFERENCE",
        "incident_type": "DOOR_WONT_LATCH",
        "template_version": None,
        "missing_evidence_keys": [],
        "missing_checklist_keys": [],
        "invalid_evidence_refs": [ITEM["uri"]],
        "excepted_evidence_keys": [],
        "head_check_failure": failure,
        "head_check_message": message,
        "checksum_enforced": False,
    }


def test_a_found_reference_is_recorded() -> None:
    allowed(judge("closeout.add_evidence", look_ups={ITEM["uri"]: LookUp()}))


def test_an_upload_is_announced_with_everything_the_client_must_send() -> None:
    effects = allowed(judge("evidence.presign"))
    (row,) = effects.writes
    assert isinstance(row, InsertUpload)
    assert (row.id, row.object_key, row.size_bytes) == (UPLOAD, UPLOAD_KEY, 7)
    assert effects.body == {
        "upload_id": str(UPLOAD),
        "uri": UPLOAD_URI,
        "bucket": "evidence",
        "object_key": UPLOAD_KEY,
        "kind": "PHOTO",
        "evidence_key": None,
        "content_type": "image/jpeg",
        "size_bytes": 7,
        "sha256": SHA256,
        "upload": {
            "method": "PUT",
            "url": "https://store.example/put",
            "headers": {"Content-Length": "7"},
            "expires_at": "2026-11-20T12:15:00.000Z",
        },
    }
    assert "store.example" not in str(effects.audit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_type", "text/html"),
        ("content_type", "IMAGE/JPEG"),
        ("size_bytes", 0),
        ("size_bytes", 104_857_601),
        ("size_bytes", 1.5),
        ("sha256", "ab"),
        ("sha256", "zz" * 32),
        ("sha256", None),
    ],
)
def test_an_announcement_outside_the_limits_is_a_bad_request(field: str, value: object) -> None:
    denial = denied(judge("evidence.presign", payload={**PRESIGN, field: value}))
    assert denial.code is Code.INVALID_REQUEST
    assert [fault["path"] for fault in denial.details["validation_errors"]] == [f"/{field}"]


def test_the_limits_of_uploads_are_the_installations_own() -> None:
    small = load_bundle({"evidence": {"max_bytes": 6, "content_types": ["text/plain"]}})
    refused = parse_payload(small, "evidence.presign", PRESIGN)
    assert not isinstance(refused, PayloadModel)
    faults = refused.details["validation_errors"]
    assert [fault["path"] for fault in faults] == ["/content_type", "/size_bytes"]


def test_a_digest_is_kept_in_lower_case() -> None:
    effects = allowed(judge("evidence.presign", payload={**PRESIGN, "sha256": SHA256.upper()}))
    assert effects.body is not None
    assert effects.body["sha256"] == SHA256


RECORDED = UUID(int=77)
GOOD = StoredObject(size_bytes=7, sha256=SHA256, content_type="image/jpeg", version_id="v1")


def mismatch(failure: str, expected: object, actual: object) -> dict[str, object]:
    return {"uri": UPLOAD_URI, "failure": failure, "expected": expected, "actual": actual}


def stored(**fields: Any) -> StoredObject:  # noqa: ANN401  columns
    return GOOD.model_copy(update=fields)


LADDER: tuple[tuple[Code, dict[str, Any], dict[str, Any]], ...] = (
    (Code.EVIDENCE_UPLOAD_NOT_FOUND, {"upload": None, "stored": None}, {"uri": UPLOAD_URI}),
    (
        Code.EVIDENCE_UPLOAD_FINALIZED,
        {"upload": upload(evidence_item_id=RECORDED), "stored": None},
        {"uri": UPLOAD_URI, "evidence_item_id": str(RECORDED)},
    ),
    (Code.OBJECT_STORE_UNAVAILABLE, {"stored": None}, {}),
    (
        Code.EVIDENCE_INTEGRITY_MISMATCH,
        {"stored": StoredObject()},
        mismatch("OBJECT_NOT_FOUND", UPLOAD_KEY, None),
    ),
    (
        Code.EVIDENCE_INTEGRITY_MISMATCH,
        {"stored": stored(size_bytes=0, sha256="x", content_type="x")},
        mismatch("SIZE_MISMATCH", 7, 0),
    ),
    (
        Code.EVIDENCE_INTEGRITY_MISMATCH,
        {"stored": stored(sha256="cd" * 32, content_type="x")},
        mismatch("SHA256_MISMATCH", SHA256, "cd" * 32),
    ),
    (
        Code.EVIDENCE_INTEGRITY_MISMATCH,
        {"stored": stored(content_type="text/plain")},
        mismatch("CONTENT_TYPE_MISMATCH", "image/jpeg", "text/plain"),
    ),
)


@pytest.mark.parametrize(("code", "known", "details"), LADDER)
def test_an_upload_is_verified_in_order(
    code: Code, known: dict[str, Any], details: dict[str, Any]
) -> None:
    denial = denied(judge("evidence.finalize", **known))
    assert (denial.code, dict(denial.details)) == (code, details)


def test_a_verified_upload_becomes_evidence_with_the_servers_own_facts() -> None:
    retained = stored(retention_until=NOW)
    payload = {"uri": UPLOAD_URI, "metadata": {"upload_id": "x", "sha256": "x", "note": "n"}}
    effects = allowed(judge("evidence.finalize", payload=payload, stored=retained))
    row, finalized = effects.writes
    assert isinstance(row, InsertEvidence)
    assert isinstance(finalized, FinalizeUpload)
    assert row.metadata == {
        "upload_id": str(UPLOAD),
        "sha256": SHA256,
        "note": "n",
        "evidence_key": "photo_after_latched_alignment",
    }
    assert (row.checksum, row.object_version_id) == (SHA256, "v1")
    assert row.retention_until == NOW
    assert (finalized.id, finalized.evidence_item_id) == (UPLOAD, row.id)


EXCEPTION = {"exception_reason": "No camera", "evidence_refs": ["a", "b"]}


@pytest.mark.parametrize(
    ("role", "expires_at", "effective"),
    [
        (Role.QA, "2026-11-21", True),
        (Role.APPROVER, "2026-11-20T12:00:00.001Z", True),
        (Role.QA, "2026-11-20T12:00:00Z", False),
        (Role.QA, "1999-01-01", False),
        (Role.QA, None, False),
        (Role.DISPATCHER, "2026-11-21", False),
    ],
)
def test_an_exception_counts_for_its_role_and_time(
    role: Role, expires_at: str | None, effective: object
) -> None:
    payload = {**EXCEPTION, "expires_at": expires_at}
    decision = judge("closeout.evidence_exception", State.VERIFIED, payload, actor(role))
    effects = allowed(decision)
    (row,) = effects.writes
    assert isinstance(row, InsertException)
    assert (row.granted_role, row.audit_event_id) == (role, AUDIT)
    assert list(row.evidence_keys) == ["a", "b"]
    assert effects.body is not None
    assert effects.body["effective"] is effects.audit["effective"] is effective


def test_a_date_of_expiry_is_the_start_of_its_day() -> None:
    payload = {**EXCEPTION, "expires_at": "2026-11-21"}
    effects = allowed(judge("closeout.evidence_exception", State.VERIFIED, payload))
    assert effects.audit["expires_at"] == "2026-11-21T00:00:00.000Z"
